/* See stop.h. Breakpoints go by names, so nothing here may be folded into its callers. */
#include "faultinject/base/stop.h"

uint64_t stop_position_;

void stop_at(uint64_t position)
{
	stop_position_ = position;
}

__attribute__((noinline, used, visibility("default"))) void plugpull_operation(uint64_t position)
{
	__asm__ volatile("" : : "r"(position) : "memory");
}
