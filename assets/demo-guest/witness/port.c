/*
 * The witness port, ttyS1. One thread owns it: every 10 ms it sends a tick, what answers wait, and takes
 * what commands came. Nobody may be listening: what does not fit is dropped by whole lines, never waited for.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

static char out[8192];
static size_t out_used;
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

static void enqueue(const char *line, size_t size)
{
	pthread_mutex_lock(&out_lock);
	if (out_used + size <= sizeof out) {
		memcpy(out + out_used, line, size);
		out_used += size;
	}
	pthread_mutex_unlock(&out_lock);
}

void port_answer(const char *line)
{
	char full[LINE_BYTES + 4];
	int size = snprintf(full, sizeof full, "= %s\n", line);
	enqueue(full, (size_t)size < sizeof full ? (size_t)size : sizeof full - 1);
}

static void flush(int fd)
{
	pthread_mutex_lock(&out_lock);
	ssize_t sent = out_used ? write(fd, out, out_used) : 0;
	if (sent > 0) {
		memmove(out, out + sent, out_used - (size_t)sent);
		out_used -= (size_t)sent;
	}
	pthread_mutex_unlock(&out_lock);
}

static void take_commands(int fd)
{
	static char line[LINE_BYTES];
	static size_t used;
	char in[256];
	ssize_t size = read(fd, in, sizeof in);
	for (ssize_t i = 0; i < size; i++) {
		if (in[i] == '\n' || in[i] == '\r') {
			line[used] = 0;
			if (used)
				command_submit(0, line);
			used = 0;
		} else if (in[i] >= ' ' && in[i] < 0x7f && used < sizeof line - 1) { /* a UART being probed sends noise */
			line[used++] = in[i];
		}
	}
}

static int open_port(void)
{
	int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_NONBLOCK);
	struct termios mode;
	if (fd < 0 || tcgetattr(fd, &mode) != 0)
		return -1;
	cfmakeraw(&mode);
	mode.c_cflag |= CLOCAL | CREAD;
	cfsetspeed(&mode, B115200);
	tcsetattr(fd, TCSANOW, &mode);
	return fd;
}

/* Ticks lie on full multiples of 10 ms, see sleep_ms. */
static void wait_for_next(struct timespec *next)
{
	next->tv_nsec += TICK_MS * 1000000L;
	if (next->tv_nsec >= 1000000000L) {
		next->tv_nsec -= 1000000000L;
		next->tv_sec++;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, 0);
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	long late_ms = (t.tv_sec - next->tv_sec) * 1000 + (t.tv_nsec - next->tv_nsec) / 1000000;
	if (late_ms >= TICK_MS) /* no bursts after a pause: a tick says "I ran just now" */
		next->tv_sec = t.tv_sec, next->tv_nsec = t.tv_nsec - t.tv_nsec % (TICK_MS * 1000000L);
}

void *port_thread(void *unused)
{
	(void)unused;
	make_thread_realtime();
	int fd = open_port();
	struct timespec next;
	clock_gettime(CLOCK_MONOTONIC, &next);
	next.tv_nsec -= next.tv_nsec % (TICK_MS * 1000000L);
	for (;;) {
		wait_for_next(&next);
		char line[LINE_BYTES];
		int size = snprintf(line, sizeof line, "t %.8s %llu %llu %llu %llu\n", now.boot_id,
			(unsigned long long)++now.ticks, (unsigned long long)now.last_record,
			(unsigned long long)now.sweeps, (unsigned long long)now.memory_errors);
		if (fd < 0)
			continue;
		enqueue(line, (size_t)size);
		flush(fd);
		take_commands(fd);
	}
	return 0;
}
