/*
 * One round of the real kills: starts its processes, lets them go together, reads their pipes,
 * steps their clock, kills them, and says how each of them ended. See kill_internal.h.
 *
 *     fork ─> STARTED from each ─> go ─┬─ time is up, or the victim is dead ─> SIGKILL
 *                                      └─ DONE or FAILED
 *     end of every pipe ─> waitpid for each
 *
 * The end of a pipe is the end of its process, because nobody else holds that end of it: the parent
 * closes it before it forks the next one. Until the end of a pipe nobody is woken for what is in
 * it: it is read a few times while they run, and the rest when they are dead.
 */
#include "harness/drive/kill_internal.h"

#include "faultinject/base/assert.h"
#include "harness/drive/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	/* A pipe holds 64 KiB, and its process waits when it is full. */
	DRAIN_INTERVAL_NS = 5 * 1000 * 1000,
	READ_SIZE = 1 << 16,
};

static const uint64_t HANG_NS = (uint64_t)KILL_HANG_SECONDS * 1000000000u;

void kill_begin_child(pid_t parent)
{
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The parent may have died before that was asked for. */
	if (getppid() != parent)
		_exit(1);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
}

/* ---- starting ---- */

/* Our environment, with what the writer needs; every string but ours is borrowed. */
struct environment {
	char **all;			     /* owned array; NULL at its end */
	char *own[KILL_CLOCK_VARIABLES + 2]; /* owned */
	size_t own_count;
};

static int environment_init(struct environment *e, const struct kill_round *r, uint32_t number,
			    const char *fds, struct err *err)
{
	static const char temporary[] = "SQLITE_TMPDIR=";
	size_t count = 0, kept = 0, clock_count = 0;
	int rc = 0;

	memset(e, 0, sizeof *e);
	while (environ[count] != NULL)
		count++;
	e->all = xcalloc(count + sizeof e->own / sizeof e->own[0] + 1, sizeof *e->all);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], temporary, strlen(temporary)) != 0 &&
		    (r->clock == NULL || !kill_clock_replaces(environ[i])))
			e->all[kept++] = environ[i];
	e->own[e->own_count++] = xasprintf("%s=%s", KILL_ENVIRONMENT, fds);
	e->own[e->own_count++] = xasprintf("%s%s", temporary, r->folder->path);
	if (r->clock != NULL)
		rc = kill_clock_environment(r->clock, number, e->own + e->own_count, &clock_count,
					    err);
	e->own_count += clock_count;
	for (size_t i = 0; i < e->own_count; i++)
		e->all[kept++] = e->own[i];
	return rc;
}

static void environment_release(struct environment *e)
{
	for (size_t i = 0; i < e->own_count; i++)
		free(e->own[i]);
	free(e->all);
}

/* A file descriptor that the job is read from. */
static int job_file(const struct kill_job *job, int *ret_fd, struct err *err)
{
	char *text;
	int rc = kill_job_encode(job, &text, err);

	if (rc != 0)
		return rc;
	size_t size = strlen(text);
	int fd = memfd_create("plugpull-job", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0) {
		rc = err_set(err, ERR_HARNESS, "cannot write a job: %s", strerror(errno));
		if (fd >= 0)
			(void)close(fd);
	} else {
		*ret_fd = fd;
	}
	free(text);
	return rc;
}

/* libfaketime has to be there before the process begins. Who writes nothing needs no false clock.
 */
static bool is_executed(const struct kill_round *r, const struct kill_job *job)
{
	return r->clock != NULL && job->role == KILL_ROLE_WRITER;
}

_Noreturn static void become_writer(pid_t parent, const int fds[3], char *const *environment)
{
	static char name[] = "plugpull: writer";
	char *const arguments[] = {name, NULL};

	kill_begin_child(parent);
	for (size_t i = 0; i < 3; i++)
		(void)fcntl(fds[i], F_SETFD, 0);
	(void)execve("/proc/self/exe", arguments, environment);
	_exit(127);
}

_Noreturn static void become_process(struct kill_round *r, size_t i, pid_t parent, const int go[2],
				     int out)
{
	kill_begin_child(parent);
	/* The others' ends: who holds them would keep them from ending. */
	(void)close(go[1]);
	for (size_t k = 0; k < i; k++)
		if (r->writers[k].out >= 0)
			(void)close(r->writers[k].out);
	kill_process_run(r->writers[i].job, r, go[0], out, (uint16_t)(i + 1));
}

static pid_t execute_writer(const struct kill_round *r, const struct kill_writer *w, int go,
			    int out, struct err *err)
{
	struct environment environment;
	pid_t parent = getpid(), pid = -1;
	char fds[64];
	int job = -1;

	if (job_file(w->job, &job, err) != 0)
		return -1;
	(void)snprintf(fds, sizeof fds, "%d %d %d", job, go, out);
	if (environment_init(&environment, r, (uint32_t)(w - r->writers), fds, err) != 0)
		goto out;
	pid = fork();
	if (pid == 0)
		become_writer(parent, (int[3]){job, go, out}, environment.all);
	if (pid < 0)
		(void)err_set(err, ERR_HARNESS, "cannot fork: %s", strerror(errno));
out:
	environment_release(&environment);
	(void)close(job);
	return pid;
}

static int start_process(struct kill_round *r, size_t i, const int go[2], struct err *err)
{
	struct kill_writer *w = &r->writers[i];
	int out[2];
	pid_t parent = getpid();

	if (pipe2(out, O_CLOEXEC) != 0)
		return err_set(err, ERR_HARNESS, "cannot make a pipe: %s", strerror(errno));
	if (is_executed(r, w->job)) {
		w->pid = execute_writer(r, w, go[0], out[1], err);
	} else {
		w->pid = fork();
		if (w->pid == 0) {
			(void)close(out[0]);
			become_process(r, i, parent, go, out[1]);
		}
		if (w->pid < 0)
			(void)err_set(err, ERR_HARNESS, "cannot fork: %s", strerror(errno));
	}
	(void)close(out[1]);
	if (w->pid < 0) {
		w->pid = 0;
		(void)close(out[0]);
		return err->code;
	}
	w->out = out[0];
	(void)fcntl(w->out, F_SETFL, O_NONBLOCK);
	return 0;
}

/* ---- reading ---- */

/* "KEY POSITION", as workload.h defines it. */
static int keep_promise(struct kill_writer *w, const char *text, struct err *err)
{
	const char *blank = strrchr(text, ' ');
	char *end = NULL;
	long long position = blank == NULL ? 0 : strtoll(blank + 1, &end, 10);

	if (blank == NULL || end == blank + 1 || *end != '\0')
		return err_set(err, ERR_HARNESS,
			       "a workload acknowledged '%s', which is not KEY POSITION", text);
	w->promises = xgrow(w->promises, w->promise_count, &w->promise_cap, sizeof *w->promises);
	struct kill_promise *p = &w->promises[w->promise_count++];

	(void)snprintf(p->key, sizeof p->key, "%.*s", (int)(blank - text), text);
	p->position = position;
	return 0;
}

/* "ORACLE MESSAGE". */
static int keep_found(struct kill_writer *w, const struct kill_record *record, struct err *err)
{
	const char *blank = strchr(record->text, ' ');

	if (blank == NULL || record->code < GRADE_CORRUPT || record->code > GRADE_NONE)
		return err_set(err, ERR_HARNESS, "a reader found '%s'", record->text);
	w->found = xgrow(w->found, w->found_count, &w->found_cap, sizeof *w->found);
	struct verdict *v = &w->found[w->found_count++];

	v->oracle = NULL;
	v->grade = (enum grade)record->code;
	(void)snprintf(v->message, sizeof v->message, "%.*s", VERDICT_MESSAGE_SIZE - 1,
		       record->text);
	return 0;
}

static int keep_turn(struct kill_writer *w, const struct kill_record *record, struct err *err)
{
	for (size_t i = 0; i < w->job->client_count; i++) {
		if (w->job->clients[i].index != record->client)
			continue;
		w->positions[i] = record->position;
		w->turns++;
		return 0;
	}
	return err_set(err, ERR_HARNESS, "a writer speaks of client %" PRIu32, record->client);
}

static int keep_record(struct kill_writer *w, const struct kill_record *record, struct err *err)
{
	switch (record->type) {
	case KILL_RECORD_STARTED:
		w->started = true;
		w->clock_offset_seconds = record->clock - (int64_t)time(NULL);
		return 0;
	case KILL_RECORD_TEXT:
		w->turns++;
		return keep_promise(w, record->text, err);
	case KILL_RECORD_SEEN:
		return keep_promise(w, record->text, err);
	case KILL_RECORD_SEEN_STATE:
		w->seen_turn = record->position.turn;
		return 0;
	case KILL_RECORD_FOUND:
		return keep_found(w, record, err);
	case KILL_RECORD_TURN:
		return keep_turn(w, record, err);
	case KILL_RECORD_STATE:
		w->states = xgrow(w->states, w->state_count, &w->state_cap, sizeof *w->states);
		w->states[w->state_count++] = *record;
		return 0;
	case KILL_RECORD_IMPURE:
		(void)snprintf(w->impure, sizeof w->impure, "%.*s", KILL_TEXT_SIZE - 1,
			       record->text);
		return 0;
	case KILL_RECORD_DONE:
		w->done = true;
		w->counts = record->counts;
		return 0;
	case KILL_RECORD_FAILED:
		w->failed = true;
		w->error.code = record->code;
		(void)snprintf(w->error.message, sizeof w->error.message, "%s", record->text);
		return 0;
	}
	return err_set(err, ERR_HARNESS, "an unknown record");
}

/* Reads what there is. At the end of the pipe w->out becomes -1. */
static int read_writer(struct kill_writer *w, struct err *err)
{
	struct kill_record record;
	int rc;

	buf_reserve(&w->in, READ_SIZE);
	ssize_t n = read(w->out, w->in.data + w->in.size, READ_SIZE);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0)
		return err_set(err, ERR_HARNESS, "cannot read from a writer: %s", strerror(errno));
	if (n == 0) {
		(void)close(w->out);
		w->out = -1;
		if (w->in.size > 0)
			return err_set(err, ERR_HARNESS, "a writer's last record is cut");
		return 0;
	}
	w->in.size += (size_t)n;
	w->read_bytes += (size_t)n;
	size_t offset = 0;

	while ((rc = kill_record_decode(&w->in, &offset, &record, err)) == 1)
		if ((rc = keep_record(w, &record, err)) != 0)
			return rc;
	memmove(w->in.data, w->in.data + offset, w->in.size - offset);
	w->in.size -= offset;
	return rc;
}

/* ---- time ---- */

struct run {
	struct kill_round *r;
	uint64_t begin_ns;  /* when they were started */
	uint64_t go_ns;	    /* when they were let go; 0: not yet */
	uint64_t victim_ns; /* when the victim's end was seen or its kill sent; 0: not yet */
	uint64_t step_ns;   /* when the clock steps next; UINT64_MAX: never */
	unsigned steps;
	bool over; /* no writer is left, and the others know */
};

static uint64_t later(uint64_t ns, uint64_t by)
{
	return by >= UINT64_MAX - ns ? UINT64_MAX : ns + by;
}

/* When writer i is to be killed. */
static uint64_t kill_time(const struct run *x, size_t i)
{
	const struct kill_round *r = x->r;

	if (x->go_ns == 0)
		return UINT64_MAX;
	if (i == r->victim)
		return later(x->go_ns, r->kill_ns);
	if (x->victim_ns != 0)
		return later(x->victim_ns, r->delay_ns);
	return UINT64_MAX;
}

static void end_writer(struct kill_writer *w)
{
	if (w->pid <= 0 || w->out < 0 || w->shot)
		return;
	(void)kill(w->pid, SIGKILL);
	w->shot = true;
}

static void end_all(struct kill_round *r)
{
	for (size_t i = 0; i < r->writer_count; i++)
		end_writer(&r->writers[i]);
}

static bool any_writes(const struct kill_round *r)
{
	for (size_t i = 0; i < r->writer_count; i++)
		if (r->writers[i].out >= 0 && r->writers[i].job->role <= KILL_ROLE_WRITER)
			return true;
	return false;
}

/* Kills who is due. The victim comes first, so that who is to die with it does. */
static void kill_due(struct run *x, uint64_t now)
{
	struct kill_round *r = x->r;

	if (x->go_ns != 0 && x->victim_ns == 0 &&
	    (r->writers[r->victim].out < 0 || kill_time(x, r->victim) <= now))
		x->victim_ns = now;
	if (kill_time(x, r->victim) <= now)
		end_writer(&r->writers[r->victim]);
	for (size_t i = 0; i < r->writer_count; i++)
		if (i != r->victim && kill_time(x, i) <= now)
			end_writer(&r->writers[i]);
	if (x->go_ns != 0 && !x->over && !any_writes(r)) {
		x->over = true;
		if (r->over != NULL)
			atomic_store(r->over, 1);
		for (size_t i = 0; i < r->writer_count && r->kills_rest; i++) {
			r->writers[i].left_over = r->writers[i].out >= 0;
			end_writer(&r->writers[i]);
		}
	}
	if (now - (x->go_ns != 0 ? x->go_ns : x->begin_ns) <= HANG_NS)
		return;
	for (size_t i = 0; i < r->writer_count; i++) {
		r->writers[i].hung = r->writers[i].out >= 0;
		end_writer(&r->writers[i]);
	}
}

/* With a plan of the scenario's the writers move their clocks themselves. */
static bool moves_clock(const struct kill_round *r)
{
	return r->clock != NULL && r->clock->plan == NULL;
}

/* A day back, ten years on, and back to the truth: while they write. */
static int step_clock(struct run *x, uint64_t now, struct err *err)
{
	/* Before they are let go they find the first offset, which tells that they see it. */
	if (now < x->step_ns || (x->steps > 0 && x->go_ns == 0))
		return 0;
	x->step_ns = later(now, x->r->clock_step_ns);
	return kill_clock_set(x->r->clock->file,
			      fi_clock_offset_s(fi_clock_find("steps"), ++x->steps), err);
}

static struct timespec wait_time(const struct run *x, uint64_t now)
{
	uint64_t until = now + DRAIN_INTERVAL_NS;

	if (x->go_ns != 0 && x->step_ns < until)
		until = x->step_ns;
	for (size_t i = 0; i < x->r->writer_count; i++)
		if (x->r->writers[i].out >= 0 && !x->r->writers[i].shot && kill_time(x, i) < until)
			until = kill_time(x, i);
	uint64_t ns = until > now ? until - now : 0;

	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
				 .tv_nsec = (long)(ns % 1000000000u)};
}

/* ---- the run ---- */

static bool all_started(const struct kill_round *r)
{
	for (size_t i = 0; i < r->writer_count; i++)
		if (!r->writers[i].started && r->writers[i].out >= 0)
			return false;
	return true;
}

/* Waits until a process has ended (or, before they are let go, has said anything) or it is time to
 * do something; then reads all pipes, and notes when the last writer was done. */
static int read_writers(struct run *x, struct err *err)
{
	struct kill_round *r = x->r;
	struct pollfd fds[KILL_PROCESSES_MAX];
	struct timespec timeout = wait_time(x, gate_now_ns());

	for (size_t i = 0; i < r->writer_count; i++)
		fds[i] = (struct pollfd){r->writers[i].out, x->go_ns == 0 ? POLLIN : 0, 0};
	(void)ppoll(fds, (nfds_t)r->writer_count, &timeout, NULL);
	for (size_t i = 0; i < r->writer_count; i++) {
		struct kill_writer *w = &r->writers[i];
		bool was_done = w->done;
		size_t before;
		int rc = 0;

		/* One that has ended is read to the end of its pipe. */
		do {
			before = w->read_bytes;
			if (w->out >= 0)
				rc = read_writer(w, err);
		} while (rc == 0 && w->out >= 0 && w->read_bytes > before);
		if (rc != 0)
			return rc;
		if (!was_done && w->done && w->job->role <= KILL_ROLE_WRITER)
			r->duration_ns = gate_now_ns() - x->go_ns;
	}
	return 0;
}

static bool any_left(const struct kill_round *r)
{
	for (size_t i = 0; i < r->writer_count; i++)
		if (r->writers[i].out >= 0)
			return true;
	return false;
}

static int attend(struct run *x, int *go, struct err *err)
{
	struct kill_round *r = x->r;
	int rc = 0;

	while (any_left(r) && rc == 0) {
		uint64_t now = gate_now_ns();

		if (!r->interrupted && r->stop != NULL && r->stop(r->ctx)) {
			r->interrupted = true;
			end_all(r);
		}
		if (*go >= 0 && all_started(r)) {
			(void)close(*go);
			*go = -1;
			x->go_ns = now;
		}
		kill_due(x, now);
		if (moves_clock(r))
			rc = step_clock(x, now, err);
		if (rc == 0)
			rc = read_writers(x, err);
	}
	return rc;
}

/* How a writer ended, after its pipe did. */
static int reap(struct kill_round *r, struct kill_writer *w, struct err *err)
{
	int status = 0;

	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (is_executed(r, w->job))
		kill_clock_sweep(w->pid);
	w->pid = 0;
	if (w->hung)
		w->end = KILL_END_HUNG;
	else if (w->done)
		w->end = KILL_END_FINISHED;
	else if (w->failed)
		w->end = KILL_END_FAILED;
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		w->end = KILL_END_KILLED;
	else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT) {
		w->end = KILL_END_CRASHED;
		w->signal = WTERMSIG(status);
	} else
		/* An abort is a failed assertion of ours. */
		return err_set(err, ERR_HARNESS, "process %td of a round ended with status 0x%x%s",
			       w - r->writers + 1, status,
			       w->started ? "" : " before it had started");
	return 0;
}

int kill_round_run(struct kill_round *r, struct err *err)
{
	struct run x = {.r = r, .begin_ns = gate_now_ns(), .step_ns = UINT64_MAX};
	int go[2] = {-1, -1}, rc = 0;

	ASSERT_OP(r->writer_count, <=, KILL_PROCESSES_MAX);
	for (size_t i = 0; i < r->writer_count; i++) {
		struct kill_writer *w = &r->writers[i];

		w->out = -1;
		w->positions = xcalloc(w->job->client_count, sizeof *w->positions);
		for (size_t k = 0; k < w->job->client_count; k++)
			w->positions[k] = w->job->clients[k].from;
	}
	if (r->over != NULL)
		atomic_store(r->over, 0);
	if (moves_clock(r)) {
		x.step_ns = 0;
		rc = step_clock(&x, x.begin_ns, err);
	}
	if (rc == 0 && pipe2(go, O_CLOEXEC) != 0)
		rc = err_set(err, ERR_HARNESS, "cannot make a pipe: %s", strerror(errno));
	for (size_t i = 0; i < r->writer_count && rc == 0; i++)
		rc = start_process(r, i, go, err);
	if (rc == 0)
		rc = attend(&x, &go[1], err);
	/* Whatever went wrong, no writer is left. */
	end_all(r);
	for (size_t i = 0; i < 2; i++)
		if (go[i] >= 0)
			(void)close(go[i]);
	for (size_t i = 0; i < r->writer_count; i++) {
		struct kill_writer *w = &r->writers[i];
		struct err ignored = ERR_INIT;

		if (w->out >= 0)
			(void)close(w->out);
		w->out = -1;
		if (w->pid <= 0)
			continue;
		int reaped = reap(r, w, rc == 0 ? err : &ignored);

		if (rc == 0)
			rc = reaped;
	}
	return rc;
}

void kill_round_release(struct kill_round *r)
{
	for (size_t i = 0; i < r->writer_count; i++) {
		free(r->writers[i].promises);
		free(r->writers[i].positions);
		free(r->writers[i].states);
		free(r->writers[i].found);
		buf_release(&r->writers[i].in);
	}
	memset(r, 0, sizeof *r);
}

size_t kill_round_killed(const struct kill_round *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->writer_count; i++)
		n += r->writers[i].end == KILL_END_KILLED && !r->writers[i].left_over;
	return n;
}

void kill_writer_name(const struct kill_round *r, size_t i, char *ret, size_t size)
{
	static const char *const roles[] = {
	    [KILL_ROLE_SETUP] = "setup",
	    [KILL_ROLE_REFERENCE] = "reference",
	    [KILL_ROLE_WRITER] = "writer",
	    [KILL_ROLE_READER] = "reader",
	    [KILL_ROLE_CHECKPOINTER] = "checkpointer",
	};
	enum kill_role role = r->writers[i].job->role;
	size_t number = 1;

	for (size_t k = 0; k < i; k++)
		number += r->writers[k].job->role == role;
	(void)snprintf(ret, size, "%s %zu", roles[role], number);
}
