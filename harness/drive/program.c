/*
 * See program.h. Whatever becomes of the program, what is started here is ended here
 * (descendants.h).
 *
 * The output is watched through a file: the recorder looks how long it is before each call of the
 * program, which is the position of the output in the trace. What was written is passed on from
 * there.
 */
#include "harness/drive/program.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "faultinject/record/log.h"
#include "faultinject/record/log_read.h"
#include "faultinject/record/visible.h"
#include "harness/case/version.h"
#include "harness/drive/descendants.h"
#include "harness/drive/gate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDER      "libplugpull-record.so"
#define FOLDER_PREFIX "plugpull-record-" /* then the number of its plugpull */

#define MEMORY_MIN ((uint64_t)1 << 30)	/* free bytes that the log in memory needs */
#define AHEAD	   ((uint64_t)32 << 20) /* bytes of it that are made ready ahead */

enum {
	LOOK_MS = 5,	       /* how often stop() is asked, output passed on, the log prepared */
	LINGER_NS = 500000000, /* what it left running may take to end by itself */
	TERM_NS = 1000000000,  /* and after SIGTERM */
};

struct running {
	const struct program_options *o;
	char *folder; /* owned */
	char *log_path, *output_path, *mark_path;
	struct reclog log;
	pid_t pid;
	int output; /* the file of the output, or -1 */
	uint64_t passed_on;
};

/* ---- where things are ---- */

/* Beside the program, where a build leaves it, or where `make install` puts it. */
static char *find_recorder(struct err *err)
{
	static const char *const places[] = {"", "/../lib/plugpull"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
			char *path = xasprintf("%s%s/%s", self, places[i], RECORDER);

			if (access(path, R_OK) == 0)
				return path;
			free(path);
		}
	}
	(void)err_set(err, ERR_HARNESS, "the recorder %s is not beside plugpull", RECORDER);
	return NULL;
}

/* Where the log goes. In memory it costs the program least. */
static const char *log_place(void)
{
	static const char memory[] = "/dev/shm";
	const char *tmp = getenv("TMPDIR");
	struct statvfs fs;

	if (tmp != NULL && tmp[0] != '\0')
		return tmp;
	if (access(memory, W_OK) == 0 && statvfs(memory, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize >= MEMORY_MIN)
		return memory;
	return "/tmp";
}

/* Removes what a plugpull that was killed has left: folders of processes that are gone. */
static void sweep(const char *place)
{
	DIR *d = opendir(place);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		static const char *const files[] = {"log", "output", "marks"};
		const size_t n = strlen(FOLDER_PREFIX);
		struct stat st;
		long pid;

		if (strncmp(e->d_name, FOLDER_PREFIX, n) != 0)
			continue;
		pid = strtol(e->d_name + n, NULL, 10);
		if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
			continue;
		for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
			char *path = xasprintf("%s/%s/%s", place, e->d_name, files[i]);

			(void)unlink(path);
			free(path);
		}
		(void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	if (d != NULL)
		(void)closedir(d);
}

static int make_folder(struct running *r, struct err *err)
{
	const char *tmp = log_place();
	char resolved[PATH_MAX];
	char *pattern;

	if (realpath(tmp, resolved) == NULL)
		return err_set(err, ERR_IO, "no folder for the recording, %s ($TMPDIR): %s", tmp,
			       strerror(errno));
	sweep(resolved);
	pattern = xasprintf("%s/" FOLDER_PREFIX "%d-XXXXXX", resolved, (int)getpid());
	if (mkdtemp(pattern) == NULL) {
		int rc = err_set(err, ERR_IO, "no folder for the recording in %s ($TMPDIR): %s",
				 resolved, strerror(errno));

		free(pattern);
		return rc;
	}
	r->folder = pattern;
	r->log_path = xasprintf("%s/log", r->folder);
	r->output_path = xasprintf("%s/output", r->folder);
	r->mark_path = xasprintf("%s/marks", r->folder);
	return 0;
}

static void remove_folder(struct running *r)
{
	if (r->folder != NULL) {
		(void)unlink(r->log_path);
		(void)unlink(r->output_path);
		(void)unlink(r->mark_path);
		(void)rmdir(r->folder);
	}
	free(r->log_path);
	free(r->output_path);
	free(r->mark_path);
	free(r->folder);
}

static int make_file(const char *path, int flags, struct err *err)
{
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | flags, 0600);

	return fd >= 0 ? fd : err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
}

/* The log is one sparse file that is mapped whole (log.h). Without this, a limit below its size
 * would end us by SIGXFSZ, or be called a lack of memory. */
static int check_limits(struct err *err)
{
	struct rlimit file, space;

	if (getrlimit(RLIMIT_FSIZE, &file) == 0 && file.rlim_cur < RECLOG_SIZE_MAX)
		return err_set(err, ERR_INPUT,
			       "files are limited to %ju bytes (ulimit -f), and the recorder needs "
			       "a sparse one of %ju: raise the limit, or record with strace",
			       (uintmax_t)file.rlim_cur, (uintmax_t)RECLOG_SIZE_MAX);
	if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur <= RECLOG_SIZE_MAX)
		return err_set(
		    err, ERR_INPUT,
		    "the address space is limited to %ju bytes (ulimit -v), and the "
		    "recorder needs more than %ju: raise the limit, or record with strace",
		    (uintmax_t)space.rlim_cur, (uintmax_t)RECLOG_SIZE_MAX);
	return 0;
}

static int make_log(struct running *r, struct err *err)
{
	const struct program_options *o = r->o;
	uint32_t flags = (o->watch_output ? RECLOG_WATCH_OUTPUT : 0u) |
			 (o->watch_marks ? RECLOG_WATCH_MARKS : 0u) |
			 (o->all_files ? RECLOG_ALL_FILES : 0u);
	int rc = reclog_create(&r->log, r->log_path, flags);

	if (rc != 0)
		return err_set(err, ERR_IO, "%s: %s", r->log_path, strerror(-rc));

	struct reclog_header *h = reclog_header(&r->log);

	(void)snprintf(h->mark_path, sizeof h->mark_path, "%s", r->mark_path);
	if (o->watch_output)
		(void)snprintf(h->output_path, sizeof h->output_path, "%s", r->output_path);
	h->kill_moment = o->kill_moment;
	h->kill_number = o->kill_number;
	reclog_prepare(&r->log, AHEAD);

	int fd = make_file(r->mark_path, O_APPEND, err);

	if (fd < 0)
		return fd;
	(void)close(fd);
	if (o->watch_output) {
		r->output = make_file(r->output_path, O_APPEND, err);
		if (r->output < 0)
			return r->output;
	}
	return 0;
}

/* ---- starting it ---- */

/* The file that execvp(3) would run; the caller's, or NULL. */
static char *look_up(const char *command)
{
	const char *path = getenv("PATH");

	if (strchr(command, '/') != NULL)
		return xstrdup(command);
	if (path == NULL)
		path = "/bin:/usr/bin";
	for (;; path++) {
		size_t n = strcspn(path, ":");
		char *file =
		    n == 0 ? xstrdup(command) : xasprintf("%.*s/%s", (int)n, path, command);

		if (access(file, X_OK) == 0)
			return file;
		free(file);
		path += n;
		if (*path == '\0')
			return NULL;
	}
}

static int check_visible(const char *command, struct err *err)
{
	char *file = look_up(command);
	const char *why = file == NULL ? NULL : visible_reason(file);
	int rc = 0;

	if (why != NULL)
		rc = err_set(err, ERR_INPUT,
			     "%s cannot be watched through LD_PRELOAD: %s. Record it with strace: "
			     "`plugpull trace --help` says how",
			     file, why);
	free(file);
	return rc;
}

/* --sqlite put a library of its choice in front of ours, not of the program's. */
static char *preload_value(const char *recorder)
{
	const char *chosen = getenv("PLUGPULL_SQLITE_CHOSEN"), *rest = getenv("LD_PRELOAD");
	size_t n = chosen == NULL ? 0 : strlen(chosen);

	if (rest != NULL && n > 0 && strncmp(rest, chosen, n) == 0 &&
	    (rest[n] == '\0' || rest[n] == ':'))
		rest += n + (rest[n] == ':');
	return xasprintf("%s%s%s", recorder, rest == NULL || rest[0] == '\0' ? "" : ":",
			 rest == NULL ? "" : rest);
}

static void child(const struct running *r, const char *preload, int report)
{
	int output = r->output >= 0 ? r->output : r->o->output;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with us, however that is */
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGHUP, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)setenv("LD_PRELOAD", preload, 1);
	(void)setenv(RECLOG_ENVIRONMENT, r->log_path, 1);
	(void)setenv("PLUGPULL_MARK", r->mark_path, 1);
	(void)unsetenv("PLUGPULL_SQLITE_CHOSEN");
	if (r->o->errors > 0)
		(void)dup2(r->o->errors, STDERR_FILENO);
	if (output == STDOUT_FILENO || dup2(output, STDOUT_FILENO) >= 0)
		(void)execvp(r->o->argv[0], r->o->argv);
	int error = errno;

	(void)!write(report, &error, sizeof error);
	_exit(127);
}

static int start(struct running *r, const char *recorder, struct err *err)
{
	char *preload = preload_value(recorder);
	int report[2], error = 0;

	if (pipe2(report, O_CLOEXEC) != 0) {
		free(preload);
		return err_set(err, ERR_IO, "pipe: %s", strerror(errno));
	}
	(void)fflush(NULL);
	r->pid = fork();
	if (r->pid == 0)
		child(r, preload, report[1]);
	(void)close(report[1]);
	free(preload);
	if (r->pid > 0 && read(report[0], &error, sizeof error) == sizeof error) {
		(void)waitpid(r->pid, NULL, 0);
		r->pid = -1;
		(void)close(report[0]);
		return err_set(err, ERR_INPUT, "cannot run '%s': %s", r->o->argv[0],
			       strerror(error));
	}
	(void)close(report[0]);
	return r->pid > 0 ? 0 : err_set(err, ERR_IO, "fork: %s", strerror(errno));
}

/* ---- while it runs ---- */

static void pass_on(struct running *r)
{
	char buffer[65536];
	ssize_t n;

	if (r->output < 0)
		return;
	while ((n = pread(r->output, buffer, sizeof buffer, (off_t)r->passed_on)) > 0) {
		/* Whoever closed our output does not stop the program. */
		(void)fd_write_all(r->o->output, buffer, (size_t)n);
		r->passed_on += (uint64_t)n;
	}
}

/* Waits up to `ms` for the program to end. */
static bool ended(pid_t pid, int pidfd, int ms, int *ret_status)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	(void)poll(&p, pidfd >= 0 ? 1 : 0, pidfd >= 0 ? ms : 2);
	return waitpid(pid, ret_status, WNOHANG) == pid;
}

static void note_end(struct program_run *ret, int status)
{
	if (WIFSIGNALED(status)) {
		ret->end = PROGRAM_SIGNALED;
		ret->status = WTERMSIG(status);
	} else {
		ret->end = PROGRAM_EXITED;
		ret->status = WEXITSTATUS(status);
	}
}

static int next_look_ms(const struct program_options *o, uint64_t start, uint64_t now)
{
	uint64_t until = UINT64_MAX;

	if (o->kill_ns != 0)
		until = start + o->kill_ns;
	if (o->timeout_ns != 0 && start + o->timeout_ns < until)
		until = start + o->timeout_ns;
	if (until <= now)
		return 0;
	return until - now < (uint64_t)LOOK_MS * 1000000 ? (int)((until - now) / 1000000) + 1
							 : LOOK_MS;
}

/* SIGTERM lets it tidy up; then it is ended. */
static void ask_to_end(struct running *r, int pidfd)
{
	uint64_t until = gate_now_ns() + TERM_NS;
	int status;

	(void)kill(r->pid, SIGTERM);
	while (gate_now_ns() < until)
		if (ended(r->pid, pidfd, LOOK_MS, &status))
			return;
	(void)kill(r->pid, SIGKILL);
	(void)waitpid(r->pid, NULL, 0);
}

static void watch(struct running *r, struct program_run *ret)
{
	const struct program_options *o = r->o;
	uint64_t begin = gate_now_ns();
	int pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	int status;

	for (;;) {
		uint64_t now = gate_now_ns();

		if (ended(r->pid, pidfd, next_look_ms(o, begin, now), &status)) {
			note_end(ret, status);
			break;
		}
		pass_on(r);
		reclog_prepare(&r->log, AHEAD);
		now = gate_now_ns();
		if (o->stop != NULL && o->stop(o->ctx)) {
			ret->end = PROGRAM_STOPPED;
			ask_to_end(r, pidfd);
			break;
		}
		bool kill_due = o->kill_ns != 0 && now - begin >= o->kill_ns;

		if (kill_due || (o->timeout_ns != 0 && now - begin >= o->timeout_ns)) {
			ret->end = kill_due ? PROGRAM_KILLED : PROGRAM_TIMED_OUT;
			(void)kill(r->pid, SIGKILL);
			(void)waitpid(r->pid, NULL, 0);
			(void)descendants_end();
			break;
		}
	}
	ret->duration_ns = gate_now_ns() - begin;
	if (ret->end == PROGRAM_SIGNALED && ret->status == SIGKILL && o->kill_moment != 0) {
		ret->end = PROGRAM_KILLED;
		(void)descendants_end();
	}
	ret->left = ret->end == PROGRAM_EXITED ? descendants_linger(LINGER_NS) : descendants_end();
	pass_on(r);
	if (pidfd >= 0)
		(void)close(pidfd);
}

/* ---- the recording ---- */

/* What stdio wrote when the program ended, after its last call. */
static void note_growth(struct running *r, const char *path, uint64_t *seen, uint8_t type)
{
	struct reclog_entry e = {.head = {.type = type, .moment = RECLOG_ONCE}};
	struct stat st;

	if (path[0] == '\0' || stat(path, &st) != 0 || (uint64_t)st.st_size <= *seen)
		return;
	e.head.pid = e.head.tid = (uint32_t)r->pid;
	e.head.offset = *seen;
	e.head.length = *seen = (uint64_t)st.st_size;
	(void)reclog_append(&r->log, &e);
}

static void note_last_words(struct running *r)
{
	struct reclog_entry e = {.head = {.type = RECLOG_TROUBLE, .moment = RECLOG_ONCE}};
	struct reclog_header *h = reclog_header(&r->log);
	const char *what = NULL;
	struct stat st;
	bool known;

	if ((h->flags & RECLOG_WATCH_OUTPUT) != 0)
		note_growth(r, h->output_path, &h->output_seen, RECLOG_OUTPUT);
	known = stat(h->mark_path, &st) == 0;
	if (known && (uint64_t)st.st_size < h->marks_seen)
		what = "$PLUGPULL_MARK was truncated: append to it";
	else if (known && (h->flags & RECLOG_WATCH_MARKS) == 0 &&
		 (uint64_t)st.st_size > h->marks_seen)
		what = "when the marks were made is not known: use --ack mark";
	if (what == NULL) {
		note_growth(r, h->mark_path, &h->marks_seen, RECLOG_MARK);
		return;
	}
	e.head.pid = e.head.tid = (uint32_t)r->pid;
	e.data = what;
	e.data_size = strlen(what);
	(void)reclog_append(&r->log, &e);
}

static int read_recording(struct running *r, struct program_run *ret, struct err *err)
{
	struct call_list calls = {0};
	char *producer = xasprintf("plugpull %s, recorder", PLUGPULL_VERSION);
	struct assemble_options options = {.producer = producer, .live = true};
	int rc = log_read(r->log_path, &calls, err);

	ret->calls = reclog_header(&r->log)->call_count;
	ret->syncs = reclog_header(&r->log)->sync_count;
	if (rc == 0)
		rc = assemble(&calls, &options, &ret->trace, &ret->report, err);
	call_list_release(&calls);
	free(producer);
	return rc;
}

int program_run(const struct program_options *o, struct program_run *ret, struct err *err)
{
	struct running r = {.o = o, .pid = -1, .output = -1};
	char *recorder;
	int rc = check_visible(o->argv[0], err);

	memset(ret, 0, sizeof *ret);
	if (rc != 0)
		return rc;
	recorder = find_recorder(err);
	if (recorder == NULL)
		return ERR_HARNESS;
	descendants_adopt(true);
	rc = check_limits(err);
	if (rc == 0)
		rc = make_folder(&r, err);
	if (rc == 0)
		rc = make_log(&r, err);
	if (rc == 0)
		rc = start(&r, recorder, err);
	if (rc == 0) {
		watch(&r, ret);
		note_last_words(&r);
		rc = read_recording(&r, ret, err);
	}
	descendants_adopt(false);
	reclog_detach(&r.log);
	if (r.output >= 0)
		(void)close(r.output);
	remove_folder(&r);
	free(recorder);
	return rc;
}

void program_run_release(struct program_run *r)
{
	trace_free(r->trace);
	memset(r, 0, sizeof *r);
}

int program_exit_code(const struct program_run *r)
{
	if (r->end == PROGRAM_EXITED)
		return r->status;
	return 128 + (r->end == PROGRAM_SIGNALED ? r->status : SIGKILL);
}

char *program_ending(const struct program_run *r, const struct program_options *o)
{
	struct buf b;

	buf_init(&b);
	switch (r->end) {
	case PROGRAM_EXITED:
		if (r->status != 0)
			buf_printf(&b, "the program ended with exit status %d", r->status);
		break;
	case PROGRAM_SIGNALED:
		buf_printf(&b, "the program was killed by signal %d (%s)", r->status,
			   strsignal(r->status));
		break;
	case PROGRAM_TIMED_OUT:
		buf_printf(&b, "the program did not end within %" PRIu64 " s (--timeout)",
			   o->timeout_ns / 1000000000u);
		break;
	case PROGRAM_STOPPED:
		buf_printf(&b, "the program was stopped");
		break;
	case PROGRAM_KILLED:
		buf_printf(&b, "the program was killed, as was asked for");
		break;
	}
	if (r->left > 0)
		buf_printf(&b, "%sleft %zu process%s running, which %s ended",
			   b.size > 0 ? ", and " : "the program ", r->left,
			   r->left == 1 ? "" : "es", r->left == 1 ? "was" : "were");
	if (b.size == 0) {
		buf_release(&b);
		return NULL;
	}
	(void)buf_str(&b);
	return (char *)b.data;
}
