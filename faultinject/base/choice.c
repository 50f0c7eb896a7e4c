/* See choice.h. */
#include "faultinject/base/choice.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

void choice_init(struct choice *c)
{
	memset(c, 0, sizeof *c);
}

void choice_release(struct choice *c)
{
	free(c->steps);
	free(c->hashes);
	choice_init(c);
}

void choice_begin(struct choice *c, const uint32_t *prefix, size_t prefix_count,
		  uint64_t prefix_hash, enum choice_tail tail)
{
	c->prefix = prefix;
	c->prefix_count = prefix_count;
	c->prefix_hash = prefix_hash;
	c->tail = tail;
	c->count = 0;
	c->diverged = false;
}

uint32_t choice_next(struct choice *c, uint32_t n, uint64_t question)
{
	uint32_t answer;

	ASSERT(n >= 1);
	if (n == 1 || c->diverged)
		return 0;
	if (c->count == CHOICE_STEPS_MAX) {
		c->diverged = true;
		return 0;
	}
	if (c->count == c->cap) {
		c->cap = c->cap == 0 ? 64 : c->cap * 2;
		c->steps = xrealloc(c->steps, c->cap * sizeof *c->steps);
		c->hashes = xrealloc(c->hashes, c->cap * sizeof *c->hashes);
	}
	uint64_t h = hash_mix(c->count == 0 ? 1 : c->hashes[c->count - 1], question);
	h = hash_mix(h, n);
	if (h == 0)
		h = 1;
	if (c->count < c->prefix_count) {
		answer = c->prefix[c->count];
		bool last = c->count + 1 == c->prefix_count;
		if (answer >= n || (last && c->prefix_hash != 0 && h != c->prefix_hash)) {
			c->diverged = true;
			return 0;
		}
	} else if (c->tail == CHOICE_FIRST) {
		answer = 0;
	} else if (c->tail == CHOICE_LAST) {
		answer = n - 1;
	} else {
		answer = (uint32_t)prng_below(c->random, n);
	}
	c->steps[c->count] = (struct choice_step){n, answer};
	c->hashes[c->count] = h;
	c->count++;
	return answer;
}

bool choice_advance(const struct choice *c, uint32_t **prefix, size_t *prefix_count)
{
	size_t n = c->count;

	while (n > 0 && c->steps[n - 1].answer + 1 == c->steps[n - 1].n)
		n--;
	if (n == 0)
		return false;
	*prefix = xrealloc(*prefix, n * sizeof **prefix);
	for (size_t i = 0; i < n; i++)
		(*prefix)[i] = c->steps[i].answer;
	(*prefix)[n - 1]++;
	*prefix_count = n;
	return true;
}
