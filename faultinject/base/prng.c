/* See prng.h. xoshiro256** by David Blackman and Sebastiano Vigna, described at
 * https://prng.di.unimi.it; written from that description. */
#include "faultinject/base/prng.h"

#include "faultinject/base/assert.h"

#include <string.h>

uint64_t prng_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

void prng_init(struct prng *r, uint64_t seed, const char *name)
{
	uint64_t h = prng_mix(seed);

	for (; *name != '\0'; name++)
		h = prng_mix(h ^ (uint8_t)*name);
	for (int i = 0; i < 4; i++) {
		h = prng_mix(h + (uint64_t)i);
		r->s[i] = h;
	}
}

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

uint64_t prng_next(struct prng *r)
{
	uint64_t *s = r->s;
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t prng_below(struct prng *r, uint64_t n)
{
	ASSERT(n > 0);
	uint64_t limit = UINT64_MAX - UINT64_MAX % n;
	uint64_t x;

	do
		x = prng_next(r);
	while (x >= limit);
	return x % n;
}

void prng_bytes(struct prng *r, void *buf, size_t size)
{
	uint8_t *p = buf;

	while (size > 0) {
		uint64_t x = prng_next(r);
		size_t n = size < sizeof x ? size : sizeof x;
		memcpy(p, &x, n);
		p += n;
		size -= n;
	}
}
