/*
 * See history.h. Judging a crash outcome against the lines of legal states; building them is in
 * history_transactions.c.
 *
 * The assignment. Each file must be put at a position of its line that existed by then and looks
 * like the file; every transaction over several files must be in all of them or in none. "File A at
 * or above i if and only if file B at or above j" is kept when two assignments are merged by taking
 * the higher position in each file. So there is one highest legal assignment, if there is any, and
 * it is found from above: start with the highest position of each file, and where a transaction is
 * in A but not in B, lower A, because B cannot go up.
 */
#include "harness/judge/history.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE SIZE_MAX /* no position in a line */

void history_free(struct history *h)
{
	if (h == NULL)
		return;
	for (size_t f = 0; f < h->file_count; f++) {
		free(h->paths[f]);
		free(h->lines[f].states);
	}
	free(h->paths);
	free(h->transactions);
	free(h);
}

uint64_t history_acked(const struct history *h, uint64_t position)
{
	uint64_t count = 0;

	for (size_t i = 0; i < h->transaction_count; i++)
		count += h->transactions[i].ack != 0 && h->transactions[i].ack <= position;
	return count;
}

uint64_t history_commits(const struct history *h)
{
	uint64_t count = 0;

	for (size_t i = 0; i < h->transaction_count; i++)
		count += h->transactions[i].committed;
	return count;
}

static int compare_positions(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void history_points(const struct history *h, uint64_t **ret_positions, size_t *ret_count)
{
	uint64_t *positions = xcalloc(2 * h->transaction_count, sizeof *positions);
	size_t all = 0, count = 0;

	for (size_t i = 0; i < h->transaction_count; i++) {
		const struct transaction *t = &h->transactions[i];

		if (t->ack != 0)
			positions[all++] = t->ack;
		positions[all++] = (t->first_write != 0 ? t->first_write : t->begin) - 1;
	}
	if (all > 0)
		qsort(positions, all, sizeof *positions, compare_positions);
	for (size_t i = 0; i < all; i++)
		if (count == 0 || positions[count - 1] != positions[i])
			positions[count++] = positions[i];
	*ret_positions = positions;
	*ret_count = count;
}

static bool is_over_several_files(const struct transaction *t)
{
	return (t->file_mask & (t->file_mask - 1)) != 0;
}

/* The highest position below `limit` that existed by `position` and looks like that, or NOWHERE. */
static size_t match_below(const struct history_line *line, size_t limit, uint64_t position,
			  struct digest state)
{
	for (size_t i = limit; i-- > 0;)
		if (line->states[i].from <= position && digest_equal(line->states[i].state, state))
			return i;
	return NOWHERE;
}

/* Where transaction number `number` left its state at or below position `from` of a line, or
 * NOWHERE. */
static size_t find_state(const struct history *h, size_t file, size_t from, uint32_t number)
{
	const struct history_line *line = &h->lines[file];
	uint64_t begin = h->transactions[number - 1].begin;

	for (size_t i = from + 1; i-- > 0 && line->states[i].end >= begin;)
		if (line->states[i].transaction == number)
			return i;
	return NOWHERE;
}

static void set_verdict(struct verdict *v, enum grade grade, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void set_verdict(struct verdict *v, enum grade grade, const char *fmt, ...)
{
	va_list ap;

	v->grade = grade;
	va_start(ap, fmt);
	(void)vsnprintf(v->message, sizeof v->message, fmt, ap);
	va_end(ap);
}

struct judging {
	const struct history *h;
	uint64_t position;
	const struct observation *o;
	size_t chosen[OBSERVED_FILES_MAX];
	struct verdict *verdict;
};

/* Transaction `number` is not in `absent`, nor can it be: lowers the files that contain it.
 * Returns 1 when some were lowered, 0 when it is in none, -1 with the verdict when one cannot be
 * lowered. */
static int take_out(struct judging *j, size_t absent, uint32_t number)
{
	const struct history *h = j->h;
	const struct transaction *t = &h->transactions[number - 1];
	int lowered = 0;

	for (size_t f = 0; f < h->file_count; f++) {
		size_t i;

		if (f == absent || (t->file_mask & 1u << f) == 0)
			continue;
		i = find_state(h, f, j->chosen[f], number);
		if (i == NOWHERE)
			continue;
		j->chosen[f] = match_below(&h->lines[f], i, j->position, j->o->files[f].state);
		if (j->chosen[f] == NOWHERE) {
			set_verdict(j->verdict, GRADE_TORN,
				    "transaction %u (op %llu to %llu) is present in %s and absent "
				    "in %s",
				    number, (unsigned long long)t->begin,
				    (unsigned long long)t->end, h->paths[f], h->paths[absent]);
			return -1;
		}
		lowered = 1;
	}
	return lowered;
}

/* One round over all transactions that are absent somewhere; returns as take_out() does. */
static int align_files(struct judging *j)
{
	const struct history *h = j->h;
	int changed = 0;

	for (size_t f = 0; f < h->file_count; f++) {
		const struct history_line *line = &h->lines[f];

		for (size_t i = j->chosen[f] + 1; i < line->count; i++) {
			uint32_t number = line->states[i].transaction;
			int rc;

			if (number == 0 || !is_over_several_files(&h->transactions[number - 1]))
				continue;
			rc = take_out(j, f, number);
			if (rc < 0)
				return rc;
			changed |= rc;
		}
	}
	return changed;
}

/* Finds the highest legal assignment. False, with the verdict, when there is none. */
static bool assign(struct judging *j)
{
	const struct history *h = j->h;
	int rc = 1;

	for (size_t f = 0; f < h->file_count; f++) {
		const struct history_line *line = &h->lines[f];
		size_t legal = 0;

		j->chosen[f] = match_below(line, line->count, j->position, j->o->files[f].state);
		if (j->chosen[f] != NOWHERE)
			continue;
		for (size_t i = 0; i < line->count; i++)
			legal += line->states[i].from <= j->position;
		set_verdict(j->verdict, GRADE_TORN,
			    "%s is in a state that never existed: it matches none of the %zu legal "
			    "states up to op %llu",
			    h->paths[f], legal, (unsigned long long)j->position);
		return false;
	}
	while (rc > 0 && h->file_count > 1)
		rc = align_files(j);
	return rc >= 0;
}

bool history_place(const struct history *h, uint64_t position, const struct observation *o,
		   size_t ret_placed[OBSERVED_FILES_MAX])
{
	struct verdict verdict;
	struct judging j = {.h = h, .position = position, .o = o, .verdict = &verdict};
	bool legal;

	ASSERT_OP(o->rc, ==, 0);
	ASSERT_OP(o->file_count, ==, h->file_count);
	legal = assign(&j);
	for (size_t f = 0; f < h->file_count; f++)
		ret_placed[f] = legal ? j.chosen[f]
				      : match_below(&h->lines[f], h->lines[f].count, position,
						    o->files[f].state);
	return legal;
}

void history_judge(const struct history *h, uint64_t position, const struct observation *o,
		   struct history_judgement *ret)
{
	struct judging j = {.h = h, .position = position, .o = o, .verdict = &ret->verdict};
	uint32_t first = 0;

	ASSERT_OP(o->rc, ==, 0);
	ASSERT_OP(o->file_count, ==, h->file_count);
	ret->verdict.oracle = "history";
	ret->verdict.grade = GRADE_DURABLE;
	ret->verdict.message[0] = '\0';
	ret->lost_acked = 0;
	if (!assign(&j))
		return;
	for (size_t f = 0; f < h->file_count; f++) {
		const struct history_line *line = &h->lines[f];

		for (size_t i = j.chosen[f] + 1; i < line->count; i++) {
			uint32_t number = line->states[i].transaction;
			const struct transaction *t;

			if (number == 0)
				continue;
			t = &h->transactions[number - 1];
			/* It is in none of its files: counted in the first. */
			if (t->ack == 0 || t->ack > position ||
			    (t->file_mask & ((1u << f) - 1)) != 0)
				continue;
			ret->lost_acked++;
			if (first == 0 || number < first)
				first = number;
		}
	}
	if (ret->lost_acked == 0)
		return;
	unsigned long long ack = h->transactions[first - 1].ack;
	if (ret->lost_acked == 1)
		set_verdict(
		    &ret->verdict, GRADE_CONSISTENT,
		    "1 acknowledged commit is gone: transaction %u (acknowledged at op %llu)",
		    first, ack);
	else
		set_verdict(&ret->verdict, GRADE_CONSISTENT,
			    "%llu acknowledged commits are gone: transaction %u (acknowledged at "
			    "op %llu) and later",
			    (unsigned long long)ret->lost_acked, first, ack);
}
