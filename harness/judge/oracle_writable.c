/*
 * Oracle "writable": the application can go on.
 *
 * Checks: after the second open, a connection with the application's pragmas and attached files
 * writes to each schema (another user_version) and commits, in its own journal mode, and another
 * connection reads what was written. `corrupt` otherwise: an application that can only look at its
 * database has lost it as a database, and nothing on the scale of losses between `durable` and
 * `corrupt` says that.
 *
 * A legal state may refuse writes by itself (query_only, a file format from the future): codes that
 * legal states meet are excused.
 *
 * Does not check: writes to tables, which need pages other than the first; a transaction over
 * several files; what becomes of the written after one more recovery. Failures that mean "another
 * connection is in the way" are of the oracle "liveness".
 */
#include "faultinject/base/buf.h"
#include "harness/judge/excused_codes.h"

#include <stdlib.h>

static const char name[] = "writable";

struct writable {
	struct excused_codes excused;
	bool unread_is_excused;
	bool locked_out; /* of a legal state: nothing could be tried */
};

static void *writable_create(const struct judge_config *config, struct probe_list *probes)
{
	(void)config;
	(void)probes;
	return xcalloc(1, sizeof(struct writable));
}

static void writable_learn(void *p, const struct judge *j, const struct observation *o)
{
	struct writable *self = p;

	(void)j;
	excuse_code(&self->excused, "a legal state cannot be written either", &o->aftermath.write);
	self->unread_is_excused = self->unread_is_excused || o->aftermath.unread;
	self->locked_out = self->locked_out || o->aftermath.locked_out.rc != 0;
}

static size_t writable_not_applicable(const void *p, struct judge_not_applicable *ret, size_t max)
{
	const struct writable *self = p;
	size_t count = 0;

	if (self->excused.first[0] != '\0' && count < max)
		ret[count++] = (struct judge_not_applicable){name, self->excused.first};
	if (self->unread_is_excused && count < max)
		ret[count++] = (struct judge_not_applicable){
		    name, "what is written to a legal state is not read by another connection"};
	if (self->locked_out && count < max)
		ret[count++] = (struct judge_not_applicable){
		    name,
		    "a legal state shuts a second connection out, so that writing could not be "
		    "tried"};
	return count;
}

static void writable_judge(const void *p, const struct judge *j, const struct observation *o,
			   struct findings *f)
{
	const struct writable *self = p;
	const struct aftermath *a = &o->aftermath;

	(void)j;
	if (a->write.rc != 0 && !code_is_excused(&self->excused, a->write.rc))
		findings_add(f, name, GRADE_CORRUPT,
			     "cannot be written after recovery: %s (code %d)", a->write.text,
			     a->write.rc);
	if (a->unread && !self->unread_is_excused)
		findings_add(f, name, GRADE_CORRUPT,
			     "what is written after recovery is not read by another connection");
}

const struct oracle oracle_writable = {
    .info = {name,
	     "after recovery each schema can be written with the application's pragmas, and "
	     "another connection reads it",
	     "writes to tables; a transaction over several files; one more recovery"},
    .is_always_on = true,
    .create = writable_create,
    .free = free,
    .learn = writable_learn,
    .not_applicable = writable_not_applicable,
    .judge = writable_judge,
};
