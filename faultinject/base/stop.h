/*
 * A place for a debugger to stop at: break on plugpull_operation(), and it is called while the
 * operation that stop_at() named is being recorded, with everything above it that led there.
 *
 * One thread.
 */
#ifndef FI_BASE_STOP_H
#define FI_BASE_STOP_H

#include <stdint.h>

extern uint64_t stop_position_; /* 0: nowhere */

/* The next recording stops where it records the operation of this position; 0: nowhere. */
void stop_at(uint64_t position);

/* Does nothing. */
void plugpull_operation(uint64_t position);

/* The recording has just appended the operation of this position. */
static inline void stop_recorded(uint64_t position)
{
	if (position == stop_position_)
		plugpull_operation(position);
}

#endif
