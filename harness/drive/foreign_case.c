/*
 * A finding as a case file; see foreign_internal.h.
 *
 * What was found was found on real files. The recording of the round is at hand, so the same moment
 * is looked at on the simulated disk: if the same oracle objects there with the same grade, that
 * state is a case file, which replays anywhere. If not, there is none, and the finding says so.
 *
 * SQLite runs in a child: on such files it may crash or hang.
 */
#include "harness/drive/foreign_internal.h"

#include "faultinject/base/fileio.h"
#include "faultinject/base/prng.h"
#include "faultinject/crashdisk.h"
#include "harness/drive/point_result.h"
#include "harness/drive/watch.h"

#include <stdlib.h>
#include <string.h>

enum { LOOKS_MAX = 200 }; /* drawn states that are looked at */

struct looking {
	const struct foreign_run *f;
	const struct foreign_round *r;
	const struct foreign_disk *disk;
	unsigned state;
	const struct verdict *v;
};

static bool is_same(const struct finding *found, const struct verdict *v)
{
	return found->verdict.grade == v->grade && strcmp(found->verdict.oracle, v->oracle) == 0;
}

/* Examines one state; true: *ret is what is looked for, borrowed from the examiner. */
static bool look_at(const struct looking *l, struct crashdisk *disk, unsigned state,
		    const struct finding **ret)
{
	uint64_t promise = l->r->trace->op_count;
	struct explore_point point = {.position = l->r->trace->op_count,
				      .cut_bytes = SIZE_MAX,
				      .promises = &promise,
				      .promise_count = 1};
	const struct finding *findings;
	enum explore_next next;
	struct err err = ERR_INIT;
	struct choice choice;
	struct prng random;
	size_t count;
	bool found = false;

	choice_init(&choice);
	foreign_power_choose(l->f, l->r, state, &random, &choice);
	crashdisk_begin(disk, &choice);
	examiner_begin_point(l->r->examiner);
	if (examiner_examine(l->r->examiner, &point, disk, &choice, &next, &err) == 0) {
		count = examiner_findings(l->r->examiner, &findings);
		for (size_t i = 0; i < count && !found; i++) {
			found = is_same(&findings[i], l->v);
			*ret = &findings[i];
		}
	}
	choice_release(&choice);
	return found;
}

static bool keep_beating(void *isolate)
{
	isolate_beat(isolate);
	return false;
}

static void child(void *ctx, struct isolate *isolate, int out)
{
	const struct looking *l = ctx;
	struct model whole = {.name = "process-crash", .process_crash = true};
	bool power = l->disk != NULL;
	struct crashdisk *disk = power ? crashdisk_create(l->disk->index, &l->disk->model)
				       : crashdisk_create(l->r->index, &whole);
	const struct finding *found = NULL;
	struct point_result result;
	struct buf b;

	watch_set(keep_beating, isolate);
	examiner_isolate(l->r->examiner, isolate);
	crashdisk_open(disk, l->r->trace->op_count, SIZE_MAX);
	point_result_init(&result);
	bool is_found = look_at(l, disk, l->state, &found);

	for (unsigned i = 0; i < LOOKS_MAX && power && !is_found; i++)
		is_found = look_at(l, disk, i, &found);
	if (is_found)
		findings_keep(result.findings, &result.finding_count, found);
	buf_init(&b);
	point_result_encode(&result, &b);
	(void)fd_write_all(out, b.data, b.size);
	buf_release(&b);
	point_result_release(&result);
	crashdisk_free(disk);
}

bool foreign_case_make(struct foreign_run *f, struct foreign_round *r,
		       const struct foreign_disk *disk, unsigned state, const struct verdict *v,
		       char ret_token[CASE_TOKEN_SIZE])
{
	struct looking l = {f, r, disk, state, v};
	struct isolate_work work = {.child = child,
				    .stop = foreign_stop,
				    .ctx = &l,
				    .stop_ctx = f,
				    .hang_ns = (uint64_t)ISOLATE_HANG_SECONDS * 1000000000u};
	struct isolate *isolate = isolate_create();
	struct isolate_death death;
	struct point_result result;
	struct err err = ERR_INIT;
	struct buf b;
	bool found = false;

	point_result_init(&result);
	buf_init(&b);
	if (isolate_run(isolate, &work, &b, &death, &err) == 0 && death.fate == ISOLATE_ENDED &&
	    point_result_decode(b.data, b.size, &result, &err) == 0 && result.finding_count > 0) {
		gate_keep_case(f->cases, disk != NULL ? disk->subject : r->subject, r->trace,
			       &result.findings[0], ret_token);
		found = true;
	}
	buf_release(&b);
	point_result_release(&result);
	isolate_free(isolate);
	return found;
}
