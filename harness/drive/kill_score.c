/*
 * What rounds of the real kills came to: added up, and as bytes for a pipe and a file. See
 * kill_case.h.
 *
 *     offset  bytes
 *     0       11 x 8  the counts, in the order of struct kill_score
 *     88      8       how many findings follow
 *     ...             each: grade 1, power 1, live 1, number 8, rounds 8, oracle, message; a text
 *                     is its size (8) and its bytes
 *
 * Integers are little-endian.
 */
#include "harness/drive/kill_case.h"

#include "faultinject/base/buf.h"
#include "harness/drive/kill_bytes.h"

#include <stdlib.h>
#include <string.h>

enum { FINDING_SIZE_MIN = 1 + 1 + 1 + 8 + 8 + 8 + 8 };

void kill_score_release(struct kill_score *s)
{
	for (size_t i = 0; i < s->finding_count; i++) {
		free(s->findings[i].oracle);
		free(s->findings[i].message);
	}
	free(s->findings);
	memset(s, 0, sizeof *s);
}

static bool is_same(const struct kill_finding *a, const struct kill_finding *b)
{
	return a->grade == b->grade && a->power == b->power && a->live == b->live &&
	       strcmp(a->oracle, b->oracle) == 0;
}

/* Takes over nothing of `f`. */
static void add_finding(struct kill_score *s, const struct kill_finding *f)
{
	for (size_t i = 0; i < s->finding_count; i++) {
		struct kill_finding *mine = &s->findings[i];

		if (!is_same(mine, f))
			continue;
		mine->rounds += f->rounds;
		if (f->number >= mine->number)
			return;
		mine->number = f->number;
		free(mine->message);
		mine->message = xstrdup(f->message);
		return;
	}
	s->findings = xgrow(s->findings, s->finding_count, &s->finding_cap, sizeof *s->findings);
	struct kill_finding *mine = &s->findings[s->finding_count++];

	*mine = *f;
	mine->oracle = xstrdup(f->oracle);
	mine->message = xstrdup(f->message);
}

void kill_score_find(struct kill_score *s, const struct kill_finding *f)
{
	struct kill_finding one = *f;

	/* A round has a finding once, however many of its processes or states show it. */
	for (size_t i = 0; i < s->finding_count; i++)
		if (is_same(&s->findings[i], f) && s->findings[i].number == f->number)
			return;
	one.rounds = 1;
	add_finding(s, &one);
}

void kill_score_add(struct kill_score *to, const struct kill_score *from)
{
	to->rounds += from->rounds;
	to->kills += from->kills;
	to->clock_rounds += from->clock_rounds;
	to->clock_seen += from->clock_seen;
	to->cuts += from->cuts;
	to->states += from->states;
	to->logs_full += from->logs_full;
	to->checks += from->checks;
	to->acked += from->acked;
	if (from->lost_max > to->lost_max)
		to->lost_max = from->lost_max;
	for (size_t i = 0; i < from->finding_count; i++)
		add_finding(to, &from->findings[i]);
}

enum grade kill_score_worst(const struct kill_score *s, bool power, bool *ret_outside)
{
	enum grade worst = GRADE_DURABLE;

	for (size_t i = 0; i < s->finding_count; i++) {
		if (s->findings[i].power != power)
			continue;
		if (s->findings[i].grade == GRADE_NONE)
			*ret_outside = true;
		else if (s->findings[i].grade < worst)
			worst = s->findings[i].grade;
	}
	return worst;
}

/* ---- bytes ---- */

static void put_text(struct buf *out, const char *text)
{
	size_t size = strlen(text);

	buf_put_u64(out, size);
	buf_append(out, text, size);
}

static void put_counts(struct buf *out, const struct kill_score *s)
{
	const uint64_t counts[] = {s->number,	  s->rounds, s->kills,	 s->clock_rounds,
				   s->clock_seen, s->cuts,   s->states,	 s->logs_full,
				   s->checks,	  s->acked,  s->lost_max};

	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		buf_put_u64(out, counts[i]);
}

void kill_score_encode(const struct kill_score *s, struct buf *out)
{
	put_counts(out, s);
	buf_put_u64(out, s->finding_count);
	for (size_t i = 0; i < s->finding_count; i++) {
		const struct kill_finding *f = &s->findings[i];

		buf_put_u8(out, (uint8_t)f->grade);
		buf_put_u8(out, f->power);
		buf_put_u8(out, f->live);
		buf_put_u64(out, f->number);
		buf_put_u64(out, f->rounds);
		put_text(out, f->oracle);
		put_text(out, f->message);
	}
}

static char *take_text(struct kill_reader *r)
{
	size_t size = kill_take_count(r, 1);
	char *text = xmalloc(size + 1);

	kill_take(r, text, size);
	text[size] = '\0';
	return text;
}

static void take_counts(struct kill_reader *r, struct kill_score *s)
{
	uint64_t *const counts[] = {&s->number,	    &s->rounds, &s->kills,   &s->clock_rounds,
				    &s->clock_seen, &s->cuts,	&s->states,  &s->logs_full,
				    &s->checks,	    &s->acked,	&s->lost_max};

	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		*counts[i] = kill_take_u64(r);
}

int kill_score_decode(const void *data, size_t size, struct kill_score *ret, struct err *err)
{
	struct kill_reader r = {data, size, false};
	struct kill_score s = {0};

	take_counts(&r, &s);
	size_t count = kill_take_count(&r, FINDING_SIZE_MIN);

	for (size_t i = 0; i < count && !r.cut; i++) {
		struct kill_finding f = {0};
		uint8_t grade = kill_take_u8(&r);

		f.grade = (enum grade)grade;
		f.power = kill_take_u8(&r) != 0;
		f.live = kill_take_u8(&r) != 0;
		f.number = kill_take_u64(&r);
		f.rounds = kill_take_u64(&r);
		f.oracle = take_text(&r);
		f.message = take_text(&r);
		r.cut = r.cut || grade > GRADE_NONE;
		if (!r.cut)
			add_finding(&s, &f);
		free(f.oracle);
		free(f.message);
	}
	if (r.cut || r.left > 0) {
		kill_score_release(&s);
		return err_set(err, ERR_INPUT, "what a round came to is broken");
	}
	*ret = s;
	return 0;
}
