/*
 * Rounds of the real kills side by side. See kill_case.h.
 *
 *     this process ─┬─> lane 1: own folder ─┬─> processes of a round, checker
 *                   │                       └─> what each round came to, through a pipe
 *                   └─> lane 2 ...
 *
 * Most of a round is waiting: for processes to start, for locks, for a moment to kill. A lane is a
 * child, so that each has its own children to wait for, and its own state of the files.
 *
 * The rounds that go on with the same files (a generation) belong together, and a lane takes the
 * next generation when it is done with one. Which lane does it changes nothing: a generation begins
 * with new files. What was done according to the resume file is left out, and the generation that
 * was cut in two begins anew with the rounds that are missing.
 *
 * When this process is interrupted, each lane ends its own children and then itself; when it dies,
 * the lanes die with it, and their children with them.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/drive/gate.h"
#include "harness/drive/identity.h"
#include "harness/drive/kill_case.h"
#include "harness/drive/kill_resume.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef PLUGPULL_COVERAGE
extern void __gcov_dump(void);
#endif

enum {
	ROUNDS_MAX = 1 << 28, /* of a case */
	STOP_INTERVAL_MS = 50,
	READ_SIZE = 1 << 16,
	MESSAGE_SIZE_MAX = KILL_RESUME_RECORD_MAX,
	MESSAGE_HEADER_SIZE = 5, /* size of what follows (4), type */
};

enum message { MESSAGE_SCORE, MESSAGE_FAILED, MESSAGE_END };

/* In memory that all lanes share. */
struct shared {
	_Atomic uint64_t next; /* generation to be taken, from 0 */
	_Atomic int stop;
};

struct lane {
	pid_t pid;
	int in; /* read end, or -1 */
	struct buf buf;
	bool ended; /* it said so */
};

struct lanes {
	struct kill_run *k;
	struct shared *shared;
	struct kill_resume *resume; /* borrowed; may be NULL */
	struct digest key;	    /* of this case in it */
	uint8_t *done;		    /* owned; bit n - 1: round n was done before */
	size_t done_size;	    /* bytes */
	struct lane *lanes;	    /* owned */
	size_t lane_count;
};

/* ---- what was done before ---- */

static bool is_done(const struct lanes *l, uint64_t number)
{
	return number / 8 < l->done_size && (l->done[number / 8] >> number % 8 & 1) != 0;
}

static void take_done(void *ctx, const struct kill_score *score)
{
	struct lanes *l = ctx;
	uint64_t byte = score->number / 8;

	if (score->number == 0 || score->number > ROUNDS_MAX || is_done(l, score->number))
		return;
	if (l->k->options->rounds_max != 0 && score->number > l->k->options->rounds_max)
		return;
	if (byte >= l->done_size) {
		l->done = xrealloc(l->done, byte + 1);
		memset(l->done + l->done_size, 0, byte + 1 - l->done_size);
		l->done_size = byte + 1;
	}
	l->done[byte] |= (uint8_t)(1u << score->number % 8);
	kill_score_add(&l->k->total, score);
}

/* Everything that decides what a round does: subject, recording, programs, and in words the rest.
 */
static int find_key(struct lanes *l, struct err *err)
{
	const struct kill_run *k = l->k;
	struct buf more;
	int rc;

	buf_init(&more);
	buf_printf(&more, "kill %s seed=%" PRIu64 " processes=%zu/%zu plant=%s clock=%d",
		   k->spec->id, k->options->seed, k->writer_count, k->job_count,
		   k->scenario->plant == NULL ? "" : k->scenario->plant,
		   k->options->faketime != NULL);
	for (size_t i = k->writer_count; i < k->job_count; i++)
		buf_printf(&more, " %d", (int)k->jobs[i].role);
	if (k->power_subject != NULL) {
		buf_printf(&more, " power ");
		model_print(&k->model, &more);
	}
	for (size_t i = 0; i < k->spec->workload_params.count; i++)
		buf_printf(&more, " %s=%s", k->spec->workload_params.items[i].key,
			   k->spec->workload_params.items[i].value);
	rc = exploration_identity(k->recorded_subject, k->trace, buf_str(&more), &l->key, err);
	buf_release(&more);
	return rc;
}

/* ---- a lane ---- */

static void send_message(int out, enum message type, const void *data, size_t size)
{
	struct buf b;

	buf_init(&b);
	buf_put_u32(&b, (uint32_t)size);
	buf_put_u8(&b, (uint8_t)type);
	buf_append(&b, data, size);
	for (size_t at = 0; at < b.size;) {
		ssize_t n = write(out, b.data + at, b.size - at);

		if (n < 0 && errno != EINTR)
			_exit(1);
		at += n < 0 ? 0 : (size_t)n;
	}
	buf_release(&b);
}

static bool lane_stops(void *ctx)
{
	return atomic_load(&((struct shared *)ctx)->stop) != 0;
}

static bool is_spent(const struct kill_run *k, uint64_t number)
{
	const struct kill_options *o = k->options;

	return number > ROUNDS_MAX || (o->rounds_max != 0 && number > o->rounds_max) ||
	       (o->deadline_ns != 0 && gate_now_ns() >= o->deadline_ns);
}

/* 0, an error, or 1 when there is nothing left to do. */
static int run_generation(struct lanes *l, int out, struct err *err)
{
	struct kill_run *k = l->k;
	uint64_t first = atomic_fetch_add(&l->shared->next, 1) * KILL_GENERATION_ROUNDS + 1;
	struct buf b;
	int rc = 0;

	k->fresh = true;
	for (uint64_t n = first; n < first + KILL_GENERATION_ROUNDS && rc == 0; n++) {
		if (is_spent(k, n) || lane_stops(l->shared))
			return 1;
		if (is_done(l, n))
			continue;
		rc = kill_run_round(k, n, err);
		if (rc != 0 || k->interrupted)
			break;
		buf_init(&b);
		kill_score_encode(&k->score, &b);
		send_message(out, MESSAGE_SCORE, b.data, b.size);
		buf_release(&b);
	}
	return rc == 0 && k->interrupted ? 1 : rc;
}

_Noreturn static void run_lane(struct lanes *l, unsigned number, pid_t parent, int out)
{
	struct kill_options options = *l->k->options;
	struct err err = ERR_INIT;
	int rc;

	kill_begin_child(parent);
	(void)prctl(PR_SET_NAME, "plugpull-lane");
	kill_resume_leave(l->resume);
	options.stop = lane_stops;
	options.ctx = l->shared;
	l->k->options = &options;
	rc = kill_run_move(l->k, number, &err);
	if (rc == 0)
		rc = kill_process_prepare(l->k->folder.path, &err);
	while (rc == 0)
		rc = run_generation(l, out, &err);
	kill_checker_close(&l->k->checker);
	if (rc == 1) {
		send_message(out, MESSAGE_END, NULL, 0);
	} else {
		struct buf b;

		buf_init(&b);
		buf_put_u32(&b, (uint32_t)rc);
		buf_append(&b, err.message, strlen(err.message));
		send_message(out, MESSAGE_FAILED, b.data, b.size);
		buf_release(&b);
	}
#ifdef PLUGPULL_COVERAGE
	__gcov_dump();
#endif
	_exit(0);
}

/* ---- this process ---- */

static int start_lane(struct lanes *l, unsigned number, struct err *err)
{
	struct lane *lane = &l->lanes[l->lane_count];
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return err_set(err, ERR_HARNESS, "cannot make a pipe: %s", strerror(errno));
	lane->pid = fork();
	if (lane->pid == 0) {
		(void)close(fds[0]);
		for (size_t i = 0; i < l->lane_count; i++)
			(void)close(l->lanes[i].in);
		run_lane(l, number, parent, fds[1]);
	}
	(void)close(fds[1]);
	if (lane->pid < 0) {
		(void)close(fds[0]);
		return err_set(err, ERR_HARNESS, "cannot fork: %s", strerror(errno));
	}
	lane->in = fds[0];
	buf_init(&lane->buf);
	l->lane_count++;
	return 0;
}

static int take_message(struct lanes *l, struct lane *lane, enum message type, const uint8_t *data,
			size_t size, struct err *err)
{
	struct kill_run *k = l->k;
	struct kill_score score;
	int rc;

	switch (type) {
	case MESSAGE_END:
		lane->ended = true;
		return 0;
	case MESSAGE_FAILED:
		lane->ended = true;
		if (size < 4)
			break;
		rc = (int)((uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
			   (uint32_t)data[3] << 24);
		return err_set(err, (enum err_code)rc, "%.*s", (int)(size - 4),
			       (const char *)data + 4);
	case MESSAGE_SCORE:
		if (kill_score_decode(data, size, &score, err) != 0)
			return err->code = ERR_HARNESS;
		kill_score_add(&k->total, &score);
		rc = l->resume == NULL ? 0 : kill_resume_add(l->resume, l->key, &score, err);
		kill_score_release(&score);
		if (rc == 0 && k->options->progress != NULL)
			k->options->progress(k->options->ctx, k->spec->id, k->total.rounds,
					     k->total.kills);
		return rc;
	}
	return err_set(err, ERR_HARNESS, "a lane of rounds sent what it never sends");
}

static int take_messages(struct lanes *l, struct lane *lane, struct err *err)
{
	struct buf *b = &lane->buf;
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && b->size - at >= MESSAGE_HEADER_SIZE) {
		const uint8_t *p = b->data + at;
		size_t size =
		    (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;

		if (size > MESSAGE_SIZE_MAX)
			return err_set(err, ERR_HARNESS, "a lane of rounds sent %zu bytes", size);
		if (b->size - at - MESSAGE_HEADER_SIZE < size)
			break;
		rc = take_message(l, lane, (enum message)p[4], p + MESSAGE_HEADER_SIZE, size, err);
		at += MESSAGE_HEADER_SIZE + size;
	}
	memmove(b->data, b->data + at, b->size - at);
	b->size -= at;
	return rc;
}

static int read_lane(struct lanes *l, struct lane *lane, struct err *err)
{
	buf_reserve(&lane->buf, READ_SIZE);
	ssize_t n = read(lane->in, lane->buf.data + lane->buf.size, READ_SIZE);

	if (n < 0)
		return errno == EINTR ? 0
				      : err_set(err, ERR_HARNESS, "cannot read from a lane: %s",
						strerror(errno));
	if (n > 0) {
		lane->buf.size += (size_t)n;
		return take_messages(l, lane, err);
	}
	(void)close(lane->in);
	lane->in = -1;
	int status = 0;

	while (waitpid(lane->pid, &status, 0) < 0 && errno == EINTR)
		;
	lane->pid = 0;
	if (!lane->ended)
		return err_set(err, ERR_HARNESS, "a lane of rounds ended with status 0x%x", status);
	return 0;
}

static size_t lanes_left(const struct lanes *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->lane_count; i++)
		n += l->lanes[i].in >= 0;
	return n;
}

/* Reads the lanes to their ends. After an error they are told to stop, and the first one counts. */
static int attend(struct lanes *l, struct err *err)
{
	const struct kill_options *o = l->k->options;
	struct pollfd *fds = xcalloc(l->lane_count, sizeof *fds);
	int first = 0;

	while (lanes_left(l) > 0) {
		for (size_t i = 0; i < l->lane_count; i++)
			fds[i] = (struct pollfd){l->lanes[i].in, POLLIN, 0};
		if (!l->k->interrupted && o->stop != NULL && o->stop(o->ctx)) {
			l->k->interrupted = true;
			atomic_store(&l->shared->stop, 1);
		}
		if (poll(fds, (nfds_t)l->lane_count, STOP_INTERVAL_MS) <= 0)
			continue;
		for (size_t i = 0; i < l->lane_count; i++) {
			struct err later = ERR_INIT;
			int rc = 0;

			if (fds[i].fd >= 0 && fds[i].revents != 0)
				rc = read_lane(l, &l->lanes[i], first == 0 ? err : &later);
			if (rc == 0)
				continue;
			first = first == 0 ? rc : first;
			atomic_store(&l->shared->stop, 1);
			/* What sent rubbish cannot be listened to any more. */
			if (l->lanes[i].in >= 0 && !l->lanes[i].ended)
				(void)kill(l->lanes[i].pid, SIGKILL);
		}
	}
	free(fds);
	return first;
}

int kill_run_lanes(struct kill_run *k, struct kill_resume *resume, struct err *err)
{
	unsigned count = k->options->jobs == 0 ? 1 : k->options->jobs;
	struct lanes l = {.k = k, .resume = resume};
	int rc = 0;

	l.lanes = xcalloc(count, sizeof *l.lanes);
	l.shared =
	    mmap(NULL, sizeof *l.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l.shared == MAP_FAILED) {
		l.shared = NULL;
		rc = err_set(err, ERR_HARNESS, "cannot share memory: %s", strerror(errno));
		goto out;
	}
	if (resume != NULL) {
		rc = find_key(&l, err);
		if (rc == 0)
			rc = kill_resume_each(resume, l.key, take_done, &l, err);
	}
	kill_checker_close(&k->checker);
	/* Every page that is here is copied, or its entry, with every process of every round; and
	 * of the recording nothing is needed any more. */
	trace_index_free(k->index);
	trace_free(k->trace);
	k->index = NULL;
	k->trace = NULL;
	(void)malloc_trim(0);
	for (unsigned i = 1; i <= count && rc == 0; i++)
		rc = start_lane(&l, i, err);
	if (rc != 0 && l.lane_count > 0)
		atomic_store(&l.shared->stop, 1);
	struct err later = ERR_INIT;
	int attended = attend(&l, rc == 0 ? err : &later);

	rc = rc == 0 ? attended : rc;
out:
	for (size_t i = 0; i < l.lane_count; i++)
		buf_release(&l.lanes[i].buf);
	if (l.shared != NULL)
		(void)munmap(l.shared, sizeof *l.shared);
	free(l.lanes);
	free(l.done);
	return rc;
}
