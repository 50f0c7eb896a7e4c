/*
 * `plugpull doctor`: can this machine run everything? Each line is a check that was made, and what
 * is lost where it failed. Exit 0 when everything runs, 1 when something is missing.
 */
#include "harness/cli/command.h"

#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/kill.h"
#include "harness/drive/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool report(bool good, const char *what, const char *detail)
{
	printf("%-8s %-28s %s\n", good ? "ok" : "missing", what, detail);
	return good;
}

static bool check_sqlite(void)
{
	char text[128];
	bool good = sqlite3_libversion_number() >= SQLITE_NUMBER_MIN;

	(void)snprintf(text, sizeof text, "%s at run time, %s at build%s", sqlite3_libversion(),
		       SQLITE_VERSION, good ? "" : "; " SQLITE_TEXT_MIN " or later is needed");
	return report(good, "SQLite", text);
}

static bool check_wal(void)
{
	bool good = sqlite3_compileoption_used("OMIT_WAL") == 0;

	return report(good, "WAL mode", good ? "built in" : "cases in WAL mode are skipped");
}

static bool check_vfs(void)
{
	struct err err = ERR_INIT;
	bool good = fi_vfs_register(&err) == 0;

	return report(good, "simulated disk", good ? "registered as a VFS" : err.message);
}

static bool check_temporary(void)
{
	const char *base = getenv("TMPDIR");
	char *path = xasprintf("%s/plugpull-doctor-XXXXXX", base == NULL ? "/tmp" : base);
	int fd = mkstemp(path);
	bool good = fd >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0;

	(void)report(good, "folder for real kills", good ? "writable, fdatasync works" : path);
	if (fd >= 0) {
		(void)unlink(path);
		(void)close(fd);
	}
	free(path);
	return good;
}

/* Can a child be stopped dead, and is that seen? */
static bool check_kill(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			(void)pause();
	}
	bool good = pid > 0 && kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid &&
		    WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	return report(good, "SIGKILL of a child", good ? "works" : strerror(errno));
}

static bool check_faketime(void)
{
	char *path = kill_find_faketime();
	bool good = path != NULL && kill_can_fake_time();

	(void)report(good, "libfaketime",
		     good	    ? path
		     : path != NULL ? "this build cannot run under it (sanitizers)"
				    : "rounds with a stepping clock are left out");
	free(path);
	return good;
}

/* Does a program that is started here have the recorder in it? */
static bool check_recorder(void)
{
	static char shell[] = "/bin/sh", option[] = "-c", nothing[] = ":";
	char *argv[] = {shell, option, nothing, NULL};
	struct program_options o = {.argv = argv, .output = STDOUT_FILENO};
	struct program_run run = {0};
	struct err err = ERR_INIT;
	int rc = program_run(&o, &run, &err);
	bool good = rc == 0 && run.report.program_count > 0;

	(void)report(good, "recorder (LD_PRELOAD)",
		     good      ? "sees into programs"
		     : rc != 0 ? err.message
			       : "is not loaded; `test` and `record` do not work");
	program_run_release(&run);
	return good;
}

static bool check_strace(void)
{
	bool good =
	    access("/usr/bin/strace", X_OK) == 0 || access("/usr/local/bin/strace", X_OK) == 0;

	return report(good, "strace",
		      good ? "installed" : "statically linked programs cannot be recorded");
}

/* Looked for as execvp() will (under_gdb.c). Nothing but `replay --gdb` needs it. */
static bool check_gdb(void)
{
	const char *path = getenv("PATH");
	char *folders = xstrdup(path == NULL ? "/bin:/usr/bin" : path), *next = folders;
	bool good = false;

	for (const char *folder; !good && (folder = strsep(&next, ":")) != NULL;) {
		char *program = xasprintf("%s/gdb", folder[0] == '\0' ? "." : folder);

		good = access(program, X_OK) == 0;
		free(program);
	}
	free(folders);
	return report(good, "gdb", good ? "installed" : "`replay --gdb` does not work");
}

int cmd_doctor(const struct options *options)
{
	bool good = true;

	(void)options;
	good &= check_sqlite();
	good &= check_wal();
	good &= check_vfs();
	good &= check_temporary();
	good &= check_kill();
	good &= check_faketime();
	good &= check_recorder();
	good &= check_strace();
	good &= check_gdb();
	puts(good ? "this machine can run everything" : "not everything can run here");
	return good ? 0 : 1;
}
