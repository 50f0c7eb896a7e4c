/* See orders.h. */
#include "orders.h"

#include <stddef.h>

static int run(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

int orders_open(enum orders_mode mode, sqlite3 **ret_db)
{
	int rc = sqlite3_open("orders.db", ret_db) == SQLITE_OK ? 0 : -1;

	if (rc == 0)
		rc = run(*ret_db, "PRAGMA journal_mode=WAL");
	if (rc == 0)
		rc = run(*ret_db, mode == ORDERS_FAST ? "PRAGMA synchronous=NORMAL"
						      : "PRAGMA synchronous=FULL");
	if (rc == 0)
		rc = run(*ret_db,
			 "CREATE TABLE IF NOT EXISTS orders(id INTEGER PRIMARY KEY, customer TEXT, "
			 "price INT);"
			 "CREATE TABLE IF NOT EXISTS debts(customer TEXT PRIMARY KEY, owed INT)");
	if (rc != 0) {
		(void)sqlite3_close(*ret_db);
		*ret_db = NULL;
	}
	return rc;
}

static int write_row(sqlite3 *db, const char *sql, const char *customer, int price)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		(void)sqlite3_bind_text(stmt, 1, customer, -1, SQLITE_TRANSIENT);
		(void)sqlite3_bind_int(stmt, 2, price);
		rc = sqlite3_step(stmt);
	}
	(void)sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -1;
}

int orders_add(sqlite3 *db, enum orders_mode mode, const char *customer, int price)
{
	int rc = mode == ORDERS_CARELESS ? 0 : run(db, "BEGIN IMMEDIATE");

	if (rc == 0)
		rc = write_row(db, "INSERT INTO orders(customer, price) VALUES(?1, ?2)", customer,
			       price);
	if (rc == 0)
		rc = write_row(db,
			       "INSERT INTO debts VALUES(?1, ?2) "
			       "ON CONFLICT(customer) DO UPDATE SET owed = owed + ?2",
			       customer, price);
	if (mode == ORDERS_CARELESS)
		return rc;
	return run(db, rc == 0 ? "COMMIT" : "ROLLBACK") == 0 ? rc : -1;
}

static long long sum(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	long long value = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		value = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return value;
}

long long orders_total(sqlite3 *db)
{
	return sum(db, "SELECT coalesce(sum(price), 0) FROM orders");
}

long long orders_owed(sqlite3 *db)
{
	return sum(db, "SELECT coalesce(sum(owed), 0) FROM debts");
}
