/*
 * schema.c: the line of migrations, and the table that says how far a database has come.
 *
 *     version 0 ──BEGIN IMMEDIATE; SQL 1; row 1; COMMIT──> version 1 ──…──> version n
 *
 * A migration and its row are one transaction, so that a crash leaves the one version or the other.
 * schema_version itself is created inside the first of these transactions: a database that has
 * tables and no schema_version can only be somebody else's, and is refused.
 *
 * Each row holds a digest of the SQL that was run. A program whose migration has another text than
 * the one that was applied would believe in a schema that the database does not have.
 *
 * It does not look at the tables themselves, and it never goes back a version.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

/* "fnv1a64:", 16 hexadecimal digits, NUL. */
#define DIGEST_BYTES 25

struct list {
	const char *name;
	const struct store_migration *migrations;
	const size_t *count;
	/* A query that can be prepared where the tables of the first version are. */
	const char *probe;
};

/* By enum store_schema. */
static const struct list lists[] = {
    {"events", store_migrations_events, &store_migrations_events_count,
     "SELECT seq, event_id, server_id, position, time_us, kind, payload, checksum, batch_id,"
     " batch_count FROM events"},
    {"conversations", store_migrations_conversations, &store_migrations_conversations_count,
     "SELECT 1 FROM conversations, messages"},
    {"a file system", store_migrations_filesystem, &store_migrations_filesystem_count,
     "SELECT 1 FROM nodes, blobs"},
    {"workflows", store_migrations_workflow, &store_migrations_workflow_count,
     "SELECT 1 FROM executions, steps, artifacts"},
};
#define LIST_COUNT (sizeof(lists) / sizeof(lists[0]))

const struct store_migration *store_migrations(enum store_schema schema, size_t *ret_count)
{
	const struct list *list = (unsigned)schema < LIST_COUNT ? &lists[schema] : NULL;

	if (ret_count)
		*ret_count = list ? *list->count : 0;
	return list ? list->migrations : NULL;
}

const char *store_schema_name(enum store_schema schema)
{
	return (unsigned)schema < LIST_COUNT ? lists[schema].name : "something else";
}

enum store_code store_schema_probe(sqlite3 *db, enum store_schema schema, struct store_error *err)
{
	sqlite3_stmt *stmt = NULL;
	enum store_code code;
	int rc = sqlite3_prepare_v2(db, lists[schema].probe, -1, &stmt, NULL);

	sqlite3_finalize(stmt);
	if (rc == SQLITE_OK)
		return STORE_OK;
	code = store_error_set_sqlite(err, db, rc, "the tables are not those of %s",
				      lists[schema].name);
	if (code == STORE_ERR_SQLITE) {
		code = STORE_ERR_SCHEMA_BROKEN;
		if (err)
			err->code = code;
	}
	return code;
}

enum store_code store_need_schema(const struct store *store, enum store_schema schema,
				  int version_min, struct store_error *err)
{
	if (store->options.schema != schema)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "the store was opened for %s, and this is about %s",
				      store_schema_name(store->options.schema),
				      store_schema_name(schema));
	if (store->version < version_min)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "this needs version %d of the schema, and the store was "
				      "opened for version %d",
				      version_min, store->version);
	return STORE_OK;
}

enum store_code store_schema_check_list(const struct store_migration *migrations, size_t count,
					struct store_error *err)
{
	if (count == 0 || count > INT32_MAX)
		return store_error_set(err, STORE_ERR_INVALID, 0, "a list of %zu migrations",
				       count);
	for (size_t i = 0; i < count; i++) {
		if (!migrations[i].name || !migrations[i].sql || migrations[i].sql[0] == '\0')
			return store_error_set(err, STORE_ERR_INVALID, 0,
					       "migration %zu has no name or no SQL", i + 1);
	}
	return STORE_OK;
}

static void digest_of(const char *sql, char ret_digest[DIGEST_BYTES])
{
	snprintf(ret_digest, DIGEST_BYTES, "fnv1a64:%016" PRIx64,
		 store_fnv(STORE_FNV_START, sql, strlen(sql)));
}

/* Runs a query that returns one row of up to two numbers. */
static int query_numbers(sqlite3 *db, const char *sql, int64_t ret_numbers[2])
{
	sqlite3_stmt *stmt = NULL;
	int64_t numbers[2] = {0, 0};
	int rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		numbers[0] = sqlite3_column_int64(stmt, 0);
		numbers[1] = sqlite3_column_int64(stmt, 1);
	}
	sqlite3_finalize(stmt);
	if (rc != SQLITE_DONE)
		return rc;
	memcpy(ret_numbers, numbers, sizeof(numbers));
	return SQLITE_OK;
}

/* The name of another built-in list whose first migration has that digest; NULL if there is none,
 * or if migrations is the caller's own list. */
static const char *other_list(const struct store_migration *migrations, const char *stored)
{
	const char *found = NULL;
	bool is_own = true;

	for (size_t i = 0; i < LIST_COUNT; i++) {
		char digest[DIGEST_BYTES];

		digest_of(lists[i].migrations[0].sql, digest);
		if (migrations == lists[i].migrations)
			is_own = false;
		else if (strcmp(stored, digest) == 0)
			found = lists[i].name;
	}
	return is_own ? NULL : found;
}

/* STORE_ERR_NOT_A_STORE if the first migration is that of another built-in list. A newer program
 * may have other columns, so that a query that fails says nothing. */
static enum store_code kind_check(sqlite3 *db, const struct store_migration *migrations,
				  struct store_error *err)
{
	const char *other = NULL;
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(db, "SELECT digest FROM schema_version WHERE version = 1", -1, &stmt,
			       NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_type(stmt, 0) == SQLITE_TEXT)
		other = other_list(migrations, (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	if (!other)
		return STORE_OK;
	return store_error_set(err, STORE_ERR_NOT_A_STORE, 0,
			       "the store holds %s: set store_options.schema to open it", other);
}

/* Compares one row of schema_version with the list. */
static enum store_code row_check(sqlite3_stmt *stmt, const struct store_migration *migrations,
				 int64_t version_expected, struct store_error *err)
{
	const struct store_migration *migration;
	char digest[DIGEST_BYTES];
	const char *stored;

	if (sqlite3_column_int64(stmt, 0) != version_expected)
		return store_error_set(err, STORE_ERR_SCHEMA_BROKEN, 0,
				       "schema_version has a gap: version %" PRId64
				       " where %" PRId64 " is expected",
				       (int64_t)sqlite3_column_int64(stmt, 0), version_expected);
	migration = &migrations[version_expected - 1];
	digest_of(migration->sql, digest);
	stored = (const char *)sqlite3_column_text(stmt, 1);
	if (!stored || strcmp(stored, digest) != 0)
		return store_error_set(err, STORE_ERR_SCHEMA_CHANGED, 0,
				       "migration %" PRId64 " '%s' is not the one that was "
				       "applied: its digest is %s, the store has '%.40s'",
				       version_expected, migration->name, digest,
				       stored ? stored : "");
	return STORE_OK;
}

/* The version of the database, compared with the list. The caller has opened a transaction. */
static enum store_code version_read(sqlite3 *db, const struct store_migration *migrations,
				    size_t count, int *ret_version, struct store_error *err)
{
	sqlite3_stmt *stmt = NULL;
	enum store_code code = STORE_OK;
	int64_t numbers[2] = {0, 0};
	int64_t version = 0;
	int rc;

	rc = query_numbers(db,
			   "SELECT count(*), total(type = 'table' AND name = 'schema_version')"
			   " FROM sqlite_master WHERE substr(name, 1, 7) <> 'sqlite_'",
			   numbers);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot read the schema");
	if (numbers[0] == 0) {
		*ret_version = 0;
		return STORE_OK;
	}
	if (numbers[1] == 0)
		return store_error_set(err, STORE_ERR_NOT_A_STORE, 0,
				       "the database has tables, but no schema_version: it is not "
				       "a store");
	/* A newer program may have other columns here, so its version is looked at alone. */
	rc = query_numbers(db, "SELECT max(version) FROM schema_version", numbers);
	if (rc == SQLITE_ERROR)
		return store_error_set(err, STORE_ERR_NOT_A_STORE, rc,
				       "schema_version has no column 'version': the database is "
				       "not a store");
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot read schema_version");
	code = kind_check(db, migrations, err);
	if (code != STORE_OK)
		return code;
	if (numbers[0] > (int64_t)count)
		return store_error_set(err, STORE_ERR_SCHEMA_NEWER, 0,
				       "the store has version %" PRId64 ", this program knows %zu: "
				       "open it with the program that wrote it, or a newer one",
				       numbers[0], count);
	rc = sqlite3_prepare_v2(db, "SELECT version, digest FROM schema_version ORDER BY version",
				-1, &stmt, NULL);
	if (rc == SQLITE_ERROR)
		return store_error_set(err, STORE_ERR_NOT_A_STORE, rc,
				       "schema_version has no column 'digest': the database is not "
				       "a store");
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot read schema_version");
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		code = row_check(stmt, migrations, version + 1, err);
		if (code != STORE_OK)
			goto out;
		version++;
	}
	if (rc != SQLITE_DONE) {
		code = store_error_set_sqlite(err, db, rc, "cannot read schema_version");
		goto out;
	}
	if (version == 0) {
		code = store_error_set(err, STORE_ERR_SCHEMA_BROKEN, 0, "schema_version is empty");
		goto out;
	}
	*ret_version = (int)version;
out:
	sqlite3_finalize(stmt);
	return code;
}

enum store_code store_schema_inspect(sqlite3 *db, const struct store_migration *migrations,
				     size_t count, int *ret_version, struct store_error *err)
{
	enum store_code code;
	int version = 0;
	int rc;

	/* One transaction, so that another program's migration does not come in between. */
	rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot begin to read the schema");
	code = version_read(db, migrations, count, &version, err);
	/* A transaction that has only read has nothing to lose by failing to end. */
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	if (code == STORE_OK)
		*ret_version = version;
	return code;
}

static int version_insert(sqlite3 *db, int version, const struct store_migration *migration,
			  int64_t applied_us)
{
	sqlite3_stmt *stmt = NULL;
	char digest[DIGEST_BYTES];
	int rc;

	rc = sqlite3_prepare_v2(db,
				"INSERT INTO schema_version (version, digest, name, applied_us)"
				" VALUES (?1, ?2, ?3, ?4)",
				-1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	digest_of(migration->sql, digest);
	rc = sqlite3_bind_int(stmt, 1, version);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 2, digest, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 3, migration->name, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 4, applied_us);
	if (rc == SQLITE_OK)
		rc = store_run(stmt);
	sqlite3_finalize(stmt);
	return rc;
}

/* A migration that ended its own transaction would tear the schema from its version. */
static int forbid_transactions(void *context, int action, const char *a, const char *b,
			       const char *c, const char *d)
{
	(void)context;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return action == SQLITE_TRANSACTION ? SQLITE_DENY : SQLITE_OK;
}

/* The statements of one migration, inside the transaction that the caller has opened. */
static int migration_run(sqlite3 *db, int version, const struct store_migration *migration,
			 int64_t applied_us)
{
	int rc = SQLITE_OK;

	if (version == 1)
		rc = sqlite3_exec(db,
				  "CREATE TABLE schema_version (version INTEGER PRIMARY KEY,"
				  " digest TEXT NOT NULL, name TEXT NOT NULL,"
				  " applied_us INTEGER NOT NULL)",
				  NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_set_authorizer(db, forbid_transactions, NULL);
	rc = sqlite3_exec(db, migration->sql, NULL, NULL, NULL);
	sqlite3_set_authorizer(db, NULL, NULL);
	if (rc != SQLITE_OK)
		return rc;
	return version_insert(db, version, migration, applied_us);
}

/* Takes the database one version further, if nobody else has done so in the meantime. */
static enum store_code migrate_once(sqlite3 *db, const struct store_options *options,
				    const struct store_migration *migrations, size_t count,
				    int *ret_version, struct store_error *err)
{
	const struct store_migration *migration;
	enum store_code code;
	int64_t applied_us;
	bool committing = false;
	int version = 0;
	int rc;

	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot begin a migration");
	code = version_read(db, migrations, count, &version, err);
	if (code != STORE_OK)
		goto out;
	if (version == (int)count) {
		*ret_version = version;
		goto out;
	}
	migration = &migrations[version];
	version++;
	applied_us = store_now_us(options);
	rc = migration_run(db, version, migration, applied_us);
	if (rc == SQLITE_OK) {
		committing = true;
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	}
	if (rc != SQLITE_OK) {
		code = store_error_set_sqlite(err, db, rc, "migration %d '%s'", version,
					      migration->name);
		if (code == STORE_ERR_SQLITE)
			code = STORE_ERR_MIGRATION;
		if (err) {
			err->code = code;
			err->indeterminate = committing && (rc & 0xff) != SQLITE_BUSY;
		}
		goto out;
	}
	*ret_version = version;
out:
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return code;
}

enum store_code store_schema_migrate(sqlite3 *db, const struct store_options *options,
				     const struct store_migration *migrations, size_t count,
				     struct store_error *err)
{
	int version = 0;

	while (version < (int)count) {
		enum store_code code = migrate_once(db, options, migrations, count, &version, err);

		if (code != STORE_OK)
			return code;
	}
	return STORE_OK;
}
