/* See descendants.h. */
#include "harness/drive/descendants.h"

#include "harness/drive/gate.h"

#include <ctype.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENDED_MAX = 10000 }; /* processes of one program; more are left running */

void descendants_adopt(bool on)
{
	(void)prctl(PR_SET_CHILD_SUBREAPER, on);
}

/* A process whose parent is this one; 0: there is none. Of several any. */
static pid_t some_child(void)
{
	DIR *proc = opendir("/proc");
	pid_t found = 0;
	struct dirent *e;

	while (proc != NULL && found == 0 && (e = readdir(proc)) != NULL) {
		char path[64], text[512];
		int parent = 0;
		FILE *f;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		(void)snprintf(path, sizeof path, "/proc/%.20s/stat", e->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		size_t n = fread(text, 1, sizeof text - 1, f);

		(void)fclose(f);
		text[n] = '\0';
		/* "PID (NAME) STATE PPID": the name may hold anything. */
		const char *end = strrchr(text, ')');

		if (end != NULL && sscanf(end + 1, " %*c %d", &parent) == 1 && parent == getpid())
			found = (pid_t)strtol(e->d_name, NULL, 10);
	}
	if (proc != NULL)
		(void)closedir(proc);
	return found;
}

size_t descendants_end(void)
{
	size_t ended = 0;

	for (unsigned i = 0; i < ENDED_MAX; i++) {
		pid_t pid = some_child();

		if (pid == 0)
			break;
		(void)kill(pid, SIGKILL);
		if (waitpid(pid, NULL, 0) == pid)
			ended++;
	}
	return ended;
}

size_t descendants_linger(uint64_t ns)
{
	uint64_t until = gate_now_ns() + ns;

	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0)
			return 0;
		if (pid == 0 && gate_now_ns() >= until)
			return descendants_end();
		if (pid == 0)
			(void)poll(NULL, 0, 5);
	}
}
