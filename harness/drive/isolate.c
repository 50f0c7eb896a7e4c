/* See isolate.h. */
#include "harness/drive/isolate.h"

#include "faultinject/base/assert.h"
#include "harness/drive/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef PLUGPULL_COVERAGE
extern void __gcov_dump(void);
#endif

enum {
	POLL_INTERVAL_MS = 100,
	READ_SIZE = 1 << 16,
	WATCH_INTERVAL_NS = 50 * 1000 * 1000,
	REAP_INTERVAL_US = 1000,
	REAP_INTERVALS = 3000, /* seconds between the end of the output and that of the child */
};

/* What a fault of the code under test ends the process with. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

/* One mapping: the struct, the steps of the longest run, their hashes. Nothing that lies there is
 * trusted to say where the rest is: a wild write of the code under test may reach it. */
struct shared {
	struct isolate head;
	struct choice_step steps[CHOICE_STEPS_MAX];
	uint64_t hashes[CHOICE_STEPS_MAX];
};

struct isolate *isolate_create(void)
{
	struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT(s != MAP_FAILED);
	/* Room for the longest run from the start, so that nothing is moved out of the shared
	 * memory; pages that no run needs are never there. */
	choice_init(&s->head.choice);
	s->head.choice.steps = s->steps;
	s->head.choice.hashes = s->hashes;
	s->head.choice.cap = CHOICE_STEPS_MAX;
	return &s->head;
}

void isolate_free(struct isolate *i)
{
	if (i != NULL)
		(void)munmap(i, sizeof(struct shared));
}

/* ---- the child ----------------------------------------------------------------------------- */

static void begin_child(struct isolate *i, pid_t parent)
{
	struct rlimit none = {0, 0};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The parent may have died before that was asked for. */
	if (getppid() != parent)
		_exit(1);
	/* A terminal sends them to the whole group; the parent says when to end. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++)
		(void)signal(faults[k], SIG_DFL);
	(void)setrlimit(RLIMIT_CORE, &none);
	assert_divert(i->assertion, sizeof i->assertion);
}

pid_t isolate_fork(struct isolate *i, int *ret_fd, struct err *err)
{
	pid_t parent = getpid(), pid;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0) {
		(void)err_set(err, ERR_HARNESS, "cannot make a pipe: %s", strerror(errno));
		return -1;
	}
	atomic_store(&i->beat, 0);
	atomic_store(&i->under_test, 0);
	atomic_store(&i->recoveries, 0);
	i->assertion[0] = '\0';
	i->choice.count = 0;
	/* What waits in a stream would be written twice if the code under test calls exit(). */
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0) {
		(void)err_set(err, ERR_HARNESS, "cannot fork: %s", strerror(errno));
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid == 0) {
		begin_child(i, parent);
		close(fds[0]);
		*ret_fd = fds[1];
		return 0;
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

void isolate_enter(struct isolate *i)
{
	isolate_beat(i);
	atomic_store_explicit(&i->under_test, 1, memory_order_release);
}

void isolate_leave(struct isolate *i)
{
	atomic_store_explicit(&i->under_test, 0, memory_order_release);
}

void isolate_beat(struct isolate *i)
{
	/* There is one writer. */
	atomic_store_explicit(&i->beat, atomic_load_explicit(&i->beat, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

void isolate_exit(int status)
{
#ifdef PLUGPULL_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* ---- hangs --------------------------------------------------------------------------------- */

/* Processor time of another process; 0 when it cannot be read. */
static uint64_t cpu_time_ns(pid_t pid)
{
	clockid_t clock;
	struct timespec ts;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Sleeping, and not because it was stopped or waits for a disk: proc(5), /proc/pid/stat. */
static bool is_asleep(pid_t pid)
{
	char path[64], text[512];
	int fd;
	ssize_t n;

	(void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	const char *end = strrchr(text, ')'); /* the name before it may hold anything */
	return end != NULL && end[1] == ' ' && end[2] == 'S';
}

void isolate_watch_begin(struct isolate_watch *w, const struct isolate *i, pid_t pid)
{
	w->beat = atomic_load(&i->beat);
	w->asked_ns = w->begin_ns = gate_now_ns();
	w->cpu_ns = cpu_time_ns(pid);
	w->asleep_ns = 0;
}

bool isolate_hangs(struct isolate_watch *w, const struct isolate *i, pid_t pid, uint64_t bound_ns)
{
	uint64_t now = gate_now_ns(), since = now - w->asked_ns;

	if (since < WATCH_INTERVAL_NS)
		return false;
	if (atomic_load(&i->beat) != w->beat || atomic_load(&i->under_test) == 0) {
		isolate_watch_begin(w, i, pid);
		return false;
	}
	w->asked_ns = now;
	if (is_asleep(pid))
		w->asleep_ns += since;
	return now - w->begin_ns >= bound_ns &&
	       cpu_time_ns(pid) - w->cpu_ns + w->asleep_ns >= bound_ns;
}

/* ---- deaths -------------------------------------------------------------------------------- */

int isolate_reap(pid_t pid)
{
	int status = 0;

	for (int n = 0;; n++) {
		pid_t done = waitpid(pid, &status, WNOHANG);
		if (done == pid)
			return status;
		ASSERT(done == 0 || errno == EINTR);
		if (n == REAP_INTERVALS)
			(void)kill(pid, SIGKILL);
		(void)usleep(n == 0 ? REAP_INTERVAL_US / 20 : REAP_INTERVAL_US);
	}
}

static bool is_fault(int signal_number)
{
	for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++)
		if (faults[k] == signal_number)
			return true;
	return false;
}

void isolate_judge(const struct isolate *i, int status, bool hung, struct isolate_death *ret)
{
	bool under_test = atomic_load(&i->under_test) != 0;
	bool killed = WIFSIGNALED(status);

	ret->text[0] = '\0';
	if (!killed && WEXITSTATUS(status) == 0 && !under_test) {
		ret->fate = ISOLATE_ENDED;
		return;
	}
	if (killed && sigabbrev_np(WTERMSIG(status)) != NULL)
		(void)snprintf(ret->text, sizeof ret->text, "killed by SIG%s",
			       sigabbrev_np(WTERMSIG(status)));
	else if (killed)
		(void)snprintf(ret->text, sizeof ret->text, "killed by signal %d",
			       WTERMSIG(status));
	else
		(void)snprintf(ret->text, sizeof ret->text, "exit status %d", WEXITSTATUS(status));
	if (i->assertion[0] != '\0') {
		ret->fate = ISOLATE_VANISHED;
		(void)snprintf(ret->text, sizeof ret->text, "%.*s", ISOLATE_TEXT_SIZE - 1,
			       i->assertion);
	} else if (under_test && hung) {
		ret->fate = ISOLATE_HUNG;
	} else if (under_test && (!killed || is_fault(WTERMSIG(status)))) {
		ret->fate = ISOLATE_CRASHED;
	} else {
		ret->fate = ISOLATE_VANISHED;
	}
}

void isolate_say(const struct isolate_death *death, uint64_t hang_ns, char *ret, size_t size)
{
	if (death->fate == ISOLATE_HUNG)
		(void)snprintf(ret, size, "recovery does not end: nothing came back in %g s",
			       (double)hang_ns / 1e9);
	else
		(void)snprintf(ret, size, "recovering or reading ends the process: %s",
			       death->text);
}

int isolate_answers(const struct isolate *i, uint32_t **ret_answers, size_t *ret_count,
		    struct err *err)
{
	const struct shared *s = (const struct shared *)i;
	size_t count = i->choice.count;
	bool sound = count <= CHOICE_STEPS_MAX;

	for (size_t k = 0; k < count && sound; k++)
		sound = s->steps[k].answer < s->steps[k].n;
	if (!sound)
		return err_set(err, ERR_HARNESS, "the answers of a dead worker are damaged");
	uint32_t *answers = xcalloc(count, sizeof *answers);
	for (size_t k = 0; k < count; k++)
		answers[k] = s->steps[k].answer;
	*ret_answers = answers;
	*ret_count = count;
	return 0;
}

/* ---- one piece of work --------------------------------------------------------------------- */

/* One look at the child's output. 1: it is at its end; 0: go on; -1: an error. */
static int read_some(int fd, struct buf *out)
{
	struct pollfd p = {fd, POLLIN, 0};
	ssize_t n;

	if (poll(&p, 1, POLL_INTERVAL_MS) <= 0)
		return 0;
	buf_reserve(out, READ_SIZE);
	n = read(fd, out->data + out->size, READ_SIZE);
	if (n < 0)
		return errno == EINTR ? 0 : -1;
	out->size += (size_t)n;
	return n == 0;
}

int isolate_run(struct isolate *i, const struct isolate_work *work, struct buf *ret_output,
		struct isolate_death *ret_death, struct err *err)
{
	struct isolate_watch watch;
	bool hung = false;
	int fd = -1, status = 0, rc = 0;
	pid_t pid = isolate_fork(i, &fd, err);

	if (pid < 0)
		return ERR_HARNESS;
	if (pid == 0) {
		work->child(work->ctx, i, fd);
		isolate_exit(0);
	}
	isolate_watch_begin(&watch, i, pid);
	for (;;) {
		int end = read_some(fd, ret_output);
		if (end < 0)
			rc = err_set(err, ERR_HARNESS, "cannot read from a child: %s",
				     strerror(errno));
		if (end != 0)
			break;
		if (work->stop != NULL && work->stop(work->stop_ctx)) {
			rc = err_set(err, ERR_INTERRUPTED, "interrupted");
			break;
		}
		hung = isolate_hangs(&watch, i, pid, work->hang_ns);
		if (hung)
			break;
	}
	if (rc != 0 || hung)
		(void)kill(pid, SIGKILL);
	status = isolate_reap(pid);
	close(fd);
	if (rc == 0)
		isolate_judge(i, status, hung, ret_death);
	return rc;
}
