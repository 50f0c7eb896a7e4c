/* See progress.h. */
#include "harness/cli/progress.h"

#include "harness/drive/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLAIN_INTERVAL_NS 30000000000u

void progress_init(struct progress *p, bool on)
{
	memset(p, 0, sizeof *p);
	p->on = on;
	p->tty = isatty(STDERR_FILENO) == 1;
	p->begin_ns = p->plain_ns = gate_now_ns();
}

void progress_case(struct progress *p, size_t index, size_t count)
{
	p->case_index = index;
	p->case_count = count;
	p->case_begin_ns = gate_now_ns();
	p->points_known = SIZE_MAX;
}

void progress_show(void *ctx, const char *case_id, size_t points_done, size_t points,
		   size_t states_power, uint64_t recoveries, double recoveries_per_second)
{
	struct progress *p = ctx;
	uint64_t now = gate_now_ns();
	char eta[32] = "";

	if (!p->on || (!p->tty && now - p->plain_ns < PLAIN_INTERVAL_NS))
		return;
	p->plain_ns = now;
	/* Those that a resume file knew took no time. */
	if (points_done < p->points_known)
		p->points_known = points_done;
	if (points_done > p->points_known) {
		double seconds = (double)(now - p->case_begin_ns) / 1e9;
		(void)snprintf(eta, sizeof eta, ", about %.0f s left",
			       seconds / (double)(points_done - p->points_known) *
				   (double)(points - points_done));
	}
	fprintf(stderr,
		"%s[%zu/%zu] %.60s: %zu crash points left, 10^%zu states by %" PRIu64
		" recoveries, %.0f/s%s%s",
		p->tty ? "\r\033[K" : "", p->case_index + 1, p->case_count, case_id,
		points - points_done, states_power, recoveries, recoveries_per_second, eta,
		p->tty ? "" : "\n");
	(void)fflush(stderr);
	p->drawn = p->tty;
}

void progress_clear(struct progress *p)
{
	if (p->drawn) {
		fputs("\r\033[K", stderr);
		(void)fflush(stderr);
	}
	p->drawn = false;
}
