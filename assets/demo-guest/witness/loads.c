/*
 * The workloads of the measurements: what a person does in a guest, in small. `terminal` is a browser at rest behind a
 * terminal, `video` a player that paints a window, `mixed` half of both and a document that grows. What the n-th step
 * writes follows from the seed; the clock only decides when it is done, and a step that comes too late is left out.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "witness.h"

#define WORDS 256 /* in the language of the texts */
#define WORD_BYTES 12
#define HEAP_BYTES (32u << 20)    /* of the browser */
#define LIBRARY_BYTES (8u << 20)  /* read from the disk into the page cache */
#define SCROLLBACK_BYTES (1u << 20)
#define DOCUMENT_BYTES (16u << 20) /* then it begins anew */
#define HISTORY_BYTES (4 << 20)
#define WIDTH 1280
#define HEIGHT 720
#define BAR_ROWS 90 /* black, above and below */
#define NOISE_WIDTH 320
#define NOISE_HEIGHT 180
#define STREAM_BYTES (8u << 20)
#define STREAM_STEP 10240 /* of a video of 2 Mbit/s, a frame */
#define LATEST_MS 1000

struct kind {
	const char *name;
	unsigned frames_hz, lines_hz, document_bytes; /* the last each second */
};
static const struct kind kinds[] = {{"terminal", 0, 10, 0}, {"video", 24, 0, 0}, {"mixed", 12, 5, 16384}};
static const struct kind none = {"none", 0, 0, 0};

static const struct kind *kind = &none;
static const char *named = "none"; /* as it was asked for */
static volatile uint64_t steps, late;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t text_random, picture_random;
static char words[WORDS][WORD_BYTES];
static uint8_t *heap, *scrollback, *document, *stream;
static uint32_t *frame, *gradient;
static uint64_t lines_done, frames_done, document_used, scrollback_at;

/* ---- texts ---- */
static uint64_t next(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static void invent_words(void)
{
	static const char letters[] = "etaoinshrdlucmfwypvbgkjqxz";
	for (int i = 0; i < WORDS; i++) {
		uint64_t random = next(&text_random);
		int length = 2 + (int)(random % 8);
		for (int at = 0; at < length; at++) {
			random = random / 26 ^ next(&text_random);
			words[i][at] = letters[random % 26 * (random % 7 + 1) / 7]; /* the first ones most often */
		}
		words[i][length] = ' ';
		words[i][length + 1] = 0;
	}
}

/* Lines of words, each with a number as logs and addresses have them. */
static void write_text(uint64_t *state, uint8_t *into, size_t size)
{
	uint8_t *end = into + size;
	for (unsigned count = 1; end - into >= 2 * WORD_BYTES; count++) {
		uint64_t random = next(state);
		const char *word = words[random & (WORDS - 1)];
		while (*word)
			*into++ = (uint8_t)*word++;
		if (count % 12)
			continue;
		for (int digit = 0; digit < 8; digit++)
			*into++ = (uint8_t)"0123456789abcdef"[random >> (8 + 4 * digit) & 15];
		*into++ = '\n';
	}
	while (into < end)
		*into++ = '\n';
}

static void append(const char *path, const void *data, size_t size, off_t largest)
{
	int fd = now.has_disk ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
	if (fd < 0)
		return;
	if (lseek(fd, 0, SEEK_END) >= largest)
		(void)!ftruncate(fd, 0);
	(void)!write(fd, data, size);
	fdatasync(fd);
	close(fd);
}

/* ---- what lies in memory before the first step ---- */
/* Of eight pages of a browser four are texts, two are objects that point at each other, one is a picture, one is free. */
static void build_heap(void)
{
	for (unsigned page = 0; page < HEAP_BYTES / PAGE_BYTES; page++) {
		uint8_t *at = heap + (size_t)page * PAGE_BYTES;
		uint64_t *slot = (uint64_t *)at;
		if (page % 8 < 4)
			write_text(&text_random, at, PAGE_BYTES);
		else if (page % 8 < 6)
			for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
				slot[i] = i % 4 ? 0x7f0000000000ull + next(&text_random) % HEAP_BYTES / 16 * 16 : i;
		else if (page % 8 == 6)
			memory_random(&text_random, slot, PAGE_BYTES / 8);
		else
			memset(at, 0, PAGE_BYTES);
	}
}

static void build_picture(void)
{
	for (unsigned x = 0; x < 2 * WIDTH; x++) {
		unsigned at = x % WIDTH, up = at < WIDTH / 2 ? at : WIDTH - 1 - at;
		gradient[x] = (up * 255 / WIDTH) << 17 | (at * 255 / WIDTH) << 8 | (255 - up * 255 / WIDTH);
	}
	memset(frame, 0x10, WIDTH * HEIGHT * 4);
	memory_random(&picture_random, (uint64_t *)stream, STREAM_BYTES / 8);
}

/* Written once for each seed; read from the disk in any case, so that it lies in the page cache as files do. */
static void read_library(unsigned seed)
{
	static uint8_t buffer[65536];
	char path[64];
	uint64_t random = text_random; /* whether it is there already makes no difference to what follows */
	snprintf(path, sizeof path, "/disk/library-%u", seed);
	int fd = now.has_disk ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;
	if (fd < 0)
		return;
	for (off_t at = lseek(fd, 0, SEEK_END); at < LIBRARY_BYTES; at += (off_t)sizeof buffer) {
		write_text(&random, buffer, sizeof buffer);
		if (pwrite(fd, buffer, sizeof buffer, at) != (ssize_t)sizeof buffer)
			break;
	}
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	lseek(fd, 0, SEEK_SET);
	while (read(fd, buffer, sizeof buffer) > 0)
		;
	close(fd);
}

static int allocate_all(void)
{
	if (!heap) {
		gradient = memory_allocate(2 * WIDTH * 4);
		frame = memory_allocate(WIDTH * HEIGHT * 4);
		stream = memory_allocate(STREAM_BYTES);
		scrollback = memory_allocate(SCROLLBACK_BYTES);
		document = memory_allocate(DOCUMENT_BYTES);
		heap = memory_allocate(HEAP_BYTES);
	}
	return gradient && frame && stream && scrollback && document && heap;
}

static int build(const struct kind *wanted, unsigned seed)
{
	if (!allocate_all())
		return 0;
	text_random = picture_random = (seed + 1) * 0x9e3779b97f4a7c15ull;
	steps = late = lines_done = frames_done = document_used = scrollback_at = 0;
	invent_words();
	build_heap();
	if (wanted->lines_hz)
		read_library(seed);
	if (wanted->frames_hz)
		build_picture();
	return 1;
}

/* ---- the steps ---- */
static void paint(void)
{
	unsigned shift = (unsigned)(frames_done * 4);
	size_t row_bytes = WIDTH * 4;
	memset(frame, 0x10, BAR_ROWS * row_bytes);
	memset(frame + (HEIGHT - BAR_ROWS) * WIDTH, 0x10, BAR_ROWS * row_bytes);
	for (unsigned y = BAR_ROWS; y < HEIGHT - BAR_ROWS; y++)
		memcpy(frame + y * WIDTH, gradient + (shift + y / 8) % WIDTH, row_bytes);
	for (unsigned y = 0; y < NOISE_HEIGHT; y++) {
		uint32_t *at = frame + ((HEIGHT - NOISE_HEIGHT) / 2 + y) * WIDTH + (WIDTH - NOISE_WIDTH) / 2;
		memory_random(&picture_random, (uint64_t *)at, NOISE_WIDTH / 2);
	}
	size_t at = frames_done * STREAM_STEP % (STREAM_BYTES - STREAM_STEP) / 8 * 8;
	memory_random(&picture_random, (uint64_t *)(stream + at), STREAM_STEP / 8);
	frames_done++;
}

/* A line and a half of output, two pages of the browser touched; once in ten times something is saved. */
static void type(void)
{
	uint8_t line[1024];
	write_text(&text_random, line, 128);
	if (scrollback_at + 128 > SCROLLBACK_BYTES)
		scrollback_at = 0;
	memcpy(scrollback + scrollback_at, line, 128);
	scrollback_at += 128;
	for (int i = 0; i < 2; i++)
		*(uint64_t *)(heap + next(&text_random) % (HEAP_BYTES / PAGE_BYTES) * PAGE_BYTES) = lines_done;
	if (++lines_done % 10)
		return;
	write_text(&text_random, line, sizeof line);
	append("/disk/history", line, sizeof line, HISTORY_BYTES);
}

static void write_document(unsigned bytes)
{
	if (document_used + bytes > DOCUMENT_BYTES)
		document_used = 0;
	write_text(&text_random, document + document_used, bytes);
	append("/disk/document", document + document_used, bytes, DOCUMENT_BYTES);
	document_used += bytes;
}

/* Whether a step that is done hz times a second is due; its next time is moved on. */
static int is_due(uint64_t *next_ms, unsigned hz, uint64_t present_ms)
{
	if (!hz || present_ms < *next_ms)
		return 0;
	if (present_ms > *next_ms + LATEST_MS) {
		late += (present_ms - *next_ms) * hz / 1000;
		*next_ms = present_ms;
	}
	*next_ms += 1000 / hz;
	steps++;
	return 1;
}

void *loads_thread(void *unused)
{
	uint64_t next_frame = 0, next_line = 0, next_second = 0;
	(void)unused;
	while (!now.leaving) {
		pthread_mutex_lock(&lock);
		uint64_t present = uptime_ms();
		const struct kind *of = kind;
		if (!steps)
			next_frame = next_line = next_second = present;
		if (is_due(&next_frame, of->frames_hz, present))
			paint();
		if (is_due(&next_line, of->lines_hz, present))
			type();
		if (is_due(&next_second, of->document_bytes ? 1 : 0, present))
			write_document(of->document_bytes);
		pthread_mutex_unlock(&lock);
		sleep_ms(of == &none ? 100 : 1);
	}
	return 0;
}

/* ---- what is asked for ---- */
int loads_start(const char *name, unsigned seed)
{
	const struct kind *wanted = strcmp(name, "none") && strcmp(name, "dirty") ? 0 : &none;
	for (unsigned i = 0; !wanted && i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(name, kinds[i].name))
			wanted = &kinds[i];
	if (!wanted)
		return 0;
	pthread_mutex_lock(&lock);
	kind = &none;
	int done = strcmp(name, "dirty") ? memory_dirty(0, 0) : memory_dirty(8, 5);
	if (done && wanted != &none)
		done = build(wanted, seed);
	if (done) {
		kind = wanted;
		named = wanted == &none ? (strcmp(name, "dirty") ? "none" : "dirty") : wanted->name;
	}
	pthread_mutex_unlock(&lock);
	return done;
}

void loads_report(char *into, size_t size)
{
	snprintf(into, size, "load %s steps=%llu late=%llu", named, (unsigned long long)steps, (unsigned long long)late);
}

int loads_name(char *into, size_t size)
{
	if (kind == &none)
		return 0;
	snprintf(into, size, "%s", kind->name);
	return 1;
}
