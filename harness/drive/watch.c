/* See watch.h. https://www.sqlite.org/c3ref/progress_handler.html: a handler that answers non-zero
 * makes the statement fail with SQLITE_INTERRUPT. */
#include "harness/drive/watch.h"

#include <sqlite3.h>
#include <stddef.h>

static struct {
	bool (*stop)(void *ctx);
	void *ctx;
	uint64_t questions;
	bool stopped, hung;
} watch;

void watch_set(bool (*stop)(void *ctx), void *ctx)
{
	watch.stop = stop;
	watch.ctx = ctx;
}

void watch_begin(void)
{
	watch.questions = 0;
	watch.stopped = false;
	watch.hung = false;
}

static int ask(void *ctx)
{
	(void)ctx;
	if (watch.stop != NULL && watch.stop(watch.ctx))
		watch.stopped = true;
	if (++watch.questions > WATCH_QUESTIONS_MAX)
		watch.hung = true;
	return watch.stopped || watch.hung;
}

void watch_connection(struct sqlite3 *db)
{
	sqlite3_progress_handler(db, WATCH_OPCODES, ask, NULL);
}

bool watch_stopped(void)
{
	return watch.stopped;
}

bool watch_hung(void)
{
	return watch.hung;
}
