/*
 * filesystem_file.c: blobs, and the files that refer to them.
 *
 *   write: acquire(content) ─> node refers to it ─> release(what it had)
 *   copy:  refcount + 1     ─> node refers to it ─> release(what it had)
 *
 * all in one transaction, in this order: the foreign key would not let a blob go that is still
 * referred to, and a file that is written with what it already holds keeps its blob.
 *
 * A blob that is there already is found by checksum and size, and then compared byte by byte, by
 * SQLite: a checksum is no proof that two contents are equal, and a content that has rotted is not
 * equal to the one that it was, so that it is not handed on.
 */
#include <inttypes.h>
#include <string.h>

#include "store/filesystem_internal.h"

static uint64_t content_checksum(const void *content, size_t content_bytes)
{
	return store_fnv(STORE_FNV_START, content, content_bytes);
}

/* A NULL pointer would bind NULL, which is not an empty content. */
static int bind_content(sqlite3_stmt *stmt, int parameter, const void *content,
			size_t content_bytes)
{
	return sqlite3_bind_blob64(stmt, parameter, content_bytes > 0 ? content : "", content_bytes,
				   SQLITE_STATIC);
}

/* ---- blobs ---- */

/* The blob with that content, or 0. */
static enum store_code blob_find(struct store *store, const void *content, size_t content_bytes,
				 uint64_t checksum, int64_t *ret_blob, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(store,
			       "SELECT blobs.blob FROM blobs"
			       " JOIN contents ON contents.blob = blobs.blob"
			       " WHERE checksum = ?1 AND size_bytes = ?2 AND content = ?3 LIMIT 1",
			       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, (int64_t)checksum);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, (int64_t)content_bytes);
	if (rc == SQLITE_OK)
		rc = bind_content(stmt, 3, content, content_bytes);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	*ret_blob = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		code = store_error_set_sqlite(err, store->db, rc, "cannot look for the content");
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return code;
}

static enum store_code blob_insert(struct store *store, const void *content, size_t content_bytes,
				   uint64_t checksum, int64_t *ret_blob, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int64_t blob;
	int rc;

	code = store_statement(store,
			       "INSERT INTO blobs (refcount, size_bytes, checksum)"
			       " VALUES (1, ?1, ?2)",
			       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, (int64_t)content_bytes);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, (int64_t)checksum);
	code = store_fs_change_one(store, stmt, rc, "cannot add the blob", err);
	if (code != STORE_OK)
		return code;
	blob = sqlite3_last_insert_rowid(store->db);
	code = store_statement(store, "INSERT INTO contents (blob, content) VALUES (?1, ?2)", &stmt,
			       err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, blob);
	if (rc == SQLITE_OK)
		rc = bind_content(stmt, 2, content, content_bytes);
	code = store_fs_change_one(store, stmt, rc, "cannot write the content", err);
	if (code == STORE_OK)
		*ret_blob = blob;
	return code;
}

static enum store_code blob_count(struct store *store, int64_t blob, int change,
				  struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(store, "UPDATE blobs SET refcount = refcount + ?2 WHERE blob = ?1",
			       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, blob);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(stmt, 2, change);
	return store_fs_change_one(store, stmt, rc, "cannot count the references", err);
}

/* One reference to a blob with that content, which is made if there is none. */
static enum store_code blob_acquire(struct store *store, const void *content, size_t content_bytes,
				    int64_t *ret_blob, struct store_error *err)
{
	uint64_t checksum = content_checksum(content, content_bytes);
	enum store_code code;
	int64_t blob = 0;

	code = blob_find(store, content, content_bytes, checksum, &blob, err);
	if (code != STORE_OK)
		return code;
	if (blob == 0)
		return blob_insert(store, content, content_bytes, checksum, ret_blob, err);
	code = blob_count(store, blob, 1, err);
	if (code == STORE_OK)
		*ret_blob = blob;
	return code;
}

enum store_code store_blob_release(struct store *store, int64_t blob, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int64_t refcount = 0;
	int rc;

	code = blob_count(store, blob, -1, err);
	if (code == STORE_OK)
		code = store_statement(store, "SELECT refcount FROM blobs WHERE blob = ?1", &stmt,
				       err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, blob);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		refcount = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	if (rc != SQLITE_ROW)
		return store_error_set_sqlite(err, store->db, rc, "cannot count the references");
	if (refcount > 0)
		return STORE_OK;
	code = store_statement(store, "DELETE FROM contents WHERE blob = ?1", &stmt, err);
	if (code == STORE_OK)
		code = store_fs_change_one(store, stmt, sqlite3_bind_int64(stmt, 1, blob),
					   "cannot remove the content", err);
	if (code == STORE_OK)
		code = store_statement(store, "DELETE FROM blobs WHERE blob = ?1", &stmt, err);
	if (code == STORE_OK)
		code = store_fs_change_one(store, stmt, sqlite3_bind_int64(stmt, 1, blob),
					   "cannot remove the blob", err);
	return code;
}

/* ---- files ---- */

/* Where a content goes. */
struct destination {
	int64_t parent;
	const char *name;
	int64_t time_us;
};

static enum store_code file_refer(struct store *store, int64_t inode, int64_t blob,
				  size_t size_bytes, int64_t time_us, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(
	    store, "UPDATE nodes SET blob = ?2, size_bytes = ?3, modified_us = ?4 WHERE inode = ?1",
	    &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, inode);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, blob);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 3, (int64_t)size_bytes);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 4, time_us);
	return store_fs_change_one(store, stmt, rc, "cannot change the file", err);
}

/* Lets the file at `to` refer to a blob, whose reference has been counted already. */
static enum store_code file_put(struct store *store, const struct destination *to, int64_t blob,
				size_t size_bytes, int64_t *ret_inode, struct store_error *err)
{
	struct store_entry entry;
	enum store_code code;
	bool found = false;

	code = store_fs_need_folder(store, to->parent, err);
	if (code == STORE_OK)
		code = store_fs_look_up(store, to->parent, to->name, &entry, &found, err);
	if (code != STORE_OK)
		return code;
	if (!found)
		return store_fs_insert(store, to->parent, to->name, blob, size_bytes, to->time_us,
				       ret_inode, err);
	if (entry.folder)
		return store_error_at(err, store, STORE_ERR_EXISTS, 0,
				      "there is a folder '%s' in the folder %" PRId64, to->name,
				      to->parent);
	code = file_refer(store, entry.inode, blob, size_bytes, to->time_us, err);
	if (code == STORE_OK)
		code = store_blob_release(store, entry.blob, err);
	if (code == STORE_OK)
		*ret_inode = entry.inode;
	return code;
}

enum store_code store_file_write(struct store *store, int64_t parent, const char *name,
				 const void *content, size_t content_bytes, int64_t time_us,
				 int64_t *ret_inode, struct store_error *err)
{
	const struct destination to = {parent, name, time_us};
	enum store_code code = store_fs_check_name(store, name, err);
	int64_t blob = 0;
	int64_t inode = 0;

	if (code == STORE_OK && !content && content_bytes > 0)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "a content of %zu bytes is NULL", content_bytes);
	if (code == STORE_OK && content_bytes > STORE_FILE_BYTES_MAX)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "a content of %zu bytes; the most is %d", content_bytes,
				      STORE_FILE_BYTES_MAX);
	if (code == STORE_OK)
		code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = blob_acquire(store, content, content_bytes, &blob, err);
	if (code == STORE_OK)
		code = file_put(store, &to, blob, content_bytes, &inode, err);
	code = store_finish(store, code, err);
	if (code == STORE_OK && ret_inode)
		*ret_inode = inode;
	return code;
}

/* The blob of a file, and its size. */
static enum store_code file_blob(struct store *store, int64_t inode, int64_t *ret_blob,
				 size_t *ret_bytes, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(store, "SELECT blob, size_bytes FROM nodes WHERE inode = ?1", &stmt,
			       err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, inode);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE)
		code = store_error_at(err, store, STORE_ERR_NOT_FOUND, 0,
				      "there is no node %" PRId64, inode);
	else if (rc != SQLITE_ROW)
		code = store_error_set_sqlite(err, store->db, rc, "cannot read the node");
	else if (sqlite3_column_type(stmt, 0) == SQLITE_NULL)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "the node %" PRId64 " is a folder", inode);
	if (code == STORE_OK) {
		*ret_blob = sqlite3_column_int64(stmt, 0);
		*ret_bytes = (size_t)sqlite3_column_int64(stmt, 1);
	}
	sqlite3_reset(stmt);
	return code;
}

enum store_code store_file_copy(struct store *store, int64_t inode, int64_t parent,
				const char *name, int64_t time_us, int64_t *ret_inode,
				struct store_error *err)
{
	const struct destination to = {parent, name, time_us};
	enum store_code code = store_fs_check_name(store, name, err);
	size_t size_bytes = 0;
	int64_t blob = 0;
	int64_t copy = 0;

	if (code == STORE_OK)
		code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = file_blob(store, inode, &blob, &size_bytes, err);
	if (code == STORE_OK)
		code = blob_count(store, blob, 1, err);
	if (code == STORE_OK)
		code = file_put(store, &to, blob, size_bytes, &copy, err);
	code = store_finish(store, code, err);
	if (code == STORE_OK && ret_inode)
		*ret_inode = copy;
	return code;
}

/* Copies the content of the row that the statement stands on. */
static enum store_code content_take(struct store *store, sqlite3_stmt *stmt, int64_t inode,
				    void *buffer, size_t buffer_bytes, size_t *ret_bytes,
				    struct store_error *err)
{
	const void *content;
	size_t content_bytes;

	if (sqlite3_column_type(stmt, 0) == SQLITE_NULL)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "the node %" PRId64 " is a folder", inode);
	content = sqlite3_column_blob(stmt, 3);
	content_bytes = (size_t)sqlite3_column_bytes(stmt, 3);
	if (!content && sqlite3_errcode(store->db) == SQLITE_NOMEM)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0,
				      "no memory for the content of the node %" PRId64, inode);
	if (sqlite3_column_type(stmt, 3) != SQLITE_BLOB ||
	    (int64_t)content_bytes != sqlite3_column_int64(stmt, 1) ||
	    (int64_t)content_checksum(content, content_bytes) != sqlite3_column_int64(stmt, 2))
		return store_error_at(err, store, STORE_ERR_CORRUPT, 0,
				      "the content of the node %" PRId64
				      " does not match its checksum or its size",
				      inode);
	if (content_bytes > buffer_bytes)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "the node %" PRId64
				      " has %zu bytes, and the buffer has room for %zu",
				      inode, content_bytes, buffer_bytes);
	if (content && content_bytes > 0)
		memcpy(buffer, content, content_bytes);
	*ret_bytes = content_bytes;
	return STORE_OK;
}

enum store_code store_file_read(struct store *store, int64_t inode, void *buffer,
				size_t buffer_bytes, size_t *ret_bytes, struct store_error *err)
{
	enum store_code code = store_fs_check(store, err);
	sqlite3_stmt *stmt;
	int rc;

	if (code == STORE_OK && (!ret_bytes || (!buffer && buffer_bytes > 0)))
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "an output is NULL");
	/* One statement, so that what it compares is of one moment. */
	if (code == STORE_OK)
		code = store_statement(store,
				       "SELECT nodes.blob, nodes.size_bytes, checksum, content"
				       " FROM nodes LEFT JOIN blobs ON blobs.blob = nodes.blob"
				       " LEFT JOIN contents ON contents.blob = nodes.blob"
				       " WHERE inode = ?1",
				       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, inode);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		code = content_take(store, stmt, inode, buffer, buffer_bytes, ret_bytes, err);
	else if (rc == SQLITE_DONE)
		code = store_error_at(err, store, STORE_ERR_NOT_FOUND, 0,
				      "there is no node %" PRId64, inode);
	else
		code = store_error_set_sqlite(err, store->db, rc, "cannot read the file");
	sqlite3_reset(stmt);
	return code;
}
