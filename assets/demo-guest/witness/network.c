/* One TCP download in the background: shows that an open connection lives through a move. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "witness.h"

static struct sockaddr_in peer;
static volatile uint64_t received;
static volatile uint32_t received_crc;
static const char *volatile state = "none";

static void *download(void *unused)
{
	static char buffer[65536];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t got = -1;
	(void)unused;
	if (fd >= 0 && connect(fd, (struct sockaddr *)&peer, sizeof peer) == 0)
		while ((got = read(fd, buffer, sizeof buffer)) > 0) {
			received_crc = crc32_of(buffer, (size_t)got, received_crc);
			received += (uint64_t)got;
		}
	if (fd >= 0)
		close(fd);
	state = got == 0 ? "done" : "broken";
	return 0;
}

int fetch_start(const char *address, unsigned port)
{
	pthread_t thread;
	if (!strcmp(state, "running") || port > 65535)
		return 0;
	memset(&peer, 0, sizeof peer);
	peer.sin_family = AF_INET;
	peer.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, address, &peer.sin_addr) != 1)
		return 0;
	received = 0;
	received_crc = 0;
	state = "running";
	if (pthread_create(&thread, 0, download, 0) != 0)
		return 0;
	pthread_detach(thread);
	return 1;
}

void fetch_report(char *into, size_t size)
{
	snprintf(into, size, "fetch %s bytes=%llu crc=%08x", state, (unsigned long long)received, received_crc);
}
