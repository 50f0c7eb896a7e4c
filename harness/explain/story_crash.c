/*
 * The crash state once more, without SQLite: the calls that recovery made (disk_calls.h) on a disk
 * with the same answers. What each question was about, what became of each operation, and what
 * recovery did to the files is read off that.
 */
#include "harness/explain/story_changes.h"

#include "faultinject/base/buf.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/check_sample.h"
#include "harness/drive/gate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct crashing {
	struct telling *t;
	void (*hold)(struct telling *t, struct crashdisk *disk);
	struct disk_calls_reader calls;
	struct crashdisk *disk; /* that is asked now; borrowed */
	struct changes changes; /* of the present recovery */
	uint32_t page_size;
	/* Of each decision what it was about, until there are words for it. */
	struct asked {
		struct crashdisk_asked asked;
		bool second; /* by the recovery from the second crash */
	} * asked;
	size_t asked_count, asked_cap;
	bool second;
};

/* ---- fates --------------------------------------------------------------------------------- */

enum story_fate story_fate_of(struct crashdisk *lowest, uint64_t position, uint32_t *ret_parts,
			      uint32_t *ret_kept)
{
	static const enum story_fate fates[] = {
	    [CRASHDISK_DURABLE] = STORY_DURABLE,     [CRASHDISK_KEPT] = STORY_KEPT,
	    [CRASHDISK_LOST] = STORY_LOST,	     [CRASHDISK_TORN] = STORY_TORN,
	    [CRASHDISK_DAMAGED] = STORY_DAMAGED,     [CRASHDISK_UNASKED] = STORY_UNASKED,
	    [CRASHDISK_NO_CHANGE] = STORY_NO_CHANGE,
	};
	struct crashdisk_told told;

	crashdisk_told_example(lowest, position, &told);
	*ret_parts = told.parts;
	*ret_kept = told.parts_kept;
	return fates[told.fate];
}

static void tell_fates(struct telling *t, struct crashdisk *disk)
{
	struct crashdisk *lowest = crashdisk_lowest(disk);

	for (size_t i = 0; i < t->s->op_count; i++) {
		struct story_op *o = &t->s->ops[i];
		if (o->fate != STORY_AFTER)
			o->fate = story_fate_of(lowest, o->position, &o->parts, &o->parts_kept);
		if (o->fate == STORY_DAMAGED || o->fate == STORY_TORN) {
			struct crashdisk_told told;
			crashdisk_told(lowest, o->position, &told);
			o->damaged_by = told.damaged_by;
		}
	}
}

/* ---- decisions ----------------------------------------------------------------------------- */

static void keep_decision(void *ctx, const char *question, uint32_t answer, uint32_t n)
{
	struct crashing *x = ctx;
	struct story_decision *d = STORY_ADD(x->t->s, decisions, decision);

	d->question = story_without_folder(x->t, question);
	d->answer = answer;
	d->of = n;
	x->asked = xgrow(x->asked, x->asked_count, &x->asked_cap, sizeof *x->asked);
	struct asked *a = &x->asked[x->asked_count++];
	*a = (struct asked){.second = x->second};
	if (x->disk != NULL)
		crashdisk_asked(x->disk, &a->asked);
}

/* The last operation by the crash that changed which file a name stands for. */
static uint64_t last_name_op(const struct trace_index *ix, uint32_t name, uint64_t crash)
{
	const struct index_group *g = &ix->groups[ix->group_of_name[name]];

	for (size_t k = index_group_until(g, crash); k-- > 0;) {
		const struct op *op = trace_at(ix->trace, g->ops[k].position);
		if (op->name == name || op->name2 == name)
			return g->ops[k].position;
	}
	return 0;
}

static void put_name_answer(const struct telling *t, const struct crashdisk_asked *a, bool newest,
			    struct crashdisk *disk, struct buf *b)
{
	const struct trace *trace = t->c->trace;
	uint64_t crash = t->c->state.position;
	const char *path = trace->names[a->name], *name = story_base_name(path);
	uint32_t live = index_live_inode(t->ix, a->name, crash);
	struct crashdisk_left left;
	bool is_there = crashdisk_left_open(disk, path, &left);
	bool empty = is_there && crashdisk_left_size(&left) == 0;
	uint64_t last = last_name_op(t->ix, a->name, crash);

	buf_printf(b, "%s ", name);
	if (newest)
		buf_printf(b, "is as the program left it: %s",
			   !is_there ? "not there"
			   : empty   ? "empty"
				     : "there");
	else if (is_there && live == 0)
		buf_printf(b, "is still there, although it had been deleted");
	else if (!is_there && live != 0)
		buf_printf(b, "is not there, although it had been created");
	else if (is_there && live != left.inode && last != 0)
		buf_printf(b, "is still the file that it was before operation %" PRIu64, last);
	else if (is_there && empty)
		buf_printf(b, "is there and empty: what was written to it was lost");
	else if (is_there)
		buf_printf(b, "is there and not empty: it had been cut, and that was lost");
	else
		buf_printf(b, "is not there");
}

static void put_size_answer(const struct telling *t, const struct crashdisk_asked *a, bool newest,
			    struct crashdisk *disk, struct buf *b)
{
	const struct trace *trace = t->c->trace;
	struct crashdisk_left left = {.disk = disk, .inode = a->inode};
	const struct index_inode *in = &t->ix->inodes[a->inode];
	uint64_t size = crashdisk_left_size(&left);
	size_t m = index_meta_until(in, t->c->state.position);

	buf_printf(b, "%s has %" PRIu64 " bytes",
		   a->name == 0 ? "a file" : story_base_name(trace->names[a->name]), size);
	if (newest) {
		buf_printf(b, ", as the program left it");
		return;
	}
	while (m > 0 && in->metas[m - 1].size != size)
		m--;
	if (m > 0)
		buf_printf(b, ", as after operation %" PRIu64 ": what changed it later was lost",
			   in->metas[m - 1].position);
	else
		buf_printf(b, ", as before the run: what changed it was lost");
}

static void put_content_answer(const struct telling *t, const struct crashdisk_asked *a,
			       bool newest, struct crashdisk *disk, struct buf *b)
{
	const struct trace *trace = t->c->trace;
	uint64_t position;

	buf_printf(b, "bytes %" PRIu64 " to %" PRIu64 " of %s ", a->offset, a->offset + a->size - 1,
		   a->name == 0 ? "a file" : story_base_name(trace->names[a->name]));
	if (!crashdisk_written_by(disk, a->inode, a->offset, &position)) {
		buf_printf(b, newest ? "are as the program left them"
				     : "are not as any operation left them");
		return;
	}
	if (position == 0)
		buf_printf(b, "are as before the run");
	else
		buf_printf(b, "are as operation %" PRIu64 " left them (%s)", position,
			   op_names_words(t->names, position));
	if (!newest)
		buf_printf(b, "; what was written later was lost");
}

/* Questions of the recovery from a second crash are about another trace, and have no words. */
static void tell_decisions(struct crashing *x)
{
	struct telling *t = x->t;
	struct crashdisk *lowest = crashdisk_lowest(x->disk);
	struct buf b;

	for (size_t i = 0; i < t->s->decision_count && i < x->asked_count; i++) {
		struct story_decision *d = &t->s->decisions[i];
		const struct asked *a = &x->asked[i];
		bool newest = d->answer == 0;

		buf_init(&b);
		if (!a->second && (a->asked.topic == CRASHDISK_ASKS_ACCESS ||
				   a->asked.topic == CRASHDISK_ASKS_NAME))
			put_name_answer(t, &a->asked, newest, lowest, &b);
		else if (!a->second && a->asked.topic == CRASHDISK_ASKS_SIZE)
			put_size_answer(t, &a->asked, newest, lowest, &b);
		else if (!a->second && a->asked.topic == CRASHDISK_ASKS_CONTENT)
			put_content_answer(t, &a->asked, newest, lowest, &b);
		else
			buf_printf(&b, "%s",
				   newest ? "as the first recovery left it"
					  : "older than the first recovery left it");
		d->words = story_text("%s", buf_str(&b));
		buf_release(&b);
	}
}

/* ---- the run ------------------------------------------------------------------------------- */

static int repeat(struct crashing *x, struct crashdisk *disk, struct err *err)
{
	x->disk = disk;
	changes_begin(&x->changes, crashdisk_storage(disk), x->page_size);
	return disk_calls_repeat(&x->calls, &x->changes.storage, NULL, NULL, err);
}

static void tell_all(struct crashing *x, struct crashdisk *disk)
{
	struct telling *t = x->t;

	tell_fates(t, disk); /* before anything else is asked of the disk */
	/* What is asked from here on, nobody had asked. */
	crashdisk_narrate(disk, NULL, NULL);
	crashdisk_narrate(crashdisk_lowest(disk), NULL, NULL);
	tell_decisions(x);
	story_tell_left(t, disk);
}

static int recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   enum explore_next *ret_next, struct err *err)
{
	struct crashing *x = ctx;

	(void)point;
	(void)ret_next;
	int rc = repeat(x, disk, err);
	if (rc != 0)
		return rc;
	if (!x->t->calls.ended && !disk_calls_more(&x->calls)) {
		tell_all(x, disk);
		changes_tell(&x->changes, x->t, "recovery");
		return err_set(err, ERR_INTERRUPTED, "the recovery died");
	}
	changes_tell(&x->changes, x->t, "the first recovery");
	crashdisk_end_recovery(disk);
	x->second = true;
	/* Questions of the second recovery come before it is known what they stand on. */
	x->disk = NULL;
	return 0;
}

/* What became of what the first recovery did, when the second crash came. */
static void tell_again(struct crashing *x, struct crashdisk *top)
{
	const struct trace *trace = crashdisk_index(top)->trace;
	uint64_t lost = 0, pages[64];
	size_t count = 0;
	const char *name = "a file";
	struct buf b;

	for (uint64_t p = 1; p <= trace->op_count && p <= x->t->c->state.again_position; p++) {
		const struct op *op = trace_at(trace, p);
		struct crashdisk_told told;

		crashdisk_told(top, p, &told);
		if (told.fate != CRASHDISK_LOST && told.fate != CRASHDISK_TORN)
			continue;
		lost++;
		if (op->kind != OP_WRITE || x->page_size == 0 || op->size != x->page_size ||
		    op->offset % op->size != 0 || count == 64)
			continue;
		pages[count++] = op->offset / op->size + 1;
		for (size_t i = 0; i < trace->base_count; i++)
			if (trace->base[i].inode == op->inode)
				name = story_base_name(trace->names[trace->base[i].name]);
	}
	buf_init(&b);
	if (lost == 0)
		buf_printf(&b, "all that the first recovery had done by then was on the disk");
	else if (lost == count) {
		buf_printf(&b, "of that, what it wrote to page%s ", count == 1 ? "" : "s");
		story_numbers(&b, pages, count);
		buf_printf(&b, " of %s had not reached the disk when the second crash came", name);
	} else {
		buf_printf(&b,
			   "%" PRIu64 " of the things that the first recovery did had not reached "
			   "the disk when the second crash came",
			   lost);
	}
	*STORY_ADD(x->t->s, recovery, recovery) = story_text("%s", buf_str(&b));
	if (lost > 0)
		story_set(&x->t->again_words, "%s", buf_str(&b));
	buf_release(&b);
}

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct crashing *x = ctx;

	(void)point;
	(void)choice;
	(void)ret_next;
	int rc = repeat(x, disk, err);
	if (rc != 0)
		return rc;
	if (x->t->c->state.has_again)
		tell_again(x, disk);
	tell_all(x, disk);
	changes_tell(&x->changes, x->t,
		     x->t->c->state.has_again ? "the second recovery" : "recovery");
	if (!x->t->calls.ended)
		*STORY_ADD(x->t->s, recovery, recovery) =
		    story_text("there it died or was stopped, and what it would have done next is "
			       "not known");
	else if (x->hold != NULL)
		x->hold(x->t, disk);
	return 0;
}

static int tell_recovery(struct crashing *x, struct err *err)
{
	struct telling *t = x->t;
	const struct case_state *state = &t->c->state;
	struct explore_callbacks callbacks = {.examine = examine,
					      .recover = recover,
					      .tell = keep_decision,
					      .ctx = x,
					      .representative = state->representative};
	int rc = explore_replay(t->ix, &t->model, &t->point, state->answers, state->answer_count,
				NULL, &callbacks, err);

	/* A recovery that died may have asked less than the case has answers for. */
	if (rc != 0 && !t->calls.ended && t->s->recovery_count > 0)
		rc = 0;
	return rc;
}

/* The command of --check reads all files, and SQLite nothing. */
static void begun_by_check(void *ctx, struct crashdisk *disk)
{
	struct crashing *x = ctx;

	x->disk = disk;
	*STORY_ADD(x->t->s, recovery, recovery) = story_text(
	    "the command of --check was shown the files as the crash left them, before any "
	    "recovery");
}

static void seen_by_check(void *ctx, struct crashdisk *disk)
{
	struct crashing *x = ctx;

	tell_all(x, disk);
	if (x->hold != NULL)
		x->hold(x->t, disk);
}

static int tell_check(struct crashing *x, struct err *err)
{
	struct telling *t = x->t;
	const struct subject *s = t->c->subject;
	struct check_job job = {
	    .ix = t->ix, .model = &t->model, .command = s->check, .seed = s->seed};

	return check_look(&job, &t->c->state, keep_decision, begun_by_check, seen_by_check, x, err);
}

int story_tell_crash(struct telling *t, void (*hold)(struct telling *t, struct crashdisk *disk),
		     struct err *err)
{
	struct crashing x = {.t = t, .hold = hold, .calls = {.calls = &t->calls}};
	int rc;

	for (size_t f = 0; f < t->left_count && x.page_size == 0; f++)
		x.page_size = story_page_size(t, t->left[f].path);
	rc = check_is_oracle(t->c->finding.oracle) ? tell_check(&x, err) : tell_recovery(&x, err);
	changes_release(&x.changes);
	free(x.asked);
	disk_calls_reader_release(&x.calls);
	return rc;
}
