/*
 * The questions of the undecided disk in words, for people: a replay tells what the disk kept, and
 * a run that diverged names where. See crashdisk.h.
 */
#include "faultinject/crashdisk_internal.h"

#include <stdio.h>

void crashdisk_narrate(struct crashdisk *cd,
		       void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n),
		       void *ctx)
{
	cd->tell = tell;
	cd->tell_ctx = ctx;
}

/* A name of a file, for people: the first that it had. */
static uint32_t number_of_inode(const struct trace *t, uint64_t inode)
{
	for (size_t i = 0; i < t->base_count; i++)
		if (t->base[i].inode == inode)
			return t->base[i].name;
	for (size_t i = 0; i < t->op_count; i++)
		if (t->ops[i].kind == OP_CREATE && t->ops[i].inode == inode)
			return t->ops[i].name;
	return 0;
}

static const char *name_of_inode(const struct trace *t, uint64_t inode)
{
	uint32_t name = number_of_inode(t, inode);

	return name == 0 ? "?" : t->names[name];
}

const char *crashdisk_last_question(const struct crashdisk *cd)
{
	struct crashdisk *mutable = (struct crashdisk *)(uintptr_t)cd;
	const struct trace *t = cd->ix->trace;
	unsigned long long a = cd->question_a, b = cd->question_b, ss = cd->ix->sector_size;
	char *text = mutable->question_text;
	size_t size = sizeof mutable->question_text;

	switch (cd->question_kind) {
	case QUESTION_NONE:
		return NULL;
	case QUESTION_ACCESS:
		(void)snprintf(text, size, "is '%.100s' there and not empty", t->names[a]);
		break;
	case QUESTION_NAME:
		(void)snprintf(text, size, "which file does '%.100s' name", t->names[a]);
		break;
	case QUESTION_META:
		(void)snprintf(text, size, "what size has inode %llu ('%.80s')", a,
			       name_of_inode(t, a));
		break;
	case QUESTION_SECTORS:
		(void)snprintf(
		    text, size,
		    "what is at bytes %llu.. of inode %llu ('%.80s'), all sectors of one "
		    "read alike",
		    b * ss, a, name_of_inode(t, a));
		break;
	case QUESTION_SECTOR:
		(void)snprintf(text, size, "what is at bytes %llu..%llu of inode %llu ('%.80s')",
			       b * ss, (b + 1) * ss - 1, a, name_of_inode(t, a));
		break;
	}
	return text;
}

void crashdisk_asked(const struct crashdisk *cd, struct crashdisk_asked *ret)
{
	const struct trace *t = cd->ix->trace;
	uint64_t a = cd->question_a, b = cd->question_b;

	*ret = (struct crashdisk_asked){.topic = CRASHDISK_ASKS_NOTHING};
	switch (cd->question_kind) {
	case QUESTION_NONE:
		return;
	case QUESTION_ACCESS:
	case QUESTION_NAME:
		ret->topic = cd->question_kind == QUESTION_NAME ? CRASHDISK_ASKS_NAME
								: CRASHDISK_ASKS_ACCESS;
		ret->name = (uint32_t)a;
		return;
	case QUESTION_META:
		ret->topic = CRASHDISK_ASKS_SIZE;
		break;
	case QUESTION_SECTOR:
	case QUESTION_SECTORS:
		ret->topic = CRASHDISK_ASKS_CONTENT;
		ret->offset = b * cd->ix->sector_size;
		ret->size = cd->ix->sector_size;
		break;
	}
	ret->inode = (uint32_t)a;
	ret->name = number_of_inode(t, a);
}
