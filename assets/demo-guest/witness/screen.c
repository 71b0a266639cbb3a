/*
 * The picture on the console: 80 x 25 cells of VGA text, own colours, some four frames a second. A row is sent only
 * when it changed, because every cell is a trapped write in an emulated machine.
 */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "witness.h"

#define ROWS 25
#define ROW_BYTES 800
#define FRAME_MS 280 /* three and a half a second */
#define WAVE_COLUMNS 76
#define WAVE_ROWS 5

static int console = -1;
static char shown[ROWS + 1][ROW_BYTES];
static char said[80] = "Type a command and Enter: id, check, mem, cpus, poweroff. Alt+F2: a shell.";
static char typed[80];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *palette = "\033]P00b1022\033]P1263760\033]P23ddc97\033]P3ffd166\033]P43a6ff7\033]P5845ef7"
	"\033]P620b8d0\033]P7c9d4ea\033]P86678a3\033]P9ff5d73\033]PA7af0c0\033]PBffe29a\033]PC5c97ff\033]PDb197fc"
	"\033]PE66e0f0\033]PFffffff";
#define DIM "\033[0;90m"
#define TEXT "\033[0;37m"
#define STRONG "\033[0;97m"
#define GOOD "\033[0;32m"
#define BAD "\033[0;91m"
#define LINE "\033[0;31m"

static void row(int number, const char *format, ...)
{
	char text[ROW_BYTES], full[ROW_BYTES + 32];
	va_list values;
	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	if (console < 0 || !strcmp(shown[number], text))
		return;
	strcpy(shown[number], text);
	int size = snprintf(full, sizeof full, "\033[%d;1H%s\033[0m\033[K", number, text);
	(void)!write(console, full, (size_t)size);
}

/* ---- the clock: digits of 3 x 5 dots, a dot is two cells ---- */
static const unsigned char digits[10][5] = {{7, 5, 5, 5, 7}, {2, 6, 2, 2, 7}, {7, 1, 7, 4, 7}, {7, 1, 7, 1, 7},
	{5, 5, 7, 1, 1}, {7, 4, 7, 1, 7}, {7, 4, 7, 5, 7}, {7, 1, 1, 1, 1}, {7, 5, 7, 5, 7}, {7, 5, 7, 1, 7}};

static void clock_row(int number, int line, const char *time)
{
	static const char *const shades[5] = {"\033[0;96m", "\033[0;36m", "\033[0;94m", "\033[0;34m", "\033[0;35m"};
	char text[ROW_BYTES] = "";
	for (const char *c = time; *c; c++) {
		if (*c == ':') {
			strcat(text, line == 1 || line == 3 ? "██  " : "    ");
			continue;
		}
		for (int bit = 4; bit; bit >>= 1)
			strcat(text, digits[*c - '0'][line] & bit ? "██" : "  ");
		strcat(text, "  ");
	}
	row(number, "            %s%s", shades[line], text);
}

static void draw_clock(void)
{
	char time[16];
	unsigned long long s = uptime_ms() / 1000;
	snprintf(time, sizeof time, "%02llu:%02llu:%02llu", s / 3600 % 100, s / 60 % 60, s % 60);
	for (int line = 0; line < 5; line++)
		clock_row(5 + line, line, time);
}

/* ---- the wave: stands still exactly as long as the guest does ---- */
static void draw_wave(void)
{
	static const char *const shades[WAVE_ROWS] = {"\033[0;96m", "\033[0;36m", "\033[0;94m", "\033[0;34m", "\033[0;35m"};
	static float sine[256];
	if (sine[64] == 0)
		for (int i = 0; i < 256; i++)
			sine[i] = (float)sin(i * 6.283185307179586 / 256);
	unsigned t = (unsigned)(uptime_ms() / 16);
	for (int line = 0; line < WAVE_ROWS; line++) {
		char text[ROW_BYTES] = "";
		char *end = text;
		for (unsigned x = 0; x < WAVE_COLUMNS; x++) {
			float sum = sine[(x * 5 + t) & 255] * 3.4f + sine[(x * 9 - t * 2) & 255] * 1.8f;
			int above = (int)(sum + 5.5f) - 2 * (WAVE_ROWS - 1 - line); /* half cells, of this row */
			const char *cell = above >= 2 ? "█" : above == 1 ? "▄" : " ";
			end = stpcpy(end, cell);
		}
		row(13 + line, "  %s%s", shades[line], text);
	}
}

/* ---- the numbers ---- */
static void draw_numbers(void)
{
	char load[64];
	memory_load(load, sizeof load);
	unsigned long long errors = now.memory_errors, failed = now.record_errors;
	row(20, "  %sTicks            %s%-20llu%sRecords on disk  %s%llu%s", DIM, STRONG, (unsigned long long)now.ticks, DIM,
		STRONG, (unsigned long long)now.last_record, now.has_disk ? (failed ? BAD "  failing" : "") : DIM "  no disk");
	row(21, "  %sMemory verified  %s%-5llu%s%-15s%sCores            %s%d", DIM, STRONG, (unsigned long long)now.sweeps,
		errors ? BAD : GOOD, errors ? "damaged" : "intact", DIM, STRONG, machine_cpus());
	row(22, "  %sMemory           %s%lu MB%-*s%sWork             %s%s", DIM, STRONG, machine_memory_kb("MemTotal:") / 1024, 14,
		"", DIM, TEXT, load);
}

static void draw_frame(void)
{
	pthread_mutex_lock(&lock);
	draw_clock();
	draw_wave();
	draw_numbers();
	row(24, "  %s%s", TEXT, said);
	row(25, "  \033[0;33m> %s%s\033[0;33m_", STRONG, typed);
	pthread_mutex_unlock(&lock);
}

void screen_init(void)
{
	console = open("/dev/tty1", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (console < 0)
		return;
	(void)!write(console, palette, strlen(palette));
	static const char clear[] = "\033[0m\033[2J\033[?25l\033[9;0]\033[14;0]";
	(void)!write(console, clear, sizeof clear - 1);
	char line[240] = "";
	for (int i = 0; i < 76; i++)
		strcat(line, "─");
	row(2, "  \033[0;96m▐█▌ %sWIRELESS DOCK+   %sdemo guest%*s%sboot %s%.8s", STRONG, DIM, 30, "", DIM, "\033[0;33m",
		now.boot_id);
	row(3, "  %s%s", LINE, line);
	row(11, "            %sup since the last boot, without a break that it could notice", DIM);
	row(19, "  %s%s", LINE, line);
	row(23, "  %s%s", LINE, line);
}

void *screen_thread(void *unused)
{
	(void)unused;
	while (console >= 0 && !now.leaving) {
		draw_frame();
		sleep_ms(FRAME_MS);
	}
	return 0;
}

static void change(char *field, size_t size, const char *line)
{
	pthread_mutex_lock(&lock);
	snprintf(field, size, "%s", line);
	pthread_mutex_unlock(&lock);
}

void screen_say(const char *line)
{
	change(said, 77, line);
}

void screen_typed(const char *line)
{
	change(typed, 74, line);
}

void screen_farewell(const char *line)
{
	pthread_mutex_lock(&lock);
	row(24, "  \033[0;33m%s ...", line);
	pthread_mutex_unlock(&lock);
}
