/*
 * The test's check, as the explorer's processes and the reader of the history ask it. What it
 * leaves open is closed. Without any crash, in the process of the test itself, that is a mistake
 * that is reported; after a crash, a check that gives up in the middle is what can be expected.
 */
#include "harness/library/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Hundreds of states would print the same. */
static void silence(void)
{
	static bool is_silent;
	int null;

	if (is_silent)
		return;
	is_silent = true;
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0)
		return;
	(void)dup2(null, STDOUT_FILENO);
	(void)close(null);
}

int run_check(void *ctx, char *message, size_t size)
{
	const struct run *r = ctx;
	bool is_ours = getpid() == r->owner;
	size_t left;
	int answer;

	if (!is_ours && !r->is_loud)
		silence();
	run_connections_begin();
	atomic_fetch_add(&r->counts->begun, 1);
	answer = r->check(r->ctx, message, size);
	atomic_fetch_add(&r->counts->ended, 1);
	left = run_connections_end();
	if (!is_ours || left == 0 || answer != 0)
		return answer;
	(void)snprintf(message, size, "nothing; but it left %zu connection%s open", left,
		       left == 1 ? "" : "s");
	return -1;
}

void run_strays(void *ctx)
{
	const struct run *r = ctx;

	atomic_fetch_add(&r->counts->strayed, 1);
}
