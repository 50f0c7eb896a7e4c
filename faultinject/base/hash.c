/* See hash.h. The implementation is libxxhash's; this file is the only one that includes it. */
#include "faultinject/base/hash.h"

#include <xxhash.h>

uint64_t hash64(const void *data, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, size, seed);
}

struct digest hash128(const void *data, size_t size)
{
	XXH128_hash_t h = XXH3_128bits(data, size);

	return (struct digest){h.low64, h.high64};
}
