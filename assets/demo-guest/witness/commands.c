/* Commands come from the port or the keyboard, one at a time; the answer goes back where it was asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "witness.h"

struct request {
	int from_keyboard;
	char line[LINE_BYTES];
};
static int queue[2] = {-1, -1};

void command_submit(int from_keyboard, const char *line)
{
	struct request request;
	memset(&request, 0, sizeof request);
	request.from_keyboard = from_keyboard;
	strncpy(request.line, line, sizeof request.line - 1);
	if (queue[1] >= 0)
		(void)!write(queue[1], &request, sizeof request); /* < PIPE_BUF: whole or not at all */
}

static void check(char *answer, size_t size)
{
	int memory_ok = memory_check_all();
	struct record_report report = records_check();
	snprintf(answer, size, "check records=%llu lost=%llu torn=%llu mem=%s memerrors=%llu",
		(unsigned long long)report.records, (unsigned long long)report.lost, (unsigned long long)report.torn,
		memory_ok && !now.memory_errors ? "ok" : "bad", (unsigned long long)now.memory_errors);
}

static void network_fetch(const char *line, char *answer, size_t size)
{
	char address[32];
	unsigned port;
	if (sscanf(line, "fetch %31s %u", address, &port) == 2)
		snprintf(answer, size, fetch_start(address, port) ? "fetch ok" : "fetch busy");
	else
		fetch_report(answer, size);
}

static void load(const char *line, char *answer, size_t size)
{
	char name[16];
	unsigned seed = 1;
	if (sscanf(line, "load %15s %u", name, &seed) >= 1)
		snprintf(answer, size, loads_start(name, seed) ? "load ok" : "load failed");
	else
		loads_report(answer, size);
}

static void run(const char *line, char *answer, size_t size)
{
	unsigned a, b;
	if (!strcmp(line, "id"))
		snprintf(answer, size, "id %s %llu", now.boot_id, (unsigned long long)uptime_ms());
	else if (!strcmp(line, "check"))
		check(answer, size);
	else if (sscanf(line, "fill %u", &a) == 1)
		snprintf(answer, size, memory_fill(a) ? "fill ok" : "fill failed");
	else if (sscanf(line, "dirty %u %u", &a, &b) == 2)
		snprintf(answer, size, memory_dirty(a, b) ? "dirty ok" : "dirty failed");
	else if (!strncmp(line, "load", 4))
		load(line, answer, size);
	else if (!strcmp(line, "cpus"))
		snprintf(answer, size, "cpus %d", machine_cpus());
	else if (!strcmp(line, "mem"))
		snprintf(answer, size, "mem %lu", machine_memory_kb("MemTotal:"));
	else if (!strcmp(line, "free"))
		snprintf(answer, size, "free %lu", machine_memory_kb("MemAvailable:"));
	else if (!strcmp(line, "sync")) {
		sync();
		snprintf(answer, size, "sync ok");
	} else if (!strncmp(line, "fetch", 5))
		network_fetch(line, answer, size);
	else if (!strcmp(line, "agent"))
		agent_report(answer, size);
	else if (!strcmp(line, "poweroff"))
		machine_off(0);
	else
		snprintf(answer, size, "unknown; there are: id check fill dirty load cpus mem free sync fetch agent poweroff");
}

void *command_thread(void *unused)
{
	(void)unused;
	if (pipe(queue) != 0)
		return 0;
	for (;;) {
		struct request request;
		char answer[LINE_BYTES] = "";
		if (read(queue[0], &request, sizeof request) != (ssize_t)sizeof request)
			continue;
		if (request.from_keyboard)
			screen_say("...");
		run(request.line, answer, sizeof answer);
		if (request.from_keyboard)
			screen_say(answer);
		else
			port_answer(answer);
	}
}
