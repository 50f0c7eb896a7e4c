/*
 * What the time of day does to a program: plans for a clock that is moved while the program runs.
 *
 * A plan says by how much the clock is wrong after so many moves. Whoever drives the program
 * decides when the clock is moved (docs/contract.md, @clock), so that it is moved inside an open
 * transaction too, and at the same place in every run. The shim's clock (vfs.h) and libfaketime
 * (harness/drive/kill_clock.h) follow the same plans.
 *
 *   back     each move another day back: no time that was remembered ever comes
 *   ahead    the first move ten years ahead
 *   frozen   the clock stands still from the start, whatever is waited for
 *   steps    by turns a day back, ten years ahead, right, ten years back, a day ahead
 *
 * Constants; no errors; any thread.
 */
#ifndef FI_CLOCK_H
#define FI_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fi_clock_plan {
	const char *name;
	const char *summary;
	bool frozen;
	bool adds;  /* each move adds the one offset; otherwise they come in turn */
	bool stays; /* at the last offset; otherwise the first follows it */
	const int64_t *offsets_s;
	size_t offset_count;
};

const struct fi_clock_plan *fi_clock_find(const char *name); /* NULL: unknown */
const struct fi_clock_plan *fi_clock_all(size_t *ret_count);

/* Seconds by which the clock is wrong after `moves` moves; 0 before the first, and when frozen. */
int64_t fi_clock_offset_s(const struct fi_clock_plan *plan, uint64_t moves);

#endif
