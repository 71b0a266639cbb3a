/*
 * Memory: a pattern of 32 MB, every word of which follows from the boot id and its address, verified without
 * end at a low rate; and the loads of the measurements (fill, dirty), which are random and do not compress.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "witness.h"

#define WORDS (PAGE_BYTES / 8)
#define PAGES_PER_STEP 64
#define STEP_MS 90 /* 64 pages every 100 ms: a sweep takes 13 s and 1 to 2 % of an emulated core */

static uint64_t *pattern;
static uint64_t seed;
static pthread_mutex_t pattern_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile unsigned filled_mb, dirty_mb, dirty_hz;
static uint64_t *volatile dirty_area;

void *memory_allocate(size_t bytes)
{
	void *area = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return area == MAP_FAILED ? 0 : area;
}

static uint64_t page_start(unsigned page)
{
	uint64_t x = seed + (page + 1) * 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	return x ^ (x >> 31);
}

static void write_page(unsigned page)
{
	uint64_t *word = pattern + (size_t)page * WORDS, *end = word + WORDS, value = page_start(page);
	while (word < end) {
		*word++ = value;
		value += 0x9e3779b97f4a7c15ull;
	}
}

static int page_is_right(unsigned page)
{
	uint64_t *word = pattern + (size_t)page * WORDS, *end = word + WORDS, value = page_start(page), wrong = 0;
	while (word < end) {
		wrong |= *word++ ^ value;
		value += 0x9e3779b97f4a7c15ull;
	}
	return !wrong;
}

/* A wrong page is counted once and written anew, so that the count tells pages, not sweeps. */
static int verify(unsigned first, unsigned count)
{
	int right = 1;
	pthread_mutex_lock(&pattern_lock);
	for (unsigned page = first; page < first + count && page < PATTERN_PAGES; page++)
		if (!page_is_right(page)) {
			now.memory_errors++;
			write_page(page);
			right = 0;
		}
	pthread_mutex_unlock(&pattern_lock);
	return right;
}

void memory_init(void)
{
	pattern = memory_allocate((size_t)PATTERN_PAGES * PAGE_BYTES);
	if (!pattern) {
		fprintf(stderr, "witness: no memory for the pattern\n");
		exit(1);
	}
	seed = crc32_of(now.boot_id, 36, 0) | (uint64_t)crc32_of(now.boot_id, 36, 1) << 32;
	for (unsigned page = 0; page < PATTERN_PAGES; page++)
		write_page(page);
}

void *memory_thread(void *unused)
{
	(void)unused;
	for (unsigned page = 0;; page += PAGES_PER_STEP) {
		if (page >= PATTERN_PAGES) {
			page = 0;
			now.sweeps++;
		}
		verify(page, PAGES_PER_STEP);
		sleep_ms(STEP_MS);
	}
}

int memory_check_all(void)
{
	int right = 1;
	for (unsigned page = 0; page < PATTERN_PAGES; page += 256)
		right &= verify(page, 256);
	return right;
}

/* xorshift64: random enough that no compressor gains, cheap enough for 40 MB/s on an emulated core. */
void memory_random(uint64_t *state, uint64_t *word, size_t words)
{
	uint64_t x = *state, *end = word + words;
	__asm__ volatile(
		"1:\n\t"
		"mov %0, %%rax\n\t"
		"shl $13, %%rax\n\t"
		"xor %%rax, %0\n\t"
		"mov %0, %%rax\n\t"
		"shr $7, %%rax\n\t"
		"xor %%rax, %0\n\t"
		"mov %0, %%rax\n\t"
		"shl $17, %%rax\n\t"
		"xor %%rax, %0\n\t"
		"mov %0, (%1)\n\t"
		"add $8, %1\n\t"
		"cmp %2, %1\n\t"
		"jb 1b\n\t"
		: "+r"(x), "+r"(word)
		: "r"(end)
		: "rax", "memory", "cc");
	*state = x;
}

static void randomize(uint64_t *word, size_t words)
{
	static uint64_t x;
	if (!x)
		x = seed | 1;
	memory_random(&x, word, words);
}

int memory_fill(unsigned megabytes)
{
	if (!megabytes || megabytes > machine_memory_kb("MemAvailable:") / 1024)
		return 0;
	uint64_t *area = memory_allocate((size_t)megabytes << 20);
	if (!area)
		return 0;
	randomize(area, (size_t)megabytes << 17);
	filled_mb += megabytes;
	return 1;
}

int memory_dirty(unsigned megabytes, unsigned times_per_second)
{
	static unsigned allocated_mb;
	dirty_hz = 0;
	if (!megabytes || !times_per_second)
		return 1;
	if (megabytes > allocated_mb) {
		uint64_t *area = memory_allocate((size_t)megabytes << 20);
		if (!area)
			return 0;
		dirty_area = area;
		allocated_mb = megabytes;
	}
	dirty_mb = megabytes;
	dirty_hz = times_per_second;
	return 1;
}

void *dirty_thread(void *unused)
{
	(void)unused;
	for (;;) {
		unsigned hz = dirty_hz;
		if (!hz) {
			sleep_ms(100);
			continue;
		}
		uint64_t start = uptime_ms();
		randomize(dirty_area, (size_t)dirty_mb << 17);
		uint64_t took = uptime_ms() - start, period = 1000 / hz;
		sleep_ms(took < period ? (unsigned)(period - took) : 1);
	}
}

void memory_load(char *into, size_t size)
{
	if (loads_name(into, size))
		return;
	if (dirty_hz)
		snprintf(into, size, "dirty %u MB x %u/s", dirty_mb, dirty_hz);
	else if (filled_mb)
		snprintf(into, size, "fill %u MB random", filled_mb);
	else
		snprintf(into, size, "light");
}
