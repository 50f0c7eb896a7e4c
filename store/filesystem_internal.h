/*
 * filesystem_internal.h: what the files of the file system share.
 *
 *   filesystem.c       what changes nodes: folders, names, rename, remove
 *   filesystem_file.c  blobs, and the files that refer to them
 *   filesystem_read.c  nodes as they are
 *
 * All functions with an `err` run inside the transaction of a function of filesystem.h, or read one
 * statement, and report what they find wrong.
 */
#ifndef STORE_FILESYSTEM_INTERNAL_H
#define STORE_FILESYSTEM_INTERNAL_H

#include "store/internal.h"

/* A node as the functions that write need it. */
struct store_entry {
	int64_t inode;
	bool folder;
	int64_t blob;
};

/* Whether a call may go on: the store is there, runs, and is a file system. */
enum store_code store_fs_check(const struct store *store, struct store_error *err);

/* The same for a call that hands in a name. */
enum store_code store_fs_check_name(const struct store *store, const char *name,
				    struct store_error *err);

/* Both report STORE_ERR_NOT_FOUND. */
enum store_code store_fs_not_found(const struct store *store, int64_t inode,
				   struct store_error *err);
enum store_code store_fs_name_not_found(const struct store *store, int64_t parent, const char *name,
					struct store_error *err);

/* Steps a query, and leaves it where its row can be read; *ret_row says whether there is one. rc is
 * what binding returned. After an error the query has been ended. */
enum store_code store_fs_query(struct store *store, sqlite3_stmt *stmt, int rc, bool *ret_row,
			       struct store_error *err);

/* So that it holds no snapshot, and points to nothing of the caller's. */
void store_fs_query_end(sqlite3_stmt *stmt);

/* ?1 and ?2. */
int store_fs_bind_place(sqlite3_stmt *stmt, int64_t parent, const char *name);

/* STORE_ERR_NOT_FOUND, STORE_ERR_NOT_A_FOLDER. */
enum store_code store_fs_need_folder(struct store *store, int64_t inode, struct store_error *err);

/* What stands under that name, if anything. */
enum store_code store_fs_look_up(struct store *store, int64_t parent, const char *name,
				 struct store_entry *ret_entry, bool *ret_found,
				 struct store_error *err);

/* A new node, and its folder's count. blob is 0 for a folder. */
enum store_code store_fs_insert(struct store *store, int64_t parent, const char *name, int64_t blob,
				size_t size_bytes, int64_t time_us, int64_t *ret_inode,
				struct store_error *err);

/* One reference less; the blob goes with the last. */
enum store_code store_blob_release(struct store *store, int64_t blob, struct store_error *err);

/* Steps a statement that changes exactly one row, resets it and clears its bindings; rc is what
 * binding returned. what: for the message. */
enum store_code store_fs_change_one(struct store *store, sqlite3_stmt *stmt, int rc,
				    const char *what, struct store_error *err);

#endif
