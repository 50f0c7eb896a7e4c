/* See check_command.h. */
#include "harness/drive/check_command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	WAIT_MS = 20,		/* between two looks at the clock, and whether to stop */
	PAUSE_MS = 2,		/* between two looks at the child, where the kernel has no pidfd */
	OUTPUT_READ_MAX = 4096, /* bytes of what the command printed that are looked at */
};

struct check_command {
	char *command;
	uint64_t timeout_ns;
	char *folder; /* holds the others */
	char *state, *output, *said;
};

static int failed(struct err *err, const char *what, const char *path)
{
	return err_set(err, ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

int check_command_create(const char *command, uint64_t timeout_ns,
			 struct check_command **ret_command, struct err *err)
{
	const char *parent = getenv("TMPDIR");
	struct check_command *c = xcalloc(1, sizeof *c);
	char real[PATH_MAX];
	int rc = 0;

	c->command = xstrdup(command);
	c->timeout_ns = timeout_ns;
	if (parent == NULL || parent[0] == '\0')
		parent = "/tmp";
	/* Programs print paths without links. */
	if (realpath(parent, real) == NULL) {
		rc = failed(err, "create a folder below", parent);
		goto out;
	}
	c->folder = xasprintf("%s/plugpull-check-XXXXXX", real);
	if (mkdtemp(c->folder) == NULL) {
		rc = failed(err, "create", c->folder);
		free(c->folder);
		c->folder = NULL;
		goto out;
	}
	c->state = xasprintf("%s/state", c->folder);
	c->output = xasprintf("%s/output", c->folder);
	c->said = xasprintf("%s/said", c->folder);
	*ret_command = c;
	c = NULL;
out:
	check_command_free(c);
	return rc;
}

void check_command_free(struct check_command *c)
{
	if (c == NULL)
		return;
	if (c->folder != NULL)
		(void)lay_out_remove(c->folder);
	free(c->command);
	free(c->folder);
	free(c->state);
	free(c->output);
	free(c->said);
	free(c);
}

/* ---- laying out ---- */

/* The folder and what the program had written, anew. */
static int lay_out_state(const struct check_command *c, const struct laid_file *files, size_t count,
			 const struct buf *output, struct err *err)
{
	if (lay_out_remove(c->state) != 0)
		return failed(err, "remove", c->state);
	if (unlink(c->output) != 0 && errno != ENOENT)
		return failed(err, "remove", c->output);
	if (mkdir(c->state, 0700) != 0)
		return failed(err, "create", c->state);
	int rc = lay_out(c->state, files, count, err);
	return rc != 0 ? rc : lay_out_file(c->output, output->data, output->size, err);
}

/* ---- running ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* In the child. */
static void run_shell(const struct check_command *c)
{
	sigset_t none;
	int in = open(c->output, O_RDONLY);
	int out = open(c->said, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	(void)setpgid(0, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    chdir(c->state) != 0 || setenv("PLUGPULL_STATE", c->state, 1) != 0 ||
	    setenv("PLUGPULL_OUTPUT", c->output, 1) != 0 || setenv("PWD", c->state, 1) != 0)
		_exit(126);
	(void)close(in);
	(void)close(out);
	(void)execl("/bin/sh", "sh", "-c", c->command, (char *)NULL);
	_exit(126);
}

enum waited { WAITED_ENDED, WAITED_TIMEOUT, WAITED_STOPPED };

/* Leaves a child that has ended unreaped: its number is its group's, and stays its own until then.
 */
static enum waited wait_for(pid_t pid, uint64_t timeout_ns, bool (*stopped)(void *ctx), void *ctx)
{
	uint64_t begin = now_ns();
	/* Readable when the child has ended; without it, looks come as often as pauses do. */
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	enum waited waited;

	for (;;) {
		siginfo_t info = {0};

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid == pid)
			waited = WAITED_ENDED;
		else if (now_ns() - begin >= timeout_ns)
			waited = WAITED_TIMEOUT;
		else if (stopped != NULL && stopped(ctx))
			waited = WAITED_STOPPED;
		else {
			(void)poll(&end, 1, end.fd < 0 ? PAUSE_MS : WAIT_MS);
			continue;
		}
		break;
	}
	if (end.fd >= 0)
		(void)close(end.fd);
	return waited;
}

/* The last line that was printed and is not blank, where interpreters say what went wrong, in
 * `line`;
 * "" when there is none. The folder's name is another one every time, and messages are not. */
static void last_line(const struct check_command *c, char *line, size_t size)
{
	char text[OUTPUT_READ_MAX + 1];
	size_t state_size = strlen(c->state), at = 0;
	static const char name[] = "$PLUGPULL_STATE";
	int fd = open(c->said, O_RDONLY | O_CLOEXEC);
	const off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	const off_t begin = end < OUTPUT_READ_MAX ? 0 : end - OUTPUT_READ_MAX;
	ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, begin);
	const char *from = text;

	if (fd >= 0)
		(void)close(fd);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		n--;
	text[n < 0 ? 0 : n] = '\0';
	if (strrchr(text, '\n') != NULL)
		from = strrchr(text, '\n') + 1;
	from += strspn(from, " \t\r");
	for (const char *p = from; *p != '\0' && *p != '\n' && at + sizeof name < size;) {
		if (strncmp(p, c->state, state_size) == 0) {
			memcpy(line + at, name, sizeof name - 1);
			at += sizeof name - 1;
			p += state_size;
			continue;
		}
		line[at++] = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
		p++;
	}
	while (at > 0 && line[at - 1] == ' ')
		at--;
	line[at] = '\0';
}

static void say(const struct check_command *c, enum waited waited, int status,
		char message[CHECK_MESSAGE_SIZE])
{
	char line[CHECK_MESSAGE_SIZE - 110], how[100];

	if (waited == WAITED_TIMEOUT)
		(void)snprintf(how, sizeof how, "it did not end within %.3g s",
			       (double)c->timeout_ns / 1e9);
	else if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof how, "signal %d", WTERMSIG(status));
	else
		(void)snprintf(how, sizeof how, "exit status %d%s", WEXITSTATUS(status),
			       WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127
				   ? " (it runs in another folder: name files by full paths)"
				   : "");
	last_line(c, line, sizeof line);
	(void)snprintf(message, CHECK_MESSAGE_SIZE, "%s%s%s", how, line[0] == '\0' ? "" : ": ",
		       line);
}

int check_command_run(struct check_command *c, const struct laid_file *files, size_t count,
		      const struct buf *output, bool (*stopped)(void *ctx), void *ctx,
		      enum check_end *ret_end, char message[CHECK_MESSAGE_SIZE], struct err *err)
{
	enum waited waited;
	int status = 0;
	pid_t pid;
	int rc = lay_out_state(c, files, count, output, err);

	if (rc != 0)
		return rc;
	(void)unlink(c->said);
	pid = fork();
	if (pid < 0)
		return failed(err, "start", "/bin/sh");
	if (pid == 0)
		run_shell(c);
	(void)setpgid(pid, pid); /* whoever of the two comes first */
	waited = wait_for(pid, c->timeout_ns, stopped, ctx);
	(void)kill(-pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	message[0] = '\0';
	if (waited == WAITED_STOPPED) {
		*ret_end = CHECK_STOPPED;
	} else if (waited == WAITED_ENDED && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		*ret_end = CHECK_FINE;
	} else {
		*ret_end = CHECK_OBJECTS;
		say(c, waited, status, message);
	}
	return 0;
}
