/*
 * Reads what another process sent: bytes that may end too early. A read past the end gives 0 and is
 * remembered in `cut`, so that a caller checks once, when it has read everything.
 */
#ifndef DRIVE_KILL_BYTES_H
#define DRIVE_KILL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kill_reader {
	const uint8_t *at; /* borrowed */
	size_t left;
	bool cut;
};

void kill_take(struct kill_reader *r, void *ret, size_t size);
/* Little-endian integers. */
uint8_t kill_take_u8(struct kill_reader *r);
uint32_t kill_take_u32(struct kill_reader *r);
uint64_t kill_take_u64(struct kill_reader *r);
/* A count of things that take at least `size` bytes each; 0 when so many cannot follow. */
size_t kill_take_count(struct kill_reader *r, size_t size);

#endif
