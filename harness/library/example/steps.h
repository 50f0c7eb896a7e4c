/*
 * The three steps of a pp_run() of the orders, for both test programs.
 */
#ifndef STEPS_H
#define STEPS_H

#include "orders.h"

#include <stddef.h>
#include <stdio.h>

/* `ctx` is the mode. */
static int setup(void *ctx)
{
	const enum orders_mode *mode = ctx;
	sqlite3 *db;

	if (orders_open(*mode, &db) != 0)
		return -1;
	return sqlite3_close(db);
}

static int work(void *ctx)
{
	const enum orders_mode *mode = ctx;
	sqlite3 *db;
	int rc = orders_open(*mode, &db);

	if (rc != 0)
		return rc;
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = orders_add(db, *mode, i == 1 ? "bob" : "alice", 10 + i);
	return sqlite3_close(db) == SQLITE_OK ? rc : -1;
}

/* What no power loss may break: the orders and the debts tell of the same money. */
static int check(void *ctx, char *message, size_t size)
{
	const enum orders_mode *mode = ctx;
	long long total, owed;
	sqlite3 *db;

	if (orders_open(*mode, &db) != 0)
		return -1;
	total = orders_total(db);
	owed = orders_owed(db);
	(void)sqlite3_close(db);
	if (total >= 0 && total == owed)
		return 0;
	(void)snprintf(message, size, "orders of %lld, and %lld is owed", total, owed);
	return 1;
}

#endif
