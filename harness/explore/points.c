/*
 * Where to crash; see explore_points() in explore.h.
 *
 * Two positions with no storage operation and no effective sync between them leave the same disk.
 * They are one crash point, and it stands at the last of them: the promises of the earlier ones
 * all hold there too, and no transaction has written anything in between that could make another
 * state legal.
 *
 * fsync=barrier needs no disk of its own: what it can leave at a crash is what an honest disk can
 * leave there, or could have left right before any earlier sync ended.
 */
#include "harness/explore/explore.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>

enum { PAGE_SIZE_BYTES = 4096 };

struct point_list {
	struct explore_point *items;
	size_t count, cap;
};

static void add_point(struct point_list *list, uint64_t position, size_t cut_bytes)
{
	list->items = xgrow(list->items, list->count, &list->cap, sizeof *list->items);
	list->items[list->count++] = (struct explore_point){
	    .position = position, .cut_bytes = cut_bytes, .promise_count = 1};
}

/* The operation at `position` changes what a crash can leave. */
static bool changes_disk(const struct trace_index *ix, const struct model *model, uint64_t position)
{
	return index_is_storage_op(trace_at(ix->trace, position)) ||
	       (!model->process_crash && index_sync_effective(ix, position));
}

static void process_crash_points(const struct trace_index *ix, const struct model *model,
				 struct point_list *list)
{
	const struct trace *t = ix->trace;

	for (uint64_t p = 1; p <= t->op_count; p++) {
		if (!changes_disk(ix, model, p))
			continue;
		const struct op *op = trace_at(t, p);
		add_point(list, p - 1, SIZE_MAX);
		if (op->kind != OP_WRITE)
			continue;
		uint64_t boundary = op->offset - op->offset % PAGE_SIZE_BYTES + PAGE_SIZE_BYTES;
		for (; boundary < op->offset + op->size; boundary += PAGE_SIZE_BYTES)
			add_point(list, p, (size_t)(boundary - op->offset));
	}
	add_point(list, t->op_count, SIZE_MAX);
}

static void power_loss_points(const struct trace_index *ix, const struct model *model,
			      const uint64_t *extra, size_t extra_count, struct point_list *list)
{
	const struct trace *t = ix->trace;

	/* Walks once; `wanted` is set while the present stretch of equal disks holds a crash
	 * point. */
	size_t next_extra = 0;
	bool wanted = false;
	for (uint64_t p = 0; p <= t->op_count; p++) {
		/* Under a barrier every sync ends a stretch: the disk may stay behind it (D8). */
		bool barrier =
		    p > 0 && model->fsync == MODEL_FSYNC_BARRIER && op_is_sync(trace_at(t, p));
		if (p > 0 && (barrier || changes_disk(ix, model, p))) {
			if (wanted || op_is_sync(trace_at(t, p)))
				add_point(list, p - 1, SIZE_MAX);
			wanted = false;
		}
		while (next_extra < extra_count && extra[next_extra] <= p) {
			ASSERT(next_extra == 0 || extra[next_extra - 1] <= extra[next_extra]);
			wanted = true;
			next_extra++;
		}
	}
	add_point(list, t->op_count, SIZE_MAX);
}

void explore_points(const struct trace_index *ix, const struct model *model, const uint64_t *extra,
		    size_t extra_count, struct explore_points *ret)
{
	struct point_list list = {0};

	if (model->process_crash)
		process_crash_points(ix, model, &list);
	else
		power_loss_points(ix, model, extra, extra_count, &list);
	ret->items = list.items;
	ret->count = list.count;
	ret->promises = xmalloc(list.count * sizeof *ret->promises);
	for (size_t i = 0; i < list.count; i++) {
		const struct explore_point *point = &list.items[i];
		ret->promises[i] = point->position;
		ret->items[i].promises = &ret->promises[i];
		/* Nothing after a barrier is on the disk before everything in front of it is. As
		 * long as that is not so, the disk is one of those right before the barrier,
		 * however much later the crash comes. */
		if (model->fsync == MODEL_FSYNC_BARRIER && point->position < ix->trace->op_count &&
		    op_is_sync(trace_at(ix->trace, point->position + 1)))
			ret->items[i].promise_count = list.count - i;
	}
}

void explore_points_release(struct explore_points *p)
{
	free(p->items);
	free(p->promises);
	*p = (struct explore_points){0};
}
