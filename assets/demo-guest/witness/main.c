/* Starts the parts in order: what the others count on first, the port last (its first tick says "alive"). */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "witness.h"

struct counters now;

uint32_t crc32_of(const void *data, size_t size, uint32_t seed)
{
	static uint32_t table[256];
	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (int bit = 0; bit < 8; bit++)
				c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
			table[i] = c;
		}
	const uint8_t *p = data;
	uint32_t c = ~seed;
	while (size--)
		c = table[(c ^ *p++) & 0xff] ^ (c >> 8);
	return ~c;
}

static void start(void *(*part)(void *))
{
	pthread_t thread;
	if (pthread_create(&thread, 0, part, 0) != 0) {
		fprintf(stderr, "witness: cannot start a thread\n");
		exit(1);
	}
	pthread_detach(thread);
}

static void read_boot_id(void)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
	if (fd < 0 || read(fd, now.boot_id, 36) != 36)
		strcpy(now.boot_id, "00000000-0000-0000-0000-000000000000");
	close(fd);
}

/* The loads of the measurements: work=fill, or what the command `load` knows. */
static void start_work(void)
{
	char work[16];
	if (!machine_option("work", work, sizeof work))
		return;
	if (!strcmp(work, "fill"))
		memory_fill(150);
	else
		loads_start(work, 1);
}

int main(void)
{
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	crc32_of("", 0, 0);
	read_boot_id();
	machine_init();
	screen_init();
	memory_init();
	records_open();
	start(command_thread);
	start(record_thread);
	start(memory_thread);
	start(dirty_thread);
	start(loads_thread);
	start(cpu_thread);
	start(button_thread);
	start(screen_thread);
	start(keyboard_thread);
	start(agent_thread);
	start(port_thread);
	start_work();
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT); /* Ctrl-Alt-Del */
	sigaddset(&wanted, SIGTERM);
	for (;;) {
		int got = 0;
		if (sigwait(&wanted, &got) == 0)
			machine_off(got == SIGINT);
	}
}
