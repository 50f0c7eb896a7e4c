/*
 * filesystem_read.c: nodes as they are: by inode, by name, and the nodes of a folder.
 *
 * The nodes of a folder come out of the index that keeps names unique, which is in their order; a
 * call reads on behind a name and holds nothing when it has returned.
 */
#include <inttypes.h>
#include <string.h>

#include "store/filesystem_internal.h"

/* Before version 2 folders do not count. */
#define NODE_COLUMNS_FIRST                                                                         \
	"SELECT inode, parent, type = 'folder', size_bytes, created_us, modified_us, name, 0"      \
	" FROM nodes "
#define NODE_COLUMNS                                                                               \
	"SELECT inode, parent, type = 'folder', size_bytes, created_us, modified_us, name,"        \
	" child_count FROM nodes "

/* The node of the row that the statement stands on. */
static enum store_code row_read(struct store *store, sqlite3_stmt *stmt,
				struct store_node *ret_node, struct store_error *err)
{
	const char *name = (const char *)sqlite3_column_text(stmt, 6);
	size_t name_bytes = (size_t)sqlite3_column_bytes(stmt, 6);

	if (!name && sqlite3_errcode(store->db) == SQLITE_NOMEM)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "no memory for a name");
	if (!name || name_bytes > STORE_NODE_NAME_BYTES_MAX || strlen(name) != name_bytes)
		return store_error_at(err, store, STORE_ERR_CORRUPT, 0,
				      "the node %" PRId64 " has a name that the store cannot have "
				      "written",
				      (int64_t)sqlite3_column_int64(stmt, 0));
	*ret_node = (struct store_node){
	    .inode = sqlite3_column_int64(stmt, 0),
	    .parent = sqlite3_column_int64(stmt, 1),
	    .type = sqlite3_column_int(stmt, 2) ? STORE_NODE_FOLDER : STORE_NODE_FILE,
	    .size_bytes = (uint64_t)sqlite3_column_int64(stmt, 3),
	    .created_us = sqlite3_column_int64(stmt, 4),
	    .modified_us = sqlite3_column_int64(stmt, 5),
	    .child_count = (uint64_t)sqlite3_column_int64(stmt, 7),
	};
	memcpy(ret_node->name, name, name_bytes);
	return STORE_OK;
}

enum store_code store_node_stat(struct store *store, int64_t inode, struct store_node *ret_node,
				struct store_error *err)
{
	static const char sql_first[] = NODE_COLUMNS_FIRST "WHERE inode = ?1";
	static const char sql[] = NODE_COLUMNS "WHERE inode = ?1";
	enum store_code code = store_fs_check(store, err);
	sqlite3_stmt *stmt;
	bool found = false;

	if (code == STORE_OK && !ret_node)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "ret_node is NULL");
	if (code == STORE_OK)
		code = store_statement(store, store->version >= 2 ? sql : sql_first, &stmt, err);
	if (code == STORE_OK)
		code = store_fs_query(store, stmt, sqlite3_bind_int64(stmt, 1, inode), &found, err);
	if (code != STORE_OK)
		return code;
	code = found ? row_read(store, stmt, ret_node, err) : store_fs_not_found(store, inode, err);
	store_fs_query_end(stmt);
	return code;
}

enum store_code store_node_find(struct store *store, int64_t parent, const char *name,
				struct store_node *ret_node, struct store_error *err)
{
	static const char sql_first[] = NODE_COLUMNS_FIRST "WHERE parent = ?1 AND name = ?2";
	static const char sql[] = NODE_COLUMNS "WHERE parent = ?1 AND name = ?2";
	enum store_code code = store_fs_check_name(store, name, err);
	sqlite3_stmt *stmt;
	bool found = false;

	if (code == STORE_OK && !ret_node)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "ret_node is NULL");
	if (code == STORE_OK)
		code = store_fs_need_folder(store, parent, err);
	if (code == STORE_OK)
		code = store_statement(store, store->version >= 2 ? sql : sql_first, &stmt, err);
	if (code == STORE_OK)
		code = store_fs_query(store, stmt, store_fs_bind_place(stmt, parent, name), &found,
				      err);
	if (code != STORE_OK)
		return code;
	code = found ? row_read(store, stmt, ret_node, err)
		     : store_fs_name_not_found(store, parent, name, err);
	store_fs_query_end(stmt);
	return code;
}

enum store_code store_folder_list(struct store *store, int64_t inode, const char *name_after,
				  struct store_node *ret_nodes, size_t node_count_max,
				  size_t *ret_count, struct store_error *err)
{
	static const char sql_first[] =
	    NODE_COLUMNS_FIRST "WHERE parent = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
	static const char sql[] =
	    NODE_COLUMNS "WHERE parent = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
	enum store_code code = store_fs_check(store, err);
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	bool row = false;
	int rc;

	if (code == STORE_OK && (!ret_count || (!ret_nodes && node_count_max > 0)))
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "an output is NULL");
	if (code == STORE_OK && name_after && name_after[0] != '\0')
		code = store_fs_check_name(store, name_after, err);
	if (code == STORE_OK)
		code = store_fs_need_folder(store, inode, err);
	if (code == STORE_OK)
		code = store_statement(store, store->version >= 2 ? sql : sql_first, &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = store_fs_bind_place(stmt, inode, name_after ? name_after : "");
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(
		    stmt, 3, node_count_max < INT32_MAX ? (int64_t)node_count_max : INT32_MAX);
	code = store_fs_query(store, stmt, rc, &row, err);
	while (code == STORE_OK && row && count < node_count_max) {
		code = row_read(store, stmt, &ret_nodes[count], err);
		if (code == STORE_OK) {
			count++;
			code = store_fs_query(store, stmt, SQLITE_OK, &row, err);
		}
	}
	store_fs_query_end(stmt);
	if (code == STORE_OK)
		*ret_count = count;
	return code;
}
