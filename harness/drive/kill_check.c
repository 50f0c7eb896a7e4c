/*
 * What is there after a kill: a checker process that opens the database, and the judgement of
 * promises. See kill_internal.h.
 *
 * The checker is a process because what it runs may crash or never end, and both are findings. One
 * is kept from round to round, and another is forked when it is gone. It only observes and hands
 * the observation back as bytes; judging is the parent's, which alone knows what was promised.
 *
 * Does not judge what an oracle of harness/judge/ judges.
 */
#include "harness/drive/kill_internal.h"

#include "faultinject/base/assert.h"
#include "harness/drive/aftermath.h"
#include "harness/drive/gate.h"
#include "harness/drive/kill_bytes.h"
#include "harness/drive/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef PLUGPULL_COVERAGE
extern void __gcov_dump(void);
#endif

enum {
	OBSERVATION_SIZE_MAX = 1 << 30,
	READ_SIZE = 1 << 16,
	STOP_INTERVAL_MS = 50,
};

/* ---- observations as bytes ---- */

static void put_text(struct buf *out, const char *text)
{
	size_t size = text == NULL ? 0 : strlen(text);

	buf_put_u8(out, text != NULL);
	buf_put_u64(out, size);
	buf_append(out, text, size);
}

void kill_observation_encode(const struct observation *o, struct buf *out)
{
	buf_put_u64(out, o->id);
	buf_put_u64(out, (uint64_t)(int64_t)o->rc);
	put_text(out, o->failed);
	put_text(out, o->aftermath.hot);
	buf_put_u64(out, o->file_count);
	buf_append(out, o->files, o->file_count * sizeof *o->files);
	buf_put_u64(out, o->probe_count);
	for (size_t i = 0; i < o->probe_count; i++) {
		const struct probe_result *r = &o->probes[i];

		buf_put_u64(out, (uint64_t)(int64_t)r->rc);
		put_text(out, r->error);
		buf_put_u8(out, r->cut);
		buf_put_u64(out, r->row_count);
		buf_put_u64(out, r->column_count);
		for (size_t k = 0; k < r->row_count * r->column_count; k++) {
			put_text(out, r->cells[k]);
			buf_put_u8(out, (uint8_t)r->types[k]);
		}
	}
}

static char *take_text(struct kill_reader *r)
{
	bool is_there = kill_take_u8(r) != 0;
	size_t size = kill_take_count(r, 1);

	if (!is_there || r->cut)
		return NULL;
	char *text = xmalloc(size + 1);

	kill_take(r, text, size);
	text[size] = '\0';
	return text;
}

static void take_probe(struct kill_reader *r, struct probe_result *ret)
{
	enum {
		CELL_SIZE_MIN = 10,
		COLUMNS_MAX = 32767, /* SQLITE_MAX_COLUMN can be no higher */
	};

	ret->rc = (int)(int64_t)kill_take_u64(r);
	ret->error = take_text(r);
	ret->cut = kill_take_u8(r) != 0;
	uint64_t rows = kill_take_u64(r), columns = kill_take_u64(r);

	if (rows > PROBE_ROWS_MAX || columns > COLUMNS_MAX ||
	    rows * columns > r->left / CELL_SIZE_MIN) {
		r->cut = true;
		return;
	}
	ret->row_count = (size_t)rows;
	ret->column_count = (size_t)columns;
	if (rows * columns == 0)
		return;
	ret->cells = xcalloc(rows * columns, sizeof *ret->cells);
	ret->types = xcalloc(rows * columns, 1);
	for (size_t k = 0; k < rows * columns; k++) {
		ret->cells[k] = take_text(r);
		ret->types[k] = (char)kill_take_u8(r);
	}
}

int kill_observation_decode(const struct buf *in, struct observation *ret, struct err *err)
{
	struct observation o = {0};
	struct kill_reader r = {in->data, in->size, false};
	char *failed;

	o.id = kill_take_u64(&r);
	o.rc = (int)(int64_t)kill_take_u64(&r);
	failed = take_text(&r);
	(void)snprintf(o.failed, sizeof o.failed, "%s", failed == NULL ? "" : failed);
	free(failed);
	char *hot = take_text(&r);
	(void)snprintf(o.aftermath.hot, sizeof o.aftermath.hot, "%s", hot == NULL ? "" : hot);
	free(hot);
	o.file_count = kill_take_count(&r, sizeof *o.files);
	if (o.file_count > OBSERVED_FILES_MAX) {
		o.file_count = 0;
		r.cut = true;
	}
	kill_take(&r, o.files, o.file_count * sizeof *o.files);
	size_t probe_count = kill_take_count(&r, 1);

	o.probes = probe_count == 0 ? NULL : xcalloc(probe_count, sizeof *o.probes);
	o.probe_count = probe_count;
	for (size_t i = 0; i < probe_count && !r.cut; i++)
		take_probe(&r, &o.probes[i]);
	if (r.cut || r.left > 0) {
		observation_release(&o);
		return err_set(err, ERR_HARNESS, "the checker's answer is broken");
	}
	*ret = o;
	return 0;
}

/* ---- the checker ---- */

_Noreturn static void checker_exit(int status)
{
#ifdef PLUGPULL_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* Asks for a check. SIGPIPE would end us, and MSG_NOSIGNAL is for sockets. */
static bool ask(int to)
{
	return send(to, "?", 1, MSG_NOSIGNAL) == 1;
}

static void write_all(int out, const struct buf *b)
{
	for (size_t at = 0; at < b->size;) {
		ssize_t n = write(out, b->data + at, b->size - at);

		if (n < 0 && errno != EINTR)
			checker_exit(1);
		at += n < 0 ? 0 : (size_t)n;
	}
}

static void check_once(const struct observer *observer, int out)
{
	struct observation o = {0};
	struct buf b, answer;
	sqlite3 *db = observer_recover(observer, &o);

	observer_observe(observer, db, &o);
	observer_close(db);
	/* Of what follows recovery only what changes nothing: the next round goes on here. */
	if (o.rc == 0)
		aftermath_leftovers(observer, &o.aftermath);
	buf_init(&b);
	buf_init(&answer);
	kill_observation_encode(&o, &b);
	buf_put_u64(&answer, b.size);
	buf_append(&answer, b.data, b.size);
	write_all(out, &answer);
	buf_release(&answer);
	buf_release(&b);
	observation_release(&o);
}

_Noreturn static void check_in_child(const struct subject *subject, const struct probe_list *probes,
				     int end)
{
	struct observer observer;
	char byte;
	ssize_t n;

	(void)prctl(PR_SET_NAME, "plugpull-check");
	/* The parent may have had the simulated disk in use. */
	if (sqlite3_vfs_register(sqlite3_vfs_find("unix"), 1) != SQLITE_OK)
		checker_exit(1);
	observer_init(&observer, subject, probes);
	while ((n = read(end, &byte, 1)) == 1 || (n < 0 && errno == EINTR))
		if (n == 1)
			check_once(&observer, end);
	observer_release(&observer);
	checker_exit(0);
}

static int start_checker(struct kill_checker *c, const struct subject *subject,
			 const struct probe_list *probes, struct err *err)
{
	int ends[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return err_set(err, ERR_HARNESS, "cannot make a socket: %s", strerror(errno));
	c->pid = fork();
	if (c->pid == 0) {
		kill_begin_child(parent);
		(void)close(ends[0]);
		check_in_child(subject, probes, ends[1]);
	}
	(void)close(ends[1]);
	c->end = ends[0];
	if (c->pid > 0)
		return 0;
	c->pid = 0;
	(void)close(c->end);
	return err_set(err, ERR_HARNESS, "cannot fork: %s", strerror(errno));
}

/* The size of an answer that is there in full, or SIZE_MAX. */
static size_t whole_answer(const struct buf *b)
{
	struct kill_reader r = {b->data, b->size, false};
	uint64_t size = kill_take_u64(&r);

	return r.cut || size > r.left ? SIZE_MAX : (size_t)size;
}

/* Reads one answer. ERR_INTERRUPTED, *ret_hung when it does not come, *ret_ended when the checker
 * ended instead. */
static int read_answer(int fd, bool (*stop)(void *ctx), void *ctx, struct buf *out, bool *ret_hung,
		       bool *ret_ended, struct err *err)
{
	uint64_t deadline = gate_now_ns() + (uint64_t)KILL_HANG_SECONDS * 1000000000u;

	while (whole_answer(out) == SIZE_MAX) {
		struct pollfd p = {fd, POLLIN, 0};
		int ready = poll(&p, 1, STOP_INTERVAL_MS);
		ssize_t n = 0;

		if (stop != NULL && stop(ctx))
			return err_set(err, ERR_INTERRUPTED, "interrupted");
		if (gate_now_ns() > deadline) {
			*ret_hung = true;
			return 0;
		}
		if (ready <= 0)
			continue;
		buf_reserve(out, READ_SIZE);
		n = read(fd, out->data + out->size, READ_SIZE);
		if (n == 0) {
			*ret_ended = true;
			return 0;
		}
		if (n < 0 && errno != EINTR)
			return err_set(err, ERR_HARNESS, "cannot read from the checker: %s",
				       strerror(errno));
		out->size += n < 0 ? 0 : (size_t)n;
		if (out->size > OBSERVATION_SIZE_MAX)
			return err_set(err, ERR_HARNESS, "the checker's answer is too long");
	}
	return 0;
}

/* Waits for the checker's end. */
static int end_checker(struct kill_checker *c)
{
	int status = 0;

	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	(void)close(c->end);
	return status;
}

void kill_checker_close(struct kill_checker *c)
{
	if (c->pid == 0)
		return;
	(void)kill(c->pid, SIGKILL);
	(void)end_checker(c);
}

int kill_check_observe(struct kill_checker *c, const struct subject *subject,
		       const struct probe_list *probes, bool (*stop)(void *ctx), void *ctx,
		       struct observation *ret, int *ret_signal, struct err *err)
{
	bool hung = false, ended = false;
	struct buf b;
	int rc = c->pid != 0 ? 0 : start_checker(c, subject, probes, err);

	if (rc != 0)
		return rc;
	buf_init(&b);
	/* One that has died is seen when its answer does not come. */
	(void)ask(c->end);
	rc = read_answer(c->end, stop, ctx, &b, &hung, &ended, err);
	*ret_signal = 0;
	if (rc == 0 && ended) {
		int status = end_checker(c);

		memset(ret, 0, sizeof *ret);
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT)
			*ret_signal = WTERMSIG(status);
		else
			/* An abort is a failed assertion of ours. */
			rc =
			    err_set(err, ERR_HARNESS, "the checker ended with status 0x%x", status);
	} else if (rc == 0 && hung) {
		kill_checker_close(c);
		memset(ret, 0, sizeof *ret);
		ret->hung = true;
	} else if (rc == 0) {
		struct buf answer = {b.data + sizeof(uint64_t), whole_answer(&b), 0};

		rc = kill_observation_decode(&answer, ret, err);
	}
	if (rc != 0)
		kill_checker_close(c);
	buf_release(&b);
	return rc;
}

/* ---- promises of a workload ---- */

enum { COLUMN_KEY, COLUMN_COUNT, COLUMN_MIN, COLUMN_MAX, COLUMNS };

static int64_t cell_number(const struct probe_result *r, size_t row, size_t column)
{
	const char *cell = probe_cell(r, row, column);

	return cell == NULL ? 0 : strtoll(cell, NULL, 10);
}

/* The last position that is there, or 0. */
static int64_t position_there(const struct probe_result *answer, const char *key)
{
	for (size_t row = 0; row < answer->row_count; row++) {
		const char *name = probe_cell(answer, row, COLUMN_KEY);

		if (name != NULL && strcmp(name, key) == 0)
			return cell_number(answer, row, COLUMN_MAX);
	}
	return 0;
}

void kill_judge_promises(const struct probe_result *answer, const struct kill_promise *promises,
			 size_t promise_count, struct kill_durability *ret)
{
	*ret = (struct kill_durability){.grade = GRADE_DURABLE};
	if (answer->row_count > 0)
		ASSERT_OP(answer->column_count, ==, COLUMNS);
	for (size_t i = 0; i < promise_count; i++) {
		int64_t there = position_there(answer, promises[i].key);

		if (promises[i].position <= there)
			continue;
		ret->grade = GRADE_CONSISTENT;
		ret->lost++;
		(void)snprintf(ret->message, sizeof ret->message,
			       "%s was told that all up to %lld is kept, and %lld is the last that "
			       "is there",
			       promises[i].key, (long long)promises[i].position, (long long)there);
	}
	for (size_t row = 0; row < answer->row_count; row++) {
		int64_t count = cell_number(answer, row, COLUMN_COUNT);
		int64_t min = cell_number(answer, row, COLUMN_MIN);
		int64_t max = cell_number(answer, row, COLUMN_MAX);
		const char *key = probe_cell(answer, row, COLUMN_KEY);
		bool is_dense = probe_cell(answer, row, COLUMN_COUNT) != NULL;

		if (!is_dense || (min == 1 && max == count))
			continue;
		ret->grade = GRADE_TORN;
		(void)snprintf(ret->message, sizeof ret->message,
			       "a hole in what %s has: %lld of them between 1 and %lld",
			       key == NULL ? "NULL" : key, (long long)count, (long long)max);
	}
}

/* ---- transactions of a client ---- */

static bool file_is_at(const struct observation *o, const struct kill_record *state, size_t f)
{
	return digest_equal(o->files[f].state, state->states[f]) != 0;
}

static bool is_at(const struct observation *o, const struct kill_record *state)
{
	for (size_t f = 0; f < o->file_count; f++)
		if (!file_is_at(o, state, f))
			return false;
	return true;
}

bool kill_find_state(const struct observation *o, const struct kill_record *states,
		     size_t state_count, uint64_t from, uint64_t *ret_turn)
{
	for (uint64_t k = from; k < state_count; k++) {
		if (!is_at(o, &states[k]))
			continue;
		*ret_turn = k;
		return true;
	}
	return false;
}

/* Whether each file by itself is in a state that it once had. */
static bool each_is_somewhere(const struct observation *o, const struct kill_record *states,
			      size_t state_count)
{
	for (size_t f = 0; f < o->file_count; f++) {
		size_t k = 0;

		while (k < state_count && !file_is_at(o, &states[k], f))
			k++;
		if (k == state_count)
			return false;
	}
	return true;
}

void kill_judge_turns(const struct observation *o, const struct kill_record *states,
		      size_t state_count, uint64_t acked, bool was_killed,
		      struct kill_durability *ret)
{
	*ret = (struct kill_durability){.grade = GRADE_DURABLE, .turn = acked};
	ASSERT_OP(acked, <, state_count);
	if (is_at(o, &states[acked]))
		return;
	/* The last transaction may have been committed without a promise. */
	if (was_killed && acked + 1 < state_count && is_at(o, &states[acked + 1])) {
		ret->turn = acked + 1;
		return;
	}
	for (uint64_t k = acked; k-- > 0;) {
		if (!is_at(o, &states[k]))
			continue;
		ret->grade = GRADE_CONSISTENT;
		ret->lost = acked - k;
		ret->turn = k;
		(void)snprintf(
		    ret->message, sizeof ret->message,
		    "%llu transactions were acknowledged, and the files are in the state "
		    "after %llu",
		    (unsigned long long)acked, (unsigned long long)k);
		return;
	}
	ret->grade = GRADE_TORN;
	(void)snprintf(ret->message, sizeof ret->message, "%s",
		       o->file_count > 1 && each_is_somewhere(o, states, state_count)
			   ? "a transaction is in one of its files and not in the other"
			   : "the files are in a state that the run without kills never had");
}
