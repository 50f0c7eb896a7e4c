/* See explain_result.h. */
#include "harness/explain/explain_result.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* A violation that may get a story: `rank`-th of its case. */
struct wish {
	size_t case_index, violation, rank;
	enum grade grade;
};

static int compare_wishes(const void *a, const void *b)
{
	const struct wish *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->grade != y->grade)
		return x->grade < y->grade ? -1 : 1;
	if (x->case_index != y->case_index)
		return x->case_index < y->case_index ? -1 : 1;
	return x->violation < y->violation ? -1 : x->violation > y->violation;
}

/* The caller's. Violations stand in a case with the worst first. */
static struct wish *make_wishes(const struct result *r, size_t *ret_count)
{
	struct wish *wishes = NULL;
	size_t cap = 0;

	*ret_count = 0;
	for (size_t i = 0; i < r->case_count; i++) {
		const struct case_result *c = &r->cases[i];

		for (size_t v = 0; v < c->violation_count && c->verdict == CASE_VIOLATED; v++) {
			if (c->violations[v].token == NULL || c->violations[v].waived != NULL)
				continue;
			wishes = xgrow(wishes, *ret_count, &cap, sizeof *wishes);
			wishes[(*ret_count)++] = (struct wish){i, v, v, c->violations[v].grade};
		}
	}
	if (*ret_count > 1)
		qsort(wishes, *ret_count, sizeof *wishes, compare_wishes);
	return wishes;
}

static const struct gate_case *find_case(const struct gate *g, const char *token)
{
	for (size_t i = 0; i < g->case_count; i++)
		if (strcmp(g->cases[i].token, token) == 0)
			return &g->cases[i];
	return NULL;
}

static int tell(const struct gate *g, struct result_violation *v,
		const struct story_options *options, struct err *err)
{
	const struct gate_case *kept = find_case(g, v->token);
	struct case_file *c = NULL;
	int rc;

	if (kept == NULL)
		return err_set(err, ERR_HARNESS, "the case %s was not kept", v->token);
	rc = case_file_decode(kept->bytes.data, kept->bytes.size, &c, err);
	if (rc == 0)
		rc = story_build(c, options, &v->story, NULL, NULL, err);
	case_file_free(c);
	return rc;
}

void explain_result(const struct gate *g, struct result *r, const struct story_options *options,
		    void (*each)(void *ctx, size_t done, size_t count), void *ctx,
		    struct explained_result *ret)
{
	size_t count;
	struct wish *wishes = make_wishes(r, &count);
	size_t wanted = count < EXPLAIN_STORIES_MAX ? count : EXPLAIN_STORIES_MAX;

	*ret = (struct explained_result){.left_out = count};
	for (size_t i = 0; i < wanted; i++) {
		struct result_violation *v =
		    &r->cases[wishes[i].case_index].violations[wishes[i].violation];
		struct err err = ERR_INIT;

		if (each != NULL)
			each(ctx, i, wanted);
		int rc = tell(g, v, options, &err);
		if (rc == ERR_INTERRUPTED)
			break;
		if (rc != 0 && ret->failed++ == 0)
			ret->error = err;
		if (rc == 0) {
			ret->told++;
			ret->left_out--;
		}
	}
	free(wishes);
}
