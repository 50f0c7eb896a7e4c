/*
 * Progress of long work, on stderr: a line that is redrawn on a terminal, at most ten times a
 * second; one plain line every 30 seconds where there is none (CI).
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	bool on, tty, drawn;
	size_t case_index, case_count;
	uint64_t begin_ns, case_begin_ns, plain_ns;
	size_t points_known; /* of the case, when its progress was shown first */
};

void progress_init(struct progress *p, bool on);
/* The case with this index begins. */
void progress_case(struct progress *p, size_t index, size_t count);
/* struct gate's callback; `ctx` is the progress. */
void progress_show(void *ctx, const char *case_id, size_t points_done, size_t points,
		   size_t states_power, uint64_t recoveries, double recoveries_per_second);
/* Takes the line away before something else is printed. */
void progress_clear(struct progress *p);

#endif
