/*
 * filesystem.c: what changes nodes: folders, names, rename, remove.
 *
 * Everything that a function has to know is read inside its transaction, under the write lock, so
 * that what it checked still holds when it writes. A step that should change one row and changes
 * another number of rows has met a store that contradicts itself, and ends in a rollback.
 *
 * Depth is not stored, or moving a folder would have to write everything below it. It is counted by
 * walking up, and below a folder that moves by walking down its folders.
 */
#include <inttypes.h>
#include <string.h>

#include "store/filesystem_internal.h"

/* ---- checks ---- */

enum store_code store_fs_check(const struct store *store, struct store_error *err)
{
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	code = store_check_running(store, err);
	if (code == STORE_OK)
		code = store_need_schema(store, STORE_SCHEMA_FILESYSTEM, 1, err);
	return code;
}

enum store_code store_fs_check_name(const struct store *store, const char *name,
				    struct store_error *err)
{
	enum store_code code = store_fs_check(store, err);
	const char *complaint;

	if (code != STORE_OK)
		return code;
	complaint = store_text_complaint(name, STORE_NODE_NAME_BYTES_MAX, false, NULL);
	if (!complaint && strchr(name, '/'))
		complaint = "has a '/' in it";
	if (!complaint && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
		complaint = "is \".\" or \"..\"";
	if (complaint)
		return store_error_at(err, store, STORE_ERR_INVALID, 0, "the name %s", complaint);
	return STORE_OK;
}

enum store_code store_fs_not_found(const struct store *store, int64_t inode,
				   struct store_error *err)
{
	return store_error_at(err, store, STORE_ERR_NOT_FOUND, 0, "there is no node %" PRId64,
			      inode);
}

enum store_code store_fs_name_not_found(const struct store *store, int64_t parent, const char *name,
					struct store_error *err)
{
	return store_error_at(err, store, STORE_ERR_NOT_FOUND, 0,
			      "there is no '%s' in the folder %" PRId64, name, parent);
}

/* ---- statements ---- */

enum store_code store_fs_query(struct store *store, sqlite3_stmt *stmt, int rc, bool *ret_row,
			       struct store_error *err)
{
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		enum store_code code =
		    store_error_set_sqlite(err, store->db, rc, "cannot read the nodes");

		sqlite3_reset(stmt);
		sqlite3_clear_bindings(stmt);
		return code;
	}
	*ret_row = rc == SQLITE_ROW;
	return STORE_OK;
}

void store_fs_query_end(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

int store_fs_bind_place(sqlite3_stmt *stmt, int64_t parent, const char *name)
{
	int rc = sqlite3_bind_int64(stmt, 1, parent);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 2, name, -1, SQLITE_STATIC);
	return rc;
}

enum store_code store_fs_change_one(struct store *store, sqlite3_stmt *stmt, int rc,
				    const char *what, struct store_error *err)
{
	enum store_code code = STORE_OK;

	if (rc == SQLITE_OK)
		rc = store_run(stmt);
	if (rc != SQLITE_OK)
		code = store_error_set_sqlite(err, store->db, rc, "%s", what);
	else if (sqlite3_changes(store->db) != 1)
		code = store_error_at(err, store, STORE_ERR_CORRUPT, 0,
				      "%s: what is stored contradicts itself", what);
	sqlite3_clear_bindings(stmt);
	return code;
}

/* ---- looking ---- */

enum store_code store_fs_look_up(struct store *store, int64_t parent, const char *name,
				 struct store_entry *ret_entry, bool *ret_found,
				 struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;

	code = store_statement(store,
			       "SELECT inode, type = 'folder', blob FROM nodes"
			       " WHERE parent = ?1 AND name = ?2",
			       &stmt, err);
	if (code == STORE_OK)
		code = store_fs_query(store, stmt, store_fs_bind_place(stmt, parent, name),
				      ret_found, err);
	if (code != STORE_OK)
		return code;
	if (*ret_found) {
		ret_entry->inode = sqlite3_column_int64(stmt, 0);
		ret_entry->folder = sqlite3_column_int(stmt, 1) != 0;
		ret_entry->blob = sqlite3_column_int64(stmt, 2);
	}
	store_fs_query_end(stmt);
	return STORE_OK;
}

enum store_code store_fs_need_folder(struct store *store, int64_t inode, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	bool found = false;
	bool folder = false;

	code = store_statement(store, "SELECT type = 'folder' FROM nodes WHERE inode = ?1", &stmt,
			       err);
	if (code == STORE_OK)
		code = store_fs_query(store, stmt, sqlite3_bind_int64(stmt, 1, inode), &found, err);
	if (code != STORE_OK)
		return code;
	folder = found && sqlite3_column_int(stmt, 0) != 0;
	store_fs_query_end(stmt);
	if (!found)
		return store_fs_not_found(store, inode, err);
	if (!folder)
		return store_error_at(err, store, STORE_ERR_NOT_A_FOLDER, 0,
				      "the node %" PRId64 " is a file", inode);
	return STORE_OK;
}

/* Runs a walk of two parameters that returns two numbers; both walks stop behind the depth limit,
 * so that a cycle in the store cannot catch them. */
static enum store_code walk(struct store *store, const char *sql, int64_t inode, int64_t other,
			    int64_t ret_numbers[2], struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	bool row = false;
	int rc;

	code = store_statement(store, sql, &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, inode);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, other);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(stmt, 3, STORE_FOLDER_DEPTH_MAX + 1);
	code = store_fs_query(store, stmt, rc, &row, err);
	if (code != STORE_OK)
		return code;
	ret_numbers[0] = sqlite3_column_int64(stmt, 0);
	ret_numbers[1] = sqlite3_column_int64(stmt, 1);
	store_fs_query_end(stmt);
	return STORE_OK;
}

/* How deep a folder stands, and whether it is `above`, or below it. */
static enum store_code walk_up(struct store *store, int64_t folder, int64_t above,
			       int64_t *ret_depth, bool *ret_below, struct store_error *err)
{
	static const char sql[] = "WITH RECURSIVE up (inode, parent, depth) AS ("
				  "SELECT inode, parent, 0 FROM nodes WHERE inode = ?1"
				  " UNION ALL SELECT nodes.inode, nodes.parent, depth + 1"
				  " FROM up JOIN nodes ON nodes.inode = up.parent WHERE depth < ?3)"
				  " SELECT max(depth), coalesce(max(inode = ?2), 0) FROM up";
	int64_t numbers[2] = {0, 0};
	enum store_code code = walk(store, sql, folder, above, numbers, err);

	if (code != STORE_OK)
		return code;
	if (numbers[0] > STORE_FOLDER_DEPTH_MAX)
		return store_error_at(err, store, STORE_ERR_CORRUPT, 0,
				      "from the folder %" PRId64 " no way leads to the root",
				      folder);
	*ret_depth = numbers[0];
	*ret_below = numbers[1] != 0;
	return STORE_OK;
}

/* How many folders stand below one another in a folder; 0 if there are only files. */
static enum store_code walk_down(struct store *store, int64_t folder, int64_t *ret_height,
				 struct store_error *err)
{
	static const char sql[] =
	    "WITH RECURSIVE down (inode, depth) AS (SELECT ?1, 0"
	    " UNION ALL SELECT nodes.inode, depth + 1"
	    " FROM down JOIN nodes ON nodes.parent = down.inode AND nodes.type = 'folder'"
	    " WHERE depth < ?3)"
	    " SELECT max(depth), ?2 FROM down";
	int64_t numbers[2] = {0, 0};
	enum store_code code = walk(store, sql, folder, 0, numbers, err);

	if (code == STORE_OK)
		*ret_height = numbers[0];
	return code;
}

static enum store_code depth_check(const struct store *store, int64_t depth,
				   struct store_error *err)
{
	if (depth <= STORE_FOLDER_DEPTH_MAX)
		return STORE_OK;
	return store_error_at(err, store, STORE_ERR_INVALID, 0,
			      "a folder would be at depth %" PRId64 "; the most is %d", depth,
			      STORE_FOLDER_DEPTH_MAX);
}

static enum store_code need_empty(struct store *store, int64_t folder, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	bool found = false;

	code = store_statement(store, "SELECT 1 FROM nodes WHERE parent = ?1 LIMIT 1", &stmt, err);
	if (code == STORE_OK)
		code =
		    store_fs_query(store, stmt, sqlite3_bind_int64(stmt, 1, folder), &found, err);
	if (code != STORE_OK)
		return code;
	store_fs_query_end(stmt);
	if (found)
		return store_error_at(err, store, STORE_ERR_NOT_EMPTY, 0,
				      "the folder %" PRId64 " is not empty", folder);
	return STORE_OK;
}

/* ---- steps of what is written ---- */

/* A folder whose names have changed, and by how many. */
static enum store_code folder_changed(struct store *store, int64_t folder, int change,
				      int64_t time_us, struct store_error *err)
{
	static const char sql_first[] =
	    "UPDATE nodes SET modified_us = ?2 WHERE inode = ?1 AND type = 'folder' AND ?3 = ?3";
	static const char sql_counting[] =
	    "UPDATE nodes SET modified_us = ?2, child_count = child_count + ?3"
	    " WHERE inode = ?1 AND type = 'folder'";
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(store, store->version >= 2 ? sql_counting : sql_first, &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, folder);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, time_us);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(stmt, 3, change);
	return store_fs_change_one(store, stmt, rc, "cannot change the folder", err);
}

enum store_code store_fs_insert(struct store *store, int64_t parent, const char *name, int64_t blob,
				size_t size_bytes, int64_t time_us, int64_t *ret_inode,
				struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(
	    store,
	    "INSERT INTO nodes (parent, name, type, size_bytes, created_us, modified_us, blob)"
	    " VALUES (?1, ?2, CASE WHEN ?5 = 0 THEN 'folder' ELSE 'file' END, ?3, ?4, ?4,"
	    " nullif(?5, 0))",
	    &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = store_fs_bind_place(stmt, parent, name);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 3, (int64_t)size_bytes);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 4, time_us);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 5, blob);
	code = store_fs_change_one(store, stmt, rc, "cannot add the node", err);
	if (code != STORE_OK)
		return code;
	*ret_inode = sqlite3_last_insert_rowid(store->db);
	return folder_changed(store, parent, 1, time_us, err);
}

/* Takes a node away, with its reference; not the count of its folder. */
static enum store_code entry_delete(struct store *store, const struct store_entry *entry,
				    struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;

	code = store_statement(store, "DELETE FROM nodes WHERE inode = ?1", &stmt, err);
	if (code == STORE_OK)
		code = store_fs_change_one(store, stmt, sqlite3_bind_int64(stmt, 1, entry->inode),
					   "cannot remove the node", err);
	if (code == STORE_OK && !entry->folder)
		code = store_blob_release(store, entry->blob, err);
	return code;
}

/* ---- making and removing ---- */

static enum store_code folder_make(struct store *store, int64_t parent, const char *name,
				   int64_t time_us, int64_t *ret_inode, struct store_error *err)
{
	struct store_entry entry;
	enum store_code code;
	int64_t depth = 0;
	bool found = false;

	code = store_fs_need_folder(store, parent, err);
	if (code == STORE_OK)
		code = store_fs_look_up(store, parent, name, &entry, &found, err);
	if (code == STORE_OK && found)
		return store_error_at(err, store, STORE_ERR_EXISTS, 0,
				      "there is a '%s' in the folder %" PRId64 " already", name,
				      parent);
	if (code == STORE_OK)
		code = walk_up(store, parent, parent, &depth, &found, err);
	if (code == STORE_OK)
		code = depth_check(store, depth + 1, err);
	if (code == STORE_OK)
		code = store_fs_insert(store, parent, name, 0, 0, time_us, ret_inode, err);
	return code;
}

enum store_code store_folder_make(struct store *store, int64_t parent, const char *name,
				  int64_t time_us, int64_t *ret_inode, struct store_error *err)
{
	enum store_code code = store_fs_check_name(store, name, err);
	int64_t inode = 0;

	if (code == STORE_OK)
		code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = folder_make(store, parent, name, time_us, &inode, err);
	code = store_finish(store, code, err);
	if (code == STORE_OK && ret_inode)
		*ret_inode = inode;
	return code;
}

static enum store_code node_remove(struct store *store, int64_t parent, const char *name,
				   int64_t time_us, struct store_error *err)
{
	struct store_entry entry;
	enum store_code code;
	bool found = false;

	code = store_fs_need_folder(store, parent, err);
	if (code == STORE_OK)
		code = store_fs_look_up(store, parent, name, &entry, &found, err);
	if (code == STORE_OK && !found)
		code = store_fs_name_not_found(store, parent, name, err);
	if (code == STORE_OK && entry.folder)
		code = need_empty(store, entry.inode, err);
	if (code == STORE_OK)
		code = entry_delete(store, &entry, err);
	if (code == STORE_OK)
		code = folder_changed(store, parent, -1, time_us, err);
	return code;
}

enum store_code store_node_remove(struct store *store, int64_t parent, const char *name,
				  int64_t time_us, struct store_error *err)
{
	enum store_code code = store_fs_check_name(store, name, err);

	if (code == STORE_OK)
		code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = node_remove(store, parent, name, time_us, err);
	return store_finish(store, code, err);
}

/* ---- renaming ---- */

struct renaming {
	int64_t parent;
	const char *name;
	int64_t new_parent;
	const char *new_name;
	int64_t time_us;
};

/* Whether the folder may stand below new_parent. */
static enum store_code place_check(struct store *store, int64_t folder, int64_t new_parent,
				   struct store_error *err)
{
	enum store_code code;
	int64_t depth = 0;
	int64_t height = 0;
	bool below = false;

	code = walk_up(store, new_parent, folder, &depth, &below, err);
	if (code == STORE_OK && below)
		code = store_error_at(err, store, STORE_ERR_CYCLE, 0,
				      "the folder %" PRId64 " would stand in itself", folder);
	if (code == STORE_OK)
		code = walk_down(store, folder, &height, err);
	if (code == STORE_OK)
		code = depth_check(store, depth + 1 + height, err);
	return code;
}

/* Takes what stands under the new name out of the way. */
static enum store_code target_replace(struct store *store, const struct store_entry *source,
				      const struct store_entry *target, struct store_error *err)
{
	enum store_code code = STORE_OK;

	if (source->folder && !target->folder)
		return store_error_at(err, store, STORE_ERR_NOT_A_FOLDER, 0,
				      "the file %" PRId64 " is in the way of a folder",
				      target->inode);
	if (target->folder)
		code = need_empty(store, target->inode, err);
	if (code == STORE_OK && target->folder && !source->folder)
		code =
		    store_error_at(err, store, STORE_ERR_EXISTS, 0,
				   "the folder %" PRId64 " is in the way of a file", target->inode);
	if (code == STORE_OK)
		code = entry_delete(store, target, err);
	return code;
}

static enum store_code node_move(struct store *store, int64_t inode, const struct renaming *to,
				 struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(store, "UPDATE nodes SET parent = ?1, name = ?2 WHERE inode = ?3",
			       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = store_fs_bind_place(stmt, to->new_parent, to->new_name);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 3, inode);
	return store_fs_change_one(store, stmt, rc, "cannot move the node", err);
}

static enum store_code node_rename(struct store *store, const struct renaming *how,
				   struct store_error *err)
{
	struct store_entry source;
	struct store_entry target;
	enum store_code code;
	bool found = false;
	bool replacing = false;

	code = store_fs_need_folder(store, how->parent, err);
	if (code == STORE_OK)
		code = store_fs_look_up(store, how->parent, how->name, &source, &found, err);
	if (code == STORE_OK && !found)
		code = store_fs_name_not_found(store, how->parent, how->name, err);
	if (code == STORE_OK)
		code = store_fs_need_folder(store, how->new_parent, err);
	if (code != STORE_OK)
		return code;
	if (how->parent == how->new_parent && strcmp(how->name, how->new_name) == 0)
		return STORE_OK;
	if (source.folder)
		code = place_check(store, source.inode, how->new_parent, err);
	if (code == STORE_OK)
		code = store_fs_look_up(store, how->new_parent, how->new_name, &target, &replacing,
					err);
	if (code == STORE_OK && replacing)
		code = target_replace(store, &source, &target, err);
	if (code == STORE_OK)
		code = node_move(store, source.inode, how, err);
	if (code == STORE_OK)
		code = folder_changed(store, how->parent, -1, how->time_us, err);
	if (code == STORE_OK)
		code = folder_changed(store, how->new_parent, replacing ? 0 : 1, how->time_us, err);
	return code;
}

enum store_code store_node_rename(struct store *store, int64_t parent, const char *name,
				  int64_t new_parent, const char *new_name, int64_t time_us,
				  struct store_error *err)
{
	const struct renaming how = {parent, name, new_parent, new_name, time_us};
	enum store_code code = store_fs_check_name(store, name, err);

	if (code == STORE_OK)
		code = store_fs_check_name(store, new_name, err);
	if (code == STORE_OK)
		code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = node_rename(store, &how, err);
	return store_finish(store, code, err);
}
