/* See known.h. Two tables with open addressing: hash to index + 1, where 0 is an empty slot. */
#include "harness/drive/known.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

enum { TABLE_SLOTS_MIN = 256 };

struct slot {
	uint64_t hash;
	uint32_t index; /* + 1; 0 = empty */
};

struct table {
	struct slot *slots; /* owned; power of two */
	size_t count, cap;
};

struct known {
	struct observation *items; /* owned */
	size_t count, cap, bytes;
	struct table by_id, by_image;
};

/* The slot of a hash, or the empty one where it belongs. */
static struct slot *find(struct slot *slots, size_t cap, uint64_t hash)
{
	size_t i = (size_t)hash & (cap - 1);

	while (slots[i].index != 0 && slots[i].hash != hash)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static void grow(struct table *t)
{
	size_t cap = t->cap == 0 ? TABLE_SLOTS_MIN : 2 * t->cap;
	struct slot *slots = xcalloc(cap, sizeof *slots);

	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].index != 0)
			*find(slots, cap, t->slots[i].hash) = t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
}

static void add(struct table *t, uint64_t hash, uint32_t index)
{
	if (2 * (t->count + 1) > t->cap)
		grow(t);
	struct slot *s = find(t->slots, t->cap, hash);
	t->count += s->index == 0;
	*s = (struct slot){hash, index + 1};
}

static uint32_t get(const struct table *t, uint64_t hash)
{
	if (t->cap == 0)
		return KNOWN_NONE;
	uint32_t index = find(t->slots, t->cap, hash)->index;
	return index == 0 ? KNOWN_NONE : index - 1;
}

struct known *known_create(void)
{
	return xcalloc(1, sizeof(struct known));
}

static void empty(struct table *t)
{
	free(t->slots);
	*t = (struct table){0};
}

void known_forget(struct known *k)
{
	for (size_t i = 0; i < k->count; i++)
		observation_release(&k->items[i]);
	k->count = 0;
	k->bytes = 0;
	empty(&k->by_id);
	empty(&k->by_image);
}

void known_free(struct known *k)
{
	if (k == NULL)
		return;
	known_forget(k);
	free(k->items);
	free(k);
}

static size_t observation_bytes(const struct observation *o)
{
	size_t bytes = sizeof *o;

	for (size_t i = 0; i < o->probe_count; i++) {
		const struct probe_result *r = &o->probes[i];
		size_t cells = r->row_count * r->column_count;
		bytes += sizeof *r + cells * (sizeof *r->cells + 1);
		for (size_t c = 0; c < cells; c++)
			bytes += r->cells[c] == NULL ? 0 : strlen(r->cells[c]) + 1;
	}
	return bytes;
}

uint32_t known_keep(struct known *k, struct observation *o)
{
	uint32_t index = get(&k->by_id, o->id);

	if (index != KNOWN_NONE) {
		observation_release(o);
		return index;
	}
	k->bytes += observation_bytes(o);
	k->items = xgrow(k->items, k->count, &k->cap, sizeof *k->items);
	k->items[k->count++] = *o;
	add(&k->by_id, o->id, (uint32_t)k->count - 1);
	return (uint32_t)k->count - 1;
}

const struct observation *known_at(const struct known *k, uint32_t index)
{
	return &k->items[index];
}

size_t known_bytes(const struct known *k)
{
	return k->bytes;
}

uint32_t known_by_image(const struct known *k, uint64_t image)
{
	return get(&k->by_image, image);
}

void known_add_image(struct known *k, uint64_t image, uint32_t index)
{
	if (k->by_image.count >= KNOWN_IMAGES_MAX)
		empty(&k->by_image);
	add(&k->by_image, image, index);
}
