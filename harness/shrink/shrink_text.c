/*
 * The scenario of a case, made smaller piece by piece (pieces.h): kind after kind, until a whole
 * round takes nothing; then every single piece that is left is tried once more, with more time, and
 * what comes of that is noted. What can be taken then after all begins a new round.
 */
#include "harness/shrink/fold.h"
#include "harness/shrink/pieces.h"
#include "harness/shrink/reduce.h"
#include "harness/shrink/shrink_internal.h"

#include <stdlib.h>
#include <string.h>

static bool ended(const struct shrink *s)
{
	return lanes_ended(s->lanes) != LANES_GO;
}

/* A row of candidates of the scenario's text. */
struct text_row {
	struct shrink *s;
	const char *text; /* before anything of the list is taken */
	const struct pieces *pieces;
	const struct reduce_row *row; /* NULL: candidate i takes piece first + i alone */
	size_t first;
	bool *taken; /* [pieces->count]; for work */
	bool proves; /* what comes of it is noted */
	uint64_t recoveries_max;
};

static void fill(const struct text_row *t, size_t i)
{
	if (t->row != NULL) {
		t->row->fill(t->row, i, t->taken);
		return;
	}
	memset(t->taken, 0, t->pieces->count * sizeof *t->taken);
	t->taken[t->first + i] = true;
}

static void make_text(void *ctx, size_t i, struct attempt *ret)
{
	struct text_row *t = ctx;

	fill(t, i);
	char *text = pieces_apply(t->text, t->pieces, t->taken);
	*ret = (struct attempt){.source = shrink_source_copy(t->s->source, text),
				.recoveries_max = t->recoveries_max};
	free(text);
}

static void tell_text(void *ctx, size_t i, const struct attempt_result *r)
{
	struct text_row *t = ctx;

	if (t->proves && r->outcome != ATTEMPT_SAME)
		shrink_note(t->s, t->pieces->items[t->first + i].what, r->outcome, r->text);
}

/* The first candidate that fails in the same way becomes the case. */
static int first_text(struct text_row *t, size_t count, size_t *ret_which, struct err *err)
{
	struct lanes_row row = {.count = count, .make = make_text, .tell = tell_text, .ctx = t};
	struct attempt_result r = {0};
	int rc = lanes_first(t->s->lanes, &row, ret_which, &r, err);

	if (rc != 0 || *ret_which == SIZE_MAX)
		return rc;
	fill(t, *ret_which);
	char *text = pieces_apply(t->text, t->pieces, t->taken);
	struct case_source *smaller = shrink_source_copy(t->s->source, text);
	free(text);
	case_source_free(t->s->source);
	t->s->source = smaller;
	shrink_accept(t->s, &r);
	return 0;
}

static int first_of_set(void *ctx, const struct reduce_row *row, size_t *ret_which, bool *ret_end,
			struct err *err)
{
	struct text_row *t = ctx;

	t->row = row;
	t->recoveries_max = t->s->recoveries_max;
	int rc = first_text(t, row->count, ret_which, err);
	t->row = NULL;
	*ret_end = ended(t->s);
	return rc;
}

/* Pieces that can be taken in any combination. */
static int take_together(struct shrink *s, enum piece_kind kind, struct err *err)
{
	struct pieces pieces = {0};
	char *text = xstrdup(s->source->text);
	int rc = pieces_find(text, kind, &pieces, err);

	if (rc == 0 && pieces.count > 0) {
		bool *taken = xcalloc(pieces.count, sizeof *taken);
		struct text_row t = {.s = s,
				     .text = text,
				     .pieces = &pieces,
				     .taken = xcalloc(pieces.count, sizeof *t.taken)};
		struct reduce_problem problem = {
		    .count = pieces.count, .first = first_of_set, .ctx = &t};

		rc = reduce(&problem, taken, err);
		free(t.taken);
		free(taken);
	}
	pieces_release(&pieces);
	free(text);
	return rc;
}

/* The first of the pieces from byte `from` on that can be taken alone; where it stood, or SIZE_MAX.
 */
static int take_one(struct shrink *s, enum piece_kind kind, size_t from, size_t *ret_at,
		    struct err *err)
{
	struct pieces pieces = {0};
	char *text = xstrdup(s->source->text);
	size_t which = SIZE_MAX, first = 0;
	int rc = pieces_find(text, kind, &pieces, err);

	*ret_at = SIZE_MAX;
	while (rc == 0 && first < pieces.count &&
	       (pieces.items[first].edit_count == 0 || pieces.items[first].edits[0].begin < from))
		first++;
	if (rc == 0 && first < pieces.count) {
		struct text_row t = {.s = s,
				     .text = text,
				     .pieces = &pieces,
				     .first = first,
				     .recoveries_max = s->recoveries_max,
				     .taken = xcalloc(pieces.count, sizeof *t.taken)};
		rc = first_text(&t, pieces.count - first, &which, err);
		free(t.taken);
	}
	if (rc == 0 && which != SIZE_MAX)
		*ret_at = pieces.items[first + which].edits[0].begin;
	pieces_release(&pieces);
	free(text);
	return rc;
}

/* Pieces that exclude each other, such as the values that a number could have: one after the other,
 * each as far as it goes, until none goes any further. */
static int take_alone(struct shrink *s, enum piece_kind kind, struct err *err)
{
	bool any = true;
	int rc = 0;

	while (rc == 0 && any && !ended(s)) {
		size_t at = 0;

		any = false;
		for (size_t from = 0; rc == 0 && from != SIZE_MAX; from = at) {
			rc = take_one(s, kind, from, &at, err);
			any = any || at != SIZE_MAX;
		}
	}
	return rc;
}

static int take_rounds(struct shrink *s, struct err *err)
{
	static const char *const doing[PIECE_KIND_COUNT] = {
	    [PIECE_SETTINGS] = "repetitions",
	    [PIECE_SECTIONS] = "clients and directives",
	    [PIECE_TRANSACTIONS] = "transactions",
	    [PIECE_STATEMENTS] = "statements",
	    [PIECE_NAMES] = "tables",
	    [PIECE_BRACKETS] = "statements",
	    [PIECE_WORDS] = "settings",
	    [PIECE_ROWS] = "rows",
	    [PIECE_NUMBERS] = "numbers",
	    [PIECE_STRINGS] = "values",
	};
	char *before = NULL;
	int rc = 0;

	while (rc == 0 && !ended(s) && (before == NULL || strcmp(before, s->source->text) != 0)) {
		free(before);
		before = xstrdup(s->source->text);
		for (int k = 0; k < PIECE_KIND_COUNT && rc == 0 && !ended(s); k++) {
			enum piece_kind kind = (enum piece_kind)k;

			s->doing = doing[k];
			rc = piece_kind_together(kind) ? take_together(s, kind, err)
						       : take_alone(s, kind, err);
		}
	}
	free(before);
	return rc;
}

/* Every single piece once more. *ret_any: one could be taken, and was. */
static int prove(struct shrink *s, bool *ret_any, struct err *err)
{
	uint64_t recoveries_max = s->recoveries_max > SHRINK_PROOF_LEAST
				      ? s->recoveries_max
				      : (uint64_t)SHRINK_PROOF_LEAST;
	int rc = 0;

	*ret_any = false;
	shrink_forget(s);
	s->doing = "the proof";
	for (int k = 0; k < PIECE_KIND_COUNT && rc == 0 && !*ret_any && !ended(s); k++) {
		struct pieces pieces = {0};
		char *text = xstrdup(s->source->text);
		size_t which = SIZE_MAX;

		rc = pieces_find(text, (enum piece_kind)k, &pieces, err);
		if (rc == 0 && pieces.count > 0) {
			struct text_row t = {.s = s,
					     .text = text,
					     .pieces = &pieces,
					     .proves = true,
					     .recoveries_max = recoveries_max,
					     .taken = xcalloc(pieces.count, sizeof *t.taken)};
			rc = first_text(&t, pieces.count, &which, err);
			free(t.taken);
		}
		*ret_any = which != SIZE_MAX;
		pieces_release(&pieces);
		free(text);
	}
	return rc;
}

/* The case with a text that says the same in fewer words; takes the text. */
static int reword(struct shrink *s, char *text, struct err *err)
{
	struct attempt_result r = {0};
	int rc = 0;

	if (strcmp(text, s->source->text) != 0) {
		struct attempt a = {.source = shrink_source_copy(s->source, text),
				    .recoveries_max = s->recoveries_max};
		rc = lanes_try(s->lanes, &a, &r, err);
	}
	if (rc == 0 && r.outcome == ATTEMPT_SAME && strcmp(text, s->source->text) != 0) {
		free(s->source->text);
		s->source->text = xstrdup(text);
		shrink_accept(s, &r);
	}
	attempt_result_release(&r);
	free(text);
	return rc == ERR_INTERRUPTED ? 0 : rc;
}

int shrink_text(struct shrink *s, struct err *err)
{
	bool any = true;
	int rc = 0;

	while (rc == 0 && any && !ended(s)) {
		rc = take_rounds(s, err);
		if (rc == 0 && !ended(s))
			rc = reword(s, shrink_without_repeats(s->source->text), err);
		if (rc == 0 && !ended(s))
			rc = prove(s, &any, err);
	}
	if (rc == 0 && !ended(s))
		rc = reword(s, shrink_without_standards(s->source->text), err);
	return rc;
}

/* ---- the scenario as it is */

/* Tries the source; where it fails in the same way it becomes the case's. *ret_same. */
static int try_source(struct shrink *s, struct case_source *source, bool *ret_same, char **ret_why,
		      struct err *err)
{
	struct attempt a = {.source = shrink_source_copy(source, NULL),
			    .recoveries_max = SHRINK_FIRST_RECOVERIES};
	struct attempt_result r = {0};
	int rc = lanes_try(s->lanes, &a, &r, err);

	*ret_same = rc == 0 && r.outcome == ATTEMPT_SAME;
	if (*ret_same) {
		case_source_free(s->source);
		s->source = source;
		shrink_accept(s, &r);
	} else {
		case_source_free(source);
		free(*ret_why);
		*ret_why = r.text;
		r.text = NULL;
	}
	attempt_result_release(&r);
	return rc;
}

/* Is it enough to crash once, to decide every sector by itself, to draw from the seed 1? */
static int simplify(struct shrink *s, struct err *err)
{
	bool same = false;
	char *why = NULL;
	int rc = 0;

	if (s->target.depth == 2) {
		s->target.depth = 1;
		rc = try_source(s, shrink_source_copy(s->source, NULL), &same, &why, err);
		if (!same)
			s->target.depth = 2;
	}
	if (rc == 0 && s->target.representative) {
		s->target.representative = false;
		rc = try_source(s, shrink_source_copy(s->source, NULL), &same, &why, err);
		if (!same)
			s->target.representative = true;
	}
	if (rc == 0 && s->source->seed != 1) {
		struct case_source *one = shrink_source_copy(s->source, NULL);

		one->seed = 1;
		rc = try_source(s, one, &same, &why, err);
	}
	free(why);
	return rc;
}

int shrink_source_first(struct shrink *s, struct err *err)
{
	const struct case_source *from = s->from->source;
	struct case_source *folded = NULL;
	char *why = NULL;
	bool same = false;
	int rc = shrink_fold(from, s->options->path, s->options->vocabulary, &folded, err);

	s->doing = "the scenario";
	if (rc != 0) {
		/* It is no scenario of this version. */
		s->result->note =
		    xasprintf("its scenario cannot be read any more: %s", err->message);
		err->code = 0;
		return 0;
	}
	rc = try_source(s, folded, &same, &why, err);
	if (rc == 0 && !same)
		rc = try_source(s, shrink_source_copy(from, NULL), &same, &why, err);
	if (rc == 0 && !same)
		s->result->note =
		    xasprintf("its scenario, recorded again, did not fail in this way within %d "
			      "recoveries%s%s",
			      SHRINK_FIRST_RECOVERIES, why == NULL || why[0] == '\0' ? "" : ": ",
			      why == NULL ? "" : why);
	if (rc == 0 && same)
		rc = simplify(s, err);
	free(why);
	return rc == ERR_INTERRUPTED ? 0 : rc;
}
