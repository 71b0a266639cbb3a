/*
 * Numbered records on the disk, /disk/records: 64 bytes each, number N at offset 64 (N - 1), little-endian:
 *   u64 number | u64 tick | 8 chars of the boot id | u64 uptime in ms | 28 zero bytes | u32 CRC-32 of the 60 before
 * A record counts once fdatasync returned. The file is grown ahead by zeros, so that writing a record changes
 * no metadata. A slot of zeros is "not written"; a slot that is neither zero nor right is torn.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "witness.h"

#define GROW_BYTES (256 * 1024)
#define LARGEST_BYTES (1024LL * 1024 * 1024)

struct record {
	uint64_t number, tick;
	char boot[8];
	uint64_t uptime_ms;
	uint8_t zero[28];
	uint32_t crc;
};
enum verdict { WRITTEN, EMPTY, TORN };

static int file = -1;
static off_t file_bytes;
static volatile int writing;

static enum verdict judge(const struct record *record, uint64_t number)
{
	static const uint8_t nothing[RECORD_BYTES];
	if (!memcmp(record, nothing, RECORD_BYTES))
		return EMPTY;
	return record->number == number && record->crc == crc32_of(record, RECORD_BYTES - 4, 0) ? WRITTEN : TORN;
}

/* Judges the slots 1 .. last (last = 0: all) and tells the highest number that is rightly written. */
static uint64_t scan(uint64_t last, struct record_report *report)
{
	static struct record buffer[256];
	uint64_t number = 1, highest = 0, empty = 0, torn = 0;
	memset(report, 0, sizeof *report);
	for (off_t at = 0; at < file_bytes && (!last || number <= last); at += sizeof buffer) {
		ssize_t got = pread(file, buffer, sizeof buffer, at);
		for (ssize_t i = 0; i < got / RECORD_BYTES && (!last || number <= last); i++, number++) {
			enum verdict verdict = judge(&buffer[i], number);
			empty += verdict == EMPTY;
			torn += verdict == TORN;
			if (verdict != WRITTEN)
				continue;
			highest = number;
			report->records++;
			report->lost = empty; /* holes before a written record are losses; after the last they are the future */
			report->torn = torn;
		}
	}
	if (last) {
		report->lost = last - report->records - torn;
		report->torn = torn;
	}
	return highest;
}

void records_open(void)
{
	struct record_report report;
	file = open("/disk/records", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (file < 0)
		return;
	file_bytes = lseek(file, 0, SEEK_END) / RECORD_BYTES * RECORD_BYTES;
	now.last_record = scan(0, &report);
	now.has_disk = 1;
}

static int grow(void)
{
	static const char zeros[GROW_BYTES];
	if (file_bytes >= LARGEST_BYTES || pwrite(file, zeros, sizeof zeros, file_bytes) != (ssize_t)sizeof zeros)
		return 0;
	if (fsync(file) != 0)
		return 0;
	file_bytes += sizeof zeros;
	return 1;
}

static int write_record(uint64_t number)
{
	struct record record;
	off_t at = (off_t)(number - 1) * RECORD_BYTES;
	if (at + RECORD_BYTES > file_bytes && !grow())
		return 0;
	memset(&record, 0, sizeof record);
	record.number = number;
	record.tick = now.ticks;
	memcpy(record.boot, now.boot_id, sizeof record.boot);
	record.uptime_ms = uptime_ms();
	record.crc = crc32_of(&record, RECORD_BYTES - 4, 0);
	return pwrite(file, &record, RECORD_BYTES, at) == RECORD_BYTES && fdatasync(file) == 0;
}

void *record_thread(void *unused)
{
	(void)unused;
	while (now.has_disk) {
		writing = 1;
		if (!now.leaving) {
			if (write_record(now.last_record + 1))
				now.last_record++;
			else
				now.record_errors++;
		}
		writing = 0;
		sleep_ms(RECORD_PAUSE_MS);
	}
	return 0;
}

struct record_report records_check(void)
{
	struct record_report report;
	memset(&report, 0, sizeof report);
	uint64_t last = now.last_record;
	if (now.has_disk && last)
		scan(last, &report);
	return report;
}

/* Expects now.leaving to be set; afterwards the file system can be unmounted. */
void records_close(void)
{
	for (int i = 0; writing && i < 100; i++)
		sleep_ms(10);
	now.has_disk = 0;
	if (file >= 0)
		close(file);
	file = -1;
}
