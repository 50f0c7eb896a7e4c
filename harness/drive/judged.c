/* See judged.h. */
#include "harness/drive/judged.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 256 };

void judged_init(struct judged_table *t, size_t count_max)
{
	*t = (struct judged_table){.cap = SLOTS_MIN, .count_max = count_max};
	t->slots = xcalloc(t->cap, sizeof *t->slots);
}

void judged_release(struct judged_table *t)
{
	free(t->slots);
	*t = (struct judged_table){0};
}

void judged_forget(struct judged_table *t)
{
	memset(t->slots, 0, t->cap * sizeof *t->slots);
	t->count = 0;
}

/* The slot of a key, or the empty one where it belongs. */
static struct judged *find_slot(struct judged *slots, size_t cap, uint32_t observation,
				uint64_t promise)
{
	size_t i = (size_t)hash_mix(observation, promise) & (cap - 1);

	while (slots[i].observation != 0 &&
	       (slots[i].observation != observation + 1 || slots[i].promise != promise))
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static void grow(struct judged_table *t)
{
	size_t cap = 2 * t->cap;
	struct judged *slots = xcalloc(cap, sizeof *slots);

	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].observation != 0)
			*find_slot(slots, cap, t->slots[i].observation - 1, t->slots[i].promise) =
			    t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
}

struct judged *judged_find(const struct judged_table *t, uint32_t observation, uint64_t promise)
{
	struct judged *slot = find_slot(t->slots, t->cap, observation, promise);

	return slot->observation == 0 ? NULL : slot;
}

struct judged *judged_add(struct judged_table *t, uint32_t observation, uint64_t promise)
{
	if (t->count >= t->count_max)
		judged_forget(t);
	else if (2 * (t->count + 1) > t->cap)
		grow(t);
	t->count++;
	struct judged *slot = find_slot(t->slots, t->cap, observation, promise);
	*slot = (struct judged){.observation = observation + 1, .promise = promise};
	return slot;
}
