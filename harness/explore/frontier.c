/* See frontier.h. */
#include "harness/explore/frontier.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* What choice_begin() has to know of a question that a run met. */
struct question {
	uint64_t hash;
	uint32_t n;
};

struct frontier_run {
	struct frontier_run *next;   /* in the order of waiting */
	struct frontier_run *origin; /* the run that it left; counted in its `uses` */
	struct question *questions;  /* owned; NULL once all were taken */
	uint32_t step, answer;	     /* where it left, and with which answer */
	uint32_t first, count;	     /* its own questions: first .. first + count */
	uint32_t at, next_answer;    /* what is taken next */
	uint32_t uses;		     /* it waits; records that left it; it was taken last */
};

enum { ALLOCATION_BYTES = 16 }; /* what an allocator adds, about */

void frontier_init(struct frontier *f, size_t bytes_max)
{
	memset(f, 0, sizeof *f);
	f->bytes_max = bytes_max;
}

static size_t questions_bytes(const struct frontier_run *r)
{
	return r->count * sizeof *r->questions + ALLOCATION_BYTES;
}

static size_t record_bytes(void)
{
	return sizeof(struct frontier_run) + ALLOCATION_BYTES;
}

static void drop_questions(struct frontier *f, struct frontier_run *r)
{
	if (r->questions == NULL)
		return;
	f->bytes -= questions_bytes(r);
	free(r->questions);
	r->questions = NULL;
}

/* Ends one use of a record, and with the last one its use of its origin. */
static void unuse(struct frontier *f, struct frontier_run *r)
{
	while (r != NULL && --r->uses == 0) {
		struct frontier_run *origin = r->origin;
		drop_questions(f, r);
		f->bytes -= record_bytes();
		free(r);
		r = origin;
	}
}

static void forget_origin(struct frontier *f)
{
	unuse(f, f->origin);
	f->origin = NULL;
}

void frontier_clear(struct frontier *f)
{
	forget_origin(f);
	while (f->head != NULL) {
		struct frontier_run *r = f->head;
		f->head = r->next;
		unuse(f, r);
	}
	f->tail = NULL;
	ASSERT_OP(f->bytes, ==, 0);
}

bool frontier_empty(const struct frontier *f)
{
	return f->head == NULL;
}

uint64_t frontier_take(struct frontier *f, uint32_t **prefix, size_t *cap, size_t *ret_count)
{
	struct frontier_run *r = f->head;
	uint32_t step = r->first + r->at;
	const struct question question = r->questions[r->at];
	size_t count = (size_t)step + 1;

	while (*cap < count) {
		*cap = *cap * 2 + 64;
		*prefix = xrealloc(*prefix, *cap * sizeof **prefix);
	}
	memset(*prefix, 0, count * sizeof **prefix);
	(*prefix)[step] = r->next_answer;
	for (const struct frontier_run *way = r; way->origin != NULL; way = way->origin)
		(*prefix)[way->step] = way->answer;

	forget_origin(f);
	f->origin = r;
	r->uses++;
	f->step = step;
	f->answer = r->next_answer;
	if (++r->next_answer == question.n) {
		r->next_answer = 1;
		r->at++;
	}
	if (r->at == r->count) {
		f->head = r->next;
		if (f->head == NULL)
			f->tail = NULL;
		drop_questions(f, r);
		unuse(f, r);
	}
	*ret_count = count;
	return question.hash;
}

static void enqueue(struct frontier *f, struct frontier_run *r)
{
	if (f->head == NULL) {
		f->head = f->tail = r;
	} else if (f->bytes > f->bytes_max) {
		r->next = f->head;
		f->head = r;
	} else {
		f->tail->next = r;
		f->tail = r;
	}
}

int frontier_add(struct frontier *f, const struct choice *run, size_t prefix_count, struct err *err)
{
	struct frontier_run *r;

	if (run->count == prefix_count)
		return 0;
	r = xcalloc(1, sizeof *r);
	r->first = (uint32_t)prefix_count;
	r->count = (uint32_t)(run->count - prefix_count);
	r->questions = xmalloc(r->count * sizeof *r->questions);
	for (uint32_t i = 0; i < r->count; i++) {
		const struct choice_step *step = &run->steps[prefix_count + i];
		ASSERT_OP(step->answer, ==, 0);
		r->questions[i] = (struct question){run->hashes[prefix_count + i], step->n};
	}
	r->next_answer = 1;
	r->uses = 1;
	r->origin = f->origin;
	if (r->origin != NULL)
		r->origin->uses++;
	r->step = f->step;
	r->answer = f->answer;
	f->bytes += record_bytes() + questions_bytes(r);
	enqueue(f, r);
	if (f->bytes / 2 > f->bytes_max)
		return err_set(err, ERR_LIMIT,
			       "the states that wait at one crash point take more than %zu MiB",
			       2 * f->bytes_max >> 20);
	return 0;
}
