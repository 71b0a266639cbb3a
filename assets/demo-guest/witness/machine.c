/* The machine around the witness: power button, cores that were plugged in, memory, options, clocks. */
#include <fcntl.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

#define MOST_INPUTS 8
#define MOST_CPUS 256

/* As in linux/input.h, written out so that no kernel headers are needed. */
struct input_event {
	uint64_t seconds, microseconds;
	uint16_t type, code;
	int32_t value;
};
#define EV_KEY 1
#define KEY_POWER 116

uint64_t uptime_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/*
 * Sleeps at least ms, up to the next full tick: all threads wake at the same instants, and one timer interrupt
 * serves them all. An idle emulated core costs its host one wake-up per interrupt.
 */
void sleep_ms(unsigned ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t at_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + ms;
	at_ms = (at_ms / TICK_MS + 1) * TICK_MS;
	t.tv_sec = (time_t)(at_ms / 1000);
	t.tv_nsec = (long)(at_ms % 1000) * 1000000L;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
}

/* musl refuses sched_setscheduler by design, so the system call is made directly: SCHED_FIFO, lowest priority. */
void make_thread_realtime(void)
{
	int priority = 1;
	syscall(SYS_sched_setscheduler, 0, 1, &priority);
}

void machine_init(void)
{
	sigset_t handled;
	sigemptyset(&handled);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &handled, 0); /* for all threads: main waits for them */
	reboot(RB_DISABLE_CAD);
}

static size_t read_small(const char *path, char *into, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, into, size - 1);
	if (fd >= 0)
		close(fd);
	into[got > 0 ? got : 0] = 0;
	return got > 0 ? (size_t)got : 0;
}

/* name=value from the kernel's command line; false when it is not there. */
int machine_option(const char *name, char *into, size_t size)
{
	char line[2048], *rest = 0;
	read_small("/proc/cmdline", line, sizeof line);
	for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(0, " \n", &rest)) {
		size_t length = strlen(name);
		if (!strncmp(word, name, length) && word[length] == '=') {
			snprintf(into, size, "%s", word + length + 1);
			return 1;
		}
	}
	return 0;
}

int machine_cpus(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

unsigned long machine_memory_kb(const char *field)
{
	char text[4096];
	read_small("/proc/meminfo", text, sizeof text);
	char *at = strstr(text, field);
	return at ? strtoul(at + strlen(field), 0, 10) : 0;
}

/* The kernel leaves a plugged-in core offline until somebody asks for it (udev, on larger systems). */
void *cpu_thread(void *unused)
{
	static char seen[MOST_CPUS];
	char path[64], online[8];
	(void)unused;
	for (;;) {
		for (int cpu = 1; cpu < MOST_CPUS; cpu++) {
			snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/online", cpu);
			int present = access(path, F_OK) == 0;
			if (present && !seen[cpu] && read_small(path, online, sizeof online) && online[0] == '0') {
				int fd = open(path, O_WRONLY | O_CLOEXEC);
				present = fd >= 0 && write(fd, "1", 1) == 1;
				close(fd);
			}
			seen[cpu] = (char)present;
			if (!present && cpu >= 32)
				break;
		}
		sleep_ms(500);
	}
}

/* Records stop, the disk is unmounted, the power goes: in this order, once. */
void machine_off(int reboot_instead)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	if (pthread_mutex_trylock(&once) != 0)
		return;
	now.leaving = 1;
	screen_farewell(reboot_instead ? "Restarting" : "Powering off");
	records_close();
	sync();
	umount("/disk");
	reboot(reboot_instead ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		sleep_ms(1000);
}

void *button_thread(void *unused)
{
	struct pollfd inputs[MOST_INPUTS];
	int count = 0;
	(void)unused;
	for (int i = 0; i < MOST_INPUTS; i++) {
		char path[32];
		snprintf(path, sizeof path, "/dev/input/event%d", i);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		inputs[count].fd = fd;
		inputs[count++].events = POLLIN;
	}
	while (count && poll(inputs, (nfds_t)count, -1) > 0)
		for (int i = 0; i < count; i++) {
			struct input_event event;
			if (!(inputs[i].revents & POLLIN) || read(inputs[i].fd, &event, sizeof event) != sizeof event)
				continue;
			if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1)
				machine_off(0);
		}
	return 0;
}
