/*
 * Named streams of random numbers, split from one seed (SplitMix64 for splitting, xoshiro256** for
 * drawing; Blackman and Vigna, https://prng.di.unimi.it). A new draw in one stream moves no other,
 * so adding a decision to the workload leaves the schedule of kills as it was.
 *
 * Plain values: copy to fork a stream. Not for secrets. Threads: one stream a thread.
 */
#ifndef FI_BASE_PRNG_H
#define FI_BASE_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
	uint64_t s[4];
};

/* Starts the stream `name` ("workload", "fault", "crash", "vfs", ...) of `seed`. */
void prng_init(struct prng *r, uint64_t seed, const char *name);

uint64_t prng_next(struct prng *r);

/* Uniform in [0, n), n > 0, without modulo bias. */
uint64_t prng_below(struct prng *r, uint64_t n);

/* Fills `size` bytes. */
void prng_bytes(struct prng *r, void *buf, size_t size);

/* One step of SplitMix64: a mixing function for deriving seeds from numbers. */
uint64_t prng_mix(uint64_t x);

#endif
