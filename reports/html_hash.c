/* SHA-256; see html_hash.h. Section and equation numbers are those of FIPS 180-4. */
#include "reports/html_hash.h"

#include <string.h>

enum { BLOCK_SIZE = 64 };

/* 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

/* 6.2.2: one block into the eight words of the state. */
static void block(uint32_t h[8], const uint8_t *data)
{
	uint32_t w[64], s[8];

	for (size_t t = 0; t < 16; t++)
		w[t] = (uint32_t)data[4 * t] << 24 | (uint32_t)data[4 * t + 1] << 16 |
		       (uint32_t)data[4 * t + 2] << 8 | data[4 * t + 3];
	for (size_t t = 16; t < 64; t++) {
		uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
		uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;

		w[t] = s1 + w[t - 7] + s0 + w[t - 16];
	}
	memcpy(s, h, sizeof s);
	for (size_t t = 0; t < 64; t++) {
		uint32_t sum1 = rotr(s[4], 6) ^ rotr(s[4], 11) ^ rotr(s[4], 25);
		uint32_t ch = (s[4] & s[5]) ^ (~s[4] & s[6]);
		uint32_t t1 = s[7] + sum1 + ch + k[t] + w[t];
		uint32_t sum0 = rotr(s[0], 2) ^ rotr(s[0], 13) ^ rotr(s[0], 22);
		uint32_t maj = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);

		memmove(s + 1, s, 7 * sizeof s[0]);
		s[4] += t1;
		s[0] = t1 + sum0 + maj;
	}
	for (size_t i = 0; i < 8; i++)
		h[i] += s[i];
}

void html_hash(const void *data, size_t size, uint8_t ret_hash[HTML_HASH_SIZE])
{
	/* 5.3.3: of the square roots of the first 8 primes. */
	uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	const uint8_t *at = data;
	uint8_t last[2 * BLOCK_SIZE] = {0};
	size_t left = size % BLOCK_SIZE;
	/* 5.1.1: a one bit, zeros, and the length in bits as 64 bits. */
	size_t end = left + 9 <= BLOCK_SIZE ? BLOCK_SIZE : 2 * BLOCK_SIZE;

	for (size_t i = 0; i + BLOCK_SIZE <= size; i += BLOCK_SIZE)
		block(h, at + i);
	if (left > 0)
		memcpy(last, at + size - left, left);
	last[left] = 0x80;
	for (size_t i = 0; i < 8; i++)
		last[end - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
	for (size_t i = 0; i < end; i += BLOCK_SIZE)
		block(h, last + i);
	for (size_t i = 0; i < HTML_HASH_SIZE; i++)
		ret_hash[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void html_hash_source(struct buf *out, const void *data, size_t size)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t hash[HTML_HASH_SIZE + 1] = {0}; /* 33 bytes are 11 groups of three */
	char text[45];

	html_hash(data, size, hash);
	for (size_t i = 0; i < 11; i++) {
		uint32_t three =
		    (uint32_t)hash[3 * i] << 16 | (uint32_t)hash[3 * i + 1] << 8 | hash[3 * i + 2];

		for (size_t d = 0; d < 4; d++)
			text[4 * i + d] = digits[three >> (18 - 6 * d) & 63];
	}
	/* RFC 4648: two bytes are left in the last group. */
	text[43] = '=';
	text[44] = '\0';
	buf_printf(out, "'sha256-%s'", text);
}
