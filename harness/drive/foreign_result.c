/*
 * What the rounds came to, as cases: findings, notes, verdicts; see foreign_internal.h.
 *
 * Rounds sample. A case is held when some kill hit the program while it was writing, something had
 * been promised by then, and nothing below the floor was found.
 */
#include "harness/drive/foreign_internal.h"

#include "faultinject/base/buf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct foreign_token *token_of(const struct foreign_run *f, size_t which,
					    const struct kill_finding *finding)
{
	for (size_t i = 0; i < f->token_count; i++)
		if (f->tokens[i].which == which && f->tokens[i].grade == finding->grade &&
		    strcmp(f->tokens[i].oracle, finding->oracle) == 0)
			return &f->tokens[i];
	return NULL;
}

static void fill_findings(const struct foreign_run *f, size_t which, struct case_result *c)
{
	const struct kill_score *s = &f->total[which];

	/* Worst first; among equals in the order of discovery. */
	for (int grade = GRADE_CORRUPT; grade <= GRADE_NONE; grade++) {
		for (size_t i = 0; i < s->finding_count; i++) {
			const struct kill_finding *k = &s->findings[i];
			struct buf b;

			if ((int)k->grade != grade)
				continue;
			const struct foreign_token *t = token_of(f, which, k);

			buf_init(&b);
			buf_printf(&b, "%s", k->message);
			if (k->rounds > 1)
				buf_printf(&b, "; seen %" PRIu64 " times", k->rounds);
			if (t == NULL)
				buf_printf(&b,
					   "; found by an earlier run, which had its case file");
			else if (t->text[0] == '\0')
				buf_printf(&b, "; no case file: %s", t->why);
			case_result_violation(c, k->oracle, k->grade, buf_str(&b),
					      t == NULL || t->text[0] == '\0' ? NULL : t->text);
			buf_release(&b);
		}
	}
}

static void note_rounds(const struct foreign_run *f, struct case_result *c)
{
	const struct kill_score *s = &f->total[0];

	if (s->rounds > 0)
		case_result_note(c,
				 "%" PRIu64 " of %" PRIu64
				 " rounds ended the program by SIGKILL, %" PRIu64
				 " of this run after it had begun to write",
				 s->kills, s->rounds, f->writing);
	if (f->always_fresh)
		case_result_note(c, "on data that it had made before, the program committed "
				    "nothing: every round was a fresh start");
	else if (s->rounds > 0)
		case_result_note(c, "the data grew for up to %" PRIu64 " rounds",
				 f->o->fresh_rounds != 0 ? f->o->fresh_rounds
							 : (uint64_t)FOREIGN_FRESH_ROUNDS);
	if (f->cut_short != NULL)
		case_result_note(c, "%s: without a kill it was ended then", f->cut_short);
	if (f->failed > 0)
		case_result_note(c,
				 "in %" PRIu64 " rounds the program ended by itself with an exit "
				 "status other than 0",
				 f->failed);
	if (f->silent > 0)
		case_result_note(
		    c,
		    "in %" PRIu64
		    " rounds the program had changed no database, or only begun to open "
		    "it, when it ended",
		    f->silent);
	if (f->holes > 0)
		case_result_note(c,
				 "%" PRIu64 " runs were not judged, because the recording is not "
				 "whole: %s",
				 f->holes, f->first_hole);
	for (size_t i = 0; i < f->replaced.count; i++)
		case_result_note(c,
				 "the program begins with another %s than it left: whether it goes "
				 "on from what a kill leaves there was not judged",
				 f->replaced.items[i].path);
	if (f->broken_before)
		case_result_note(c, "integrity_check complains before anybody is killed");
	if (f->early_outputs > 0)
		case_result_note(c,
				 "in %" PRIu64
				 " rounds the program had written output inside a transaction that "
				 "the kill undid: if that told of the commit, it came too early",
				 f->early_outputs);
	if (f->early_marks > 0)
		case_result_note(c,
				 "in %" PRIu64
				 " rounds an acknowledgement came inside a transaction that the "
				 "kill undid, and may speak of another one: in exclusive locking "
				 "mode, with journal_mode MEMORY or OFF, before anything was "
				 "written, or beside others that were committed",
				 f->early_marks);
}

/* Why a case without a finding that counts says nothing; the caller's, or NULL. */
static char *why_inconclusive(const struct foreign_run *f, size_t which)
{
	const struct kill_score *s = &f->total[which], *kills = &f->total[0];

	if (f->interrupted && f->o->stop != NULL && f->o->stop(f->o->ctx))
		return xasprintf("interrupted after %" PRIu64 " rounds", kills->rounds);
	if (!f->has_database && kills->rounds == 0 && f->holes > 0)
		return xasprintf("the recording is not whole: %s", f->first_hole);
	if (!f->has_database && kills->rounds == 0)
		return xstrdup("the program changed no SQLite database");
	if (kills->rounds == 0)
		return xstrdup("the budget ended before the first round");
	if (kills->kills == 0 || (f->writing == 0 && f->number == kills->rounds))
		return xstrdup("no kill hit the program while it was writing");
	if (s->checks == 0)
		return xstrdup("no round could be judged");
	if (kills->acked == 0)
		return xstrdup("nothing was promised by the time of any kill, so nothing could be "
			       "lost");
	return NULL;
}

void foreign_result_fill(const struct foreign_run *f, size_t which, struct case_result *c)
{
	const struct kill_score *s = &f->total[which];
	bool outside = false;
	enum grade worst = kill_score_worst(s, which > 0, &outside);

	c->has_rounds = true;
	c->rounds = f->total[0].rounds;
	c->recoveries = s->checks;
	c->commits = s->acked;
	c->lost_acked_max = s->lost_max;
	c->has_program_exit = true;
	c->program_exit = f->exit_code;
	c->has_required = true;
	c->required = f->o->require != NULL ? *f->o->require
		      : which == 0	    ? GRADE_DURABLE
					    : GRADE_CONSISTENT;
	fill_findings(f, which, c);
	if (which == 0)
		note_rounds(f, c);
	else if (s->cuts > 0)
		case_result_note(c, "%" PRIu64 " kills were power cuts, too: %" PRIu64 " states",
				 s->cuts, s->states);
	c->reason = why_inconclusive(f, which);
	c->grade = c->reason != NULL && worst == GRADE_DURABLE ? GRADE_NONE : worst;
	c->verdict = c->reason != NULL ? CASE_INCONCLUSIVE : CASE_HELD;
	if (outside || worst < c->required) {
		free(c->reason);
		c->reason = NULL;
		c->verdict = CASE_VIOLATED;
	}
}
