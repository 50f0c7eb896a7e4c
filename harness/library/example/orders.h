/*
 * A small application: orders, and what each customer owes. It knows nothing of plugpull, and is
 * what the two test programs beside it test.
 */
#ifndef ORDERS_H
#define ORDERS_H

#include <sqlite3.h>

enum orders_mode {
	ORDERS_SAFE,	 /* an order that was accepted is never lost */
	ORDERS_FAST,	 /* the last ones can be lost in a power loss */
	ORDERS_CARELESS, /* order and debt are two commits, which is a mistake */
};

/* Opens the database "orders.db", and makes its tables if they are missing. 0, or -1. */
int orders_open(enum orders_mode mode, sqlite3 **ret_db);
/* 0: accepted. */
int orders_add(sqlite3 *db, enum orders_mode mode, const char *customer, int price);
/* The orders, and what is owed, in all; -1: cannot be read. */
long long orders_total(sqlite3 *db);
long long orders_owed(sqlite3 *db);

#endif
