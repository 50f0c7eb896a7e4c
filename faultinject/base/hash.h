/*
 * Hashes: XXH3 (libxxhash) for contents; 64 bits where a collision would only merge two states of
 * one run's cache, 128 bits where states are compared for equality (digests).
 */
#ifndef FI_BASE_HASH_H
#define FI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Equality of digests stands for equality of what was digested (2^-64 at 2^32 states). */
struct digest {
	uint64_t lo, hi;
};

uint64_t hash64(const void *data, size_t size, uint64_t seed);
struct digest hash128(const void *data, size_t size);
static inline int digest_equal(struct digest a, struct digest b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* Mixes a number into a running 64-bit hash; order matters. */
static inline uint64_t hash_mix(uint64_t h, uint64_t v)
{
	h ^= v + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
	h *= 0xff51afd7ed558ccdu;
	return h ^ (h >> 33);
}

#endif
