/*
 * filesystem.h: folders and files in a store of STORE_SCHEMA_FILESYSTEM. Included by store.h.
 *
 * A node is a folder or a file. It is known by its inode, a number that is never given twice, and
 * stands in one folder under one name. The functions take a folder's inode and a name instead of a
 * path: nothing has to be parsed, no path is too long, and a folder that is renamed meanwhile is
 * still the same folder. The root is STORE_NODE_ROOT; the first migration makes it, with times 0.
 *
 * The content of a file is a blob. Files of equal content may share one, and a copy always does: it
 * costs a row, whatever the size. A blob counts the files that refer to it, and goes with the last
 * of them. Writing a file gives it another blob, so that its copies keep what they were.
 *
 * Every function that writes is one transaction, or a part of the caller's (store_transaction(), a
 * service's command), so that after a kill or power loss each is there whole or not at all, and the
 * invariants below hold (P5). Counts are kept by the functions and not by triggers: whoever reads
 * the code of one operation sees all that it writes, and SQL that forgets them shows in an
 * invariant instead of being repaired behind its back.
 *
 * Threads, transactions, P1 to P6: as store.h says.
 *
 *
 * The tables, for programs that look from outside (version 3)
 *
 *   nodes     inode        INTEGER PRIMARY KEY: 1 is the root
 *             parent       INTEGER, the inode of the folder that it stands in; NULL for the root
 *             name         TEXT, unique in the folder; empty for the root
 *             type         TEXT, 'folder' or 'file'
 *             size_bytes   INTEGER, of the content; 0 for a folder
 *             created_us   INTEGER, as given by the caller
 *             modified_us  INTEGER, when the content, or the names in the folder, were changed
 *             blob         INTEGER, the file's content; NULL for a folder
 *             child_count  INTEGER, nodes in the folder; 0 for a file (from version 2)
 *   blobs     blob         INTEGER PRIMARY KEY
 *             refcount     INTEGER > 0, nodes with this blob
 *             size_bytes   INTEGER
 *             checksum     INTEGER, FNV-1a, 64 bits, of the content, as a signed number
 *   contents  blob         INTEGER PRIMARY KEY
 *             content      BLOB: in a table of its own, because SQLite writes a row as a whole, and
 *                          counting should not write 64 MiB
 */
#ifndef STORE_FILESYSTEM_H
#define STORE_FILESYSTEM_H

#include "api.h"

#ifndef STORE_STORE_H
#error "include store.h, which includes this file"
#endif

#include <stddef.h>
#include <stdint.h>

STORE_API_BEGIN

#define STORE_NODE_ROOT		  1
#define STORE_NODE_NAME_BYTES_MAX 255
#define STORE_FILE_BYTES_MAX	  (64 * 1024 * 1024)
/* The root is at depth 0, and a folder at most here. */
#define STORE_FOLDER_DEPTH_MAX 256

/*
 * What always holds, after any crash too: X(text, sql), where the query returns no row. The first
 * list holds from version 1 on, the second from version 2 on.
 */
#define STORE_FILESYSTEM_INVARIANTS(X)                                                             \
	X("there is a root", "SELECT 1 WHERE NOT EXISTS"                                           \
			     " (SELECT 1 FROM nodes WHERE inode = 1 AND parent IS NULL"            \
			     " AND type = 'folder')")                                              \
	X("no orphan: every node but the root stands in a folder",                                 \
	  "SELECT inode FROM nodes WHERE inode <> 1 AND (parent IS NULL OR parent NOT IN"          \
	  " (SELECT inode FROM nodes WHERE type = 'folder'))")                                     \
	X("no cycle: every node can be reached from the root",                                     \
	  "WITH RECURSIVE reached (inode) AS (SELECT 1 UNION"                                      \
	  " SELECT nodes.inode FROM nodes JOIN reached ON nodes.parent = reached.inode)"           \
	  " SELECT inode FROM nodes WHERE inode NOT IN (SELECT inode FROM reached)")               \
	X("names are unique in a folder", "SELECT parent, name FROM nodes GROUP BY parent, name"   \
					  " HAVING count(*) > 1")                                  \
	X("a file has a blob, a folder has none",                                                  \
	  "SELECT inode FROM nodes LEFT JOIN blobs ON blobs.blob = nodes.blob"                     \
	  " WHERE (type = 'file') <> (blobs.blob IS NOT NULL)"                                     \
	  " OR (nodes.blob IS NOT NULL) <> (blobs.blob IS NOT NULL)")                              \
	X("reference counts are the number of references, and no blob is without one",             \
	  "SELECT blob FROM blobs WHERE refcount < 1 OR refcount <>"                               \
	  " (SELECT count(*) FROM nodes WHERE nodes.blob = blobs.blob)")                           \
	X("a file has the size of its blob",                                                       \
	  "SELECT inode FROM nodes LEFT JOIN blobs ON blobs.blob = nodes.blob"                     \
	  " WHERE nodes.size_bytes <> coalesce(blobs.size_bytes, 0)")                              \
	X("a blob has a content, of its size",                                                     \
	  "SELECT blobs.blob FROM blobs LEFT JOIN contents ON contents.blob = blobs.blob"          \
	  " WHERE length(content) IS NOT size_bytes")                                              \
	X("a content has a blob",                                                                  \
	  "SELECT blob FROM contents WHERE blob NOT IN (SELECT blob FROM blobs)")

#define STORE_FILESYSTEM_INVARIANTS_2(X)                                                           \
	X("folders know how many nodes they hold",                                                 \
	  "SELECT inode FROM nodes WHERE child_count <>"                                           \
	  " (SELECT count(*) FROM nodes AS child WHERE child.parent = nodes.inode)")

enum store_node_type {
	STORE_NODE_FOLDER,
	STORE_NODE_FILE,
};

struct store_node {
	int64_t inode;
	int64_t parent; /* 0 for the root */
	enum store_node_type type;
	uint64_t size_bytes;  /* 0 for a folder */
	uint64_t child_count; /* 0 for a file, and in a store before version 2 */
	int64_t created_us;
	int64_t modified_us;
	char name[STORE_NODE_NAME_BYTES_MAX + 1];
};

/*
 * All functions: names are NUL-terminated, valid UTF-8, 1 to STORE_NODE_NAME_BYTES_MAX bytes,
 * without '/', and not "." or ".."; they are compared byte by byte. Outputs marked "may be NULL"
 * are not wanted then. Times are the caller's, in microseconds since 1970-01-01 UTC, and any number
 * is taken.
 *
 * Errors of all: STORE_ERR_INVALID (an argument; a store of another schema), _STOPPED, _BUSY, _IO,
 * _CORRUPT (also: what is stored contradicts itself), _NO_MEMORY, _SQLITE; _NOT_FOUND when the
 * folder or the node is not there, _NOT_A_FOLDER when the folder is a file. Of those that write:
 * also _FULL, _READ_ONLY, _SCHEMA_NEWER.
 */

/*
 * Makes an empty folder. *ret_inode may be NULL. STORE_ERR_EXISTS when the name is taken;
 * STORE_ERR_INVALID at a depth over STORE_FOLDER_DEPTH_MAX.
 */
enum store_code store_folder_make(struct store *store, int64_t parent, const char *name,
				  int64_t time_us, int64_t *ret_inode, struct store_error *err);

/*
 * Makes a file with that content, or gives a file that is there that content; its inode stays.
 * content may be NULL if content_bytes is 0, is at most STORE_FILE_BYTES_MAX bytes, and is borrowed
 * until the call returns. *ret_inode may be NULL. STORE_ERR_EXISTS when a folder has the name.
 */
enum store_code store_file_write(struct store *store, int64_t parent, const char *name,
				 const void *content, size_t content_bytes, int64_t time_us,
				 int64_t *ret_inode, struct store_error *err);

/*
 * Gives the file `name` the content of the file `inode`, by sharing its blob; otherwise like
 * store_file_write(). STORE_ERR_INVALID when `inode` is a folder.
 */
enum store_code store_file_copy(struct store *store, int64_t inode, int64_t parent,
				const char *name, int64_t time_us, int64_t *ret_inode,
				struct store_error *err);

/*
 * Fills buffer with the whole content of a file, once it has been compared with its checksum
 * (STORE_ERR_CORRUPT: it does not match), and says how many bytes that are. How large the buffer
 * has to be is store_node.size_bytes; STORE_ERR_INVALID when it is too small, with the size in the
 * message, or when `inode` is a folder. Between asking for the size and reading, another handle can
 * have written: then ask again. While it runs SQLite holds the content in memory once more.
 */
enum store_code store_file_read(struct store *store, int64_t inode, void *buffer,
				size_t buffer_bytes, size_t *ret_bytes, struct store_error *err);

/* The node of that inode; the node of that name in a folder. */
enum store_code store_node_stat(struct store *store, int64_t inode, struct store_node *ret_node,
				struct store_error *err);
enum store_code store_node_find(struct store *store, int64_t parent, const char *name,
				struct store_node *ret_node, struct store_error *err);

/*
 * Up to node_count_max nodes of a folder, in the order of their names' bytes, those behind
 * name_after; NULL is the beginning. *ret_count < node_count_max: that was the end. Otherwise go on
 * with the last name. Each call is a snapshot of its own: nothing is held between two, so a name
 * that somebody adds or takes away meanwhile is seen or not, and no other is missed or repeated. An
 * array, and no visitor: nothing of the caller's runs while SQLite reads.
 */
enum store_code store_folder_list(struct store *store, int64_t inode, const char *name_after,
				  struct store_node *ret_nodes, size_t node_count_max,
				  size_t *ret_count, struct store_error *err);

/*
 * Moves a node to another folder, another name, or both; its inode stays. At every moment, also
 * after a crash, it is under one of the two names. What stands under the new name is replaced if it
 * is a file and the node is one, or an empty folder and the node is one; renaming to the same name
 * does nothing. Errors: STORE_ERR_CYCLE (a folder into itself or below), STORE_ERR_NOT_EMPTY (a
 * folder with something in it is in the way), STORE_ERR_EXISTS (a file onto an empty folder),
 * STORE_ERR_NOT_A_FOLDER (a folder onto a file), STORE_ERR_INVALID (something in it would be deeper
 * than STORE_FOLDER_DEPTH_MAX). To know that it looks at all folders below the node.
 */
enum store_code store_node_rename(struct store *store, int64_t parent, const char *name,
				  int64_t new_parent, const char *new_name, int64_t time_us,
				  struct store_error *err);

/* Removes a file, or an empty folder (STORE_ERR_NOT_EMPTY). */
enum store_code store_node_remove(struct store *store, int64_t parent, const char *name,
				  int64_t time_us, struct store_error *err);

STORE_API_END

#endif
