/* What is typed on the console appears at the bottom of the screen; Enter runs it as a command. */
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "witness.h"

#define LONGEST 60

static size_t take(char *line, size_t used, char key)
{
	if (key == '\r' || key == '\n') {
		line[used] = 0;
		if (used)
			command_submit(1, line);
		return 0;
	}
	if (key == 0x7f || key == '\b')
		return used ? used - 1 : 0;
	if (key >= ' ' && key < 0x7f && used < LONGEST)
		line[used++] = key;
	return used;
}

void *keyboard_thread(void *unused)
{
	char line[LONGEST + 1] = "", key;
	size_t used = 0;
	int escape = 0;
	struct termios mode;
	int fd = open("/dev/tty1", O_RDWR | O_NOCTTY | O_CLOEXEC);
	(void)unused;
	if (fd < 0 || tcgetattr(fd, &mode) != 0)
		return 0;
	cfmakeraw(&mode);
	mode.c_oflag |= OPOST | ONLCR;
	tcsetattr(fd, TCSANOW, &mode);
	while (read(fd, &key, 1) == 1) {
		if (key == 27 || escape) { /* arrow keys and the like: skip to the letter or ~ that ends them */
			escape = key == 27 || key == '[' || (key >= '0' && key <= '9') || key == ';';
			continue;
		}
		used = take(line, used, key);
		line[used] = 0;
		screen_typed(line);
	}
	return 0;
}
