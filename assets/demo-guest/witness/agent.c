/*
 * The part of the QEMU guest agent that Wireless Dock+ asks for (docs/interop/qemu-ga-ref in QEMU's sources): one JSON
 * value a line on a virtio port. Freezing is real, as is the clock; what is not known is refused as qemu-ga does.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

/* As in linux/fs.h: _IOWR('X', 119, int) and _IOWR('X', 120, int). */
#define FIFREEZE 0xc0045877u
#define FITHAW 0xc0045878u
#define PORT_NAME "org.qemu.guest_agent.0"
#define IDLE_MS 50
#define MOST_TRIES 200

static volatile uint64_t flushes;
static volatile int frozen;

/* The port with the agent's name, as /dev/vport0p1; there is no udev to make a link to it. */
static int open_port(void)
{
	DIR *ports = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	int found = -1;
	while (ports && found < 0 && (entry = readdir(ports))) {
		char path[320], name[64] = "";
		snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
		int fd = open(path, O_RDONLY);
		ssize_t got = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
		if (fd >= 0)
			close(fd);
		if (got < (ssize_t)strlen(PORT_NAME) || strncmp(name, PORT_NAME, strlen(PORT_NAME)))
			continue;
		snprintf(path, sizeof path, "/dev/%s", entry->d_name);
		found = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
	if (ports)
		closedir(ports);
	return found;
}

static int on_disk(unsigned long request)
{
	int fd = open("/disk", O_RDONLY | O_DIRECTORY);
	int failed = fd < 0 || ioctl(fd, request, 0) != 0;
	if (fd >= 0)
		close(fd);
	return !failed;
}

static int freeze(void)
{
	if (frozen || !now.has_disk || !on_disk(FIFREEZE))
		return 0;
	frozen = 1;
	flushes++;
	return 1;
}

static int thaw(void)
{
	int was = frozen && on_disk(FITHAW);
	if (was)
		frozen = 0;
	return was;
}

static long long number_after(const char *line, const char *key)
{
	const char *at = strstr(line, key);
	return at ? strtoll(at + strlen(key), 0, 10) : 0;
}

static int set_time(const char *line)
{
	long long ns = number_after(line, "\"time\":");
	struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
	return clock_settime(CLOCK_REALTIME, &t) == 0;
}

static void answer(const char *line, char *into, size_t size)
{
	if (strstr(line, "\"guest-sync-delimited\""))
		snprintf(into, size, "\xff{\"return\": %lld}\n", number_after(line, "\"id\":"));
	else if (strstr(line, "\"guest-ping\""))
		snprintf(into, size, "{\"return\": {}}\n");
	else if (strstr(line, "\"guest-fsfreeze-status\""))
		snprintf(into, size, "{\"return\": \"%s\"}\n", frozen ? "frozen" : "thawed");
	else if (strstr(line, "\"guest-fsfreeze-freeze\""))
		snprintf(into, size, "{\"return\": %d}\n", freeze());
	else if (strstr(line, "\"guest-fsfreeze-thaw\""))
		snprintf(into, size, "{\"return\": %d}\n", thaw());
	else if (strstr(line, "\"guest-set-time\"") && set_time(line))
		snprintf(into, size, "{\"return\": {}}\n");
	else
		snprintf(into, size, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"not known, or failed\"}}\n");
}

/* The kernel may not have heard yet that somebody is at the other end: then writing does not work for a moment. */
static void tell(int port, const char *text)
{
	for (int tries = 0; *text && tries < MOST_TRIES; tries++) {
		ssize_t sent = write(port, text, strlen(text));
		if (sent > 0)
			text += sent;
		else
			sleep_ms(IDLE_MS);
	}
}

static void serve(int port)
{
	char line[4096];
	size_t length = 0;
	for (;;) {
		char byte;
		struct pollfd ready = {port, POLLIN, 0};
		if (poll(&ready, 1, -1) < 0 || read(port, &byte, 1) != 1) {
			/* Nobody is at the other end: then polling does not wait. */
			sleep_ms(IDLE_MS);
			continue;
		}
		if ((unsigned char)byte == 0xff)
			length = 0;
		else if (byte != '\n' && length < sizeof line - 1)
			line[length++] = byte;
		if (byte != '\n')
			continue;
		char text[256];
		line[length] = 0;
		length = 0;
		answer(line, text, sizeof text);
		tell(port, text);
	}
}

void *agent_thread(void *unused)
{
	(void)unused;
	for (int tries = 0; tries < MOST_TRIES; tries++) {
		int port = open_port();
		if (port >= 0)
			serve(port);
		sleep_ms(IDLE_MS);
	}
	return 0;
}

void agent_report(char *into, size_t size)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	unsigned long long ms = (unsigned long long)t.tv_sec * 1000 + (unsigned long long)t.tv_nsec / 1000000;
	snprintf(into, size, "agent clock=%llu flushes=%llu frozen=%d", ms, (unsigned long long)flushes, frozen);
}
