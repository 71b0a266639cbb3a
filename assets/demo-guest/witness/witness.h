/*
 * The witness: the only program of the demo guest (it is PID 1). It proves that a guest which was moved,
 * frozen or killed is still the same guest: ticks on a serial port, numbered records on the disk, a pattern
 * in memory. Each part is one thread; every counter below has exactly one writing thread, and 64-bit stores
 * are atomic on x86-64, so no locks are needed to read them.
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <stddef.h>
#include <stdint.h>

#define TICK_MS 10
#define RECORD_PAUSE_MS 40 /* after each: about 20 a second */
#define RECORD_BYTES 64
#define PATTERN_PAGES 8192 /* 32 MB of 4 KB pages */
#define PAGE_BYTES 4096
#define LINE_BYTES 160

struct counters {
	char boot_id[37]; /* of this boot, as the kernel tells it */
	volatile uint64_t ticks;
	volatile uint64_t last_record; /* the highest number known to be on the disk (fsynced) */
	volatile uint64_t sweeps;      /* times the whole pattern was verified */
	volatile uint64_t memory_errors;
	volatile uint64_t record_errors; /* write or fsync failures */
	volatile int has_disk;
	volatile int leaving; /* the machine is being powered off: nobody writes to the disk any more */
};
extern struct counters now;

/* port.c: ticks and answers out, commands in, never blocking on the port */
void *port_thread(void *unused);
void port_answer(const char *line);

/* commands.c: one command at a time, from the port or from the keyboard */
void *command_thread(void *unused);
void command_submit(int from_keyboard, const char *line);

/* records.c */
struct record_report { uint64_t records, lost, torn; };
void records_open(void);
void *record_thread(void *unused);
struct record_report records_check(void);
void records_close(void);

/* memory.c */
void memory_init(void);
void *memory_thread(void *unused);
void *dirty_thread(void *unused);
int memory_check_all(void);
int memory_fill(unsigned megabytes);
int memory_dirty(unsigned megabytes, unsigned times_per_second);
void *memory_allocate(size_t bytes); /* zeros; null when there is none */
void memory_random(uint64_t *state, uint64_t *word, size_t words); /* *state is not 0 */
void memory_load(char *into, size_t size); /* in words, at most 22 characters */

/* loads.c: one at a time */
void *loads_thread(void *unused);
int loads_start(const char *name, unsigned seed); /* terminal, video, mixed, dirty, none */
void loads_report(char *into, size_t size);
int loads_name(char *into, size_t size); /* false while none of the first three is on */

/* machine.c */
void machine_init(void);
void *button_thread(void *unused);
void *cpu_thread(void *unused);
void machine_off(int reboot_instead);
int machine_cpus(void);
unsigned long machine_memory_kb(const char *field);
int machine_option(const char *name, char *into, size_t size);
uint64_t uptime_ms(void);
void sleep_ms(unsigned ms);
void make_thread_realtime(void);

/* screen.c and keyboard.c */
void screen_init(void);
void *screen_thread(void *unused);
void screen_say(const char *line);
void screen_typed(const char *line);
void screen_farewell(const char *line);
void *keyboard_thread(void *unused);

/* network.c: a TCP download that goes on in the background */
int fetch_start(const char *address, unsigned port);
void fetch_report(char *into, size_t size);

/* agent.c: what a host asks of a guest's agent, and what came of it */
void *agent_thread(void *unused);
void agent_report(char *into, size_t size);

uint32_t crc32_of(const void *data, size_t size, uint32_t seed);

#endif
