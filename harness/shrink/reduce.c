/* See reduce.h. */
#include "harness/shrink/reduce.h"

#include "faultinject/base/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct state {
	const bool *taken; /* [count] */
	size_t count;
	const size_t *left; /* indexes of what is not taken, ascending */
	size_t left_count;
	size_t size; /* of a part */
	size_t skip; /* parts, from the end, that are done */
};

/* Part i of what was left when the pass began, counted from the end. */
static void fill_part(const struct reduce_row *row, size_t i, bool *taken)
{
	const struct state *s = row->state;
	size_t parts = (s->left_count + s->size - 1) / s->size;
	size_t part = parts - 1 - s->skip - i;
	size_t begin = part * s->size, end = begin + s->size;

	memcpy(taken, s->taken, s->count * sizeof *taken);
	for (size_t k = begin; k < end && k < s->left_count; k++)
		taken[s->left[k]] = true;
}

/* One pass with parts of one size. *ret_any: something was taken. */
static int pass(const struct reduce_problem *problem, size_t size, bool *taken, bool *ret_any,
		bool *ret_end, struct err *err)
{
	size_t *left = xcalloc(problem->count + 1, sizeof *left);
	bool *next = xcalloc(problem->count + 1, sizeof *next);
	struct state s = {.taken = taken, .count = problem->count, .left = left, .size = size};
	int rc = 0;

	*ret_any = false;
	for (size_t i = 0; i < problem->count; i++)
		if (!taken[i])
			left[s.left_count++] = i;
	size_t parts = (s.left_count + size - 1) / size;
	while (rc == 0 && s.skip < parts && !*ret_end) {
		struct reduce_row row = {
		    .count = parts - s.skip, .fill = fill_part, .state = &s, .single = size == 1};
		size_t which = SIZE_MAX;
		rc = problem->first(problem->ctx, &row, &which, ret_end, err);
		if (rc != 0 || which == SIZE_MAX)
			break;
		fill_part(&row, which, next);
		memcpy(taken, next, problem->count * sizeof *taken);
		*ret_any = true;
		s.skip += which + 1;
	}
	free(left);
	free(next);
	return rc;
}

static size_t count_left(const struct reduce_problem *problem, const bool *taken)
{
	size_t left = 0;

	for (size_t i = 0; i < problem->count; i++)
		left += !taken[i];
	return left;
}

int reduce(const struct reduce_problem *problem, bool *taken, struct err *err)
{
	size_t size = problem->count;
	bool end = false, any;
	int rc = 0;

	while (rc == 0 && !end) {
		size_t left = count_left(problem, taken);

		if (left == 0)
			break;
		if (size > left)
			size = left;
		rc = pass(problem, size, taken, &any, &end, err);
		/* What was taken may have been all that needed something else. */
		if (size == 1 && !any)
			break;
		if (size > 1)
			size = (size + 1) / 2;
	}
	return rc;
}
