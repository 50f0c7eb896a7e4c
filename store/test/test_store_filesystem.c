/*
 * test_store_filesystem.c: the file system (C6): each operation and its errors, the limits, the
 * migrations, and whether the invariants see what they are about.
 */
#include "store/test/filesystem_test.h"

/* [C6] A new store has a root and nothing else, and every list of invariants holds. */
static void test_root(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	struct store_node node;

	assert_int_equal(store_node_stat(store, ROOT, &node, NULL), STORE_OK);
	assert_int_equal(node.inode, ROOT);
	assert_int_equal(node.parent, 0);
	assert_int_equal(node.type, STORE_NODE_FOLDER);
	assert_int_equal(node.child_count, 0);
	assert_string_equal(node.name, "");
	assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM nodes"), 1);
	assert_sound(store);
	store_close(store);
}

/* [C6] What was made is found by inode and by name, with its content, size, times and counts. */
static void test_make_write_read(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	struct store_node node;
	int64_t folder_inode;
	int64_t file;
	int64_t again = 0;

	folder_inode = make(store, ROOT, "böx");
	file = write_text(store, folder_inode, "a file", "some text");
	assert_int_equal(store_node_stat(store, file, &node, NULL), STORE_OK);
	assert_int_equal(node.inode, file);
	assert_int_equal(node.parent, folder_inode);
	assert_int_equal(node.type, STORE_NODE_FILE);
	assert_int_equal(node.size_bytes, 9);
	assert_int_equal(node.child_count, 0);
	assert_int_equal(node.created_us, 20);
	assert_int_equal(node.modified_us, 20);
	assert_string_equal(node.name, "a file");
	assert_int_equal(store_node_find(store, ROOT, "böx", &node, NULL), STORE_OK);
	assert_int_equal(node.inode, folder_inode);
	assert_int_equal(node.child_count, 1);
	assert_int_equal(node.created_us, 10);
	assert_int_equal(node.modified_us, 20);
	assert_content(store, file, "some text");

	/* Written again: the inode and the time of birth stay. */
	assert_int_equal(
	    store_file_write(store, folder_inode, "a file", "more", 4, 30, &again, NULL), STORE_OK);
	assert_int_equal(again, file);
	assert_content(store, file, "more");
	assert_int_equal(store_node_stat(store, file, &node, NULL), STORE_OK);
	assert_int_equal(node.size_bytes, 4);
	assert_int_equal(node.created_us, 20);
	assert_int_equal(node.modified_us, 30);
	assert_int_equal(blob_count(store), 1);
	/* Empty ones, too. */
	assert_int_equal(store_file_write(store, ROOT, "empty", NULL, 0, 30, &again, NULL),
			 STORE_OK);
	assert_content(store, again, "");
	assert_int_equal(store_file_read(store, again, NULL, 0, &(size_t){1}, NULL), STORE_OK);
	assert_sound(store);
	store_close(store);
}

/* [C6] Equal contents share a blob, a copy always does; a write to one leaves the others alone, and
 * the blob goes with its last file. */
static void test_blobs_are_shared(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	struct sqlite3 *db = store_handle(store);
	int64_t a = write_text(store, ROOT, "a", "the same");
	int64_t b = write_text(store, ROOT, "b", "the same");
	int64_t c = 0;

	assert_int_equal(blob_count(store), 1);
	assert_int_equal(store_file_copy(store, a, ROOT, "c", 30, &c, NULL), STORE_OK);
	assert_int_equal(blob_count(store), 1);
	assert_int_equal(query_int(db, "SELECT refcount FROM blobs"), 3);
	/* Onto itself, and with what it has. */
	assert_int_equal(store_file_copy(store, a, ROOT, "a", 30, NULL, NULL), STORE_OK);
	write_text(store, ROOT, "b", "the same");
	assert_int_equal(query_int(db, "SELECT refcount FROM blobs"), 3);

	write_text(store, ROOT, "a", "another");
	assert_content(store, a, "another");
	assert_content(store, b, "the same");
	assert_content(store, c, "the same");
	assert_int_equal(blob_count(store), 2);
	assert_int_equal(store_file_copy(store, a, ROOT, "b", 30, NULL, NULL), STORE_OK);
	assert_content(store, b, "another");
	assert_int_equal(store_node_remove(store, ROOT, "c", 30, NULL), STORE_OK);
	assert_int_equal(blob_count(store), 1);
	assert_sound(store);
	assert_int_equal(store_node_remove(store, ROOT, "a", 30, NULL), STORE_OK);
	assert_int_equal(store_node_remove(store, ROOT, "b", 30, NULL), STORE_OK);
	assert_int_equal(blob_count(store), 0);
	assert_int_equal(query_int(db, "SELECT count(*) FROM contents"), 0);
	assert_sound(store);
	store_close(store);
}

/* [C6] A blob of the same checksum and size, but other bytes, is not taken for the same. */
static void test_checksum_is_no_proof(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	int64_t b;
	int64_t a = write_text(store, ROOT, "a", "aaaa");

	b = write_text(store, ROOT, "b", "bbbb");
	/* a's blob now says that it has the checksum of "bbbb", and b's is gone. */
	exec(store_handle(store), "UPDATE blobs SET checksum = (SELECT max(checksum) FROM blobs"
				  " JOIN nodes USING (blob) WHERE name = 'b')"
				  " WHERE blob = (SELECT blob FROM nodes WHERE name = 'a')");
	assert_int_equal(store_node_remove(store, ROOT, "b", 1, NULL), STORE_OK);
	b = write_text(store, ROOT, "b", "bbbb");
	assert_content(store, b, "bbbb");
	assert_int_equal(blob_count(store), 2);
	assert_int_equal(store_file_read(store, a, (char[8]){0}, 8, &(size_t){0}, NULL),
			 STORE_ERR_CORRUPT);
	store_close(store);
}

/* [C6] A content that is not the one that was written is reported and leaves the buffer's size
 * alone; a file written with what it once was does not share it. */
static void test_rotten_content(void **state)
{
	static const char *const damages[] = {
	    "UPDATE contents SET content = x'73616d65206c656e67746821'",
	    "UPDATE contents SET content = x'73'",
	    "UPDATE contents SET content = 'same length.'",
	    "UPDATE blobs SET checksum = checksum + 1",
	    "UPDATE nodes SET size_bytes = 13 WHERE type = 'file'",
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < COUNT_OF(damages); i++) {
		struct store_error err = {0};
		struct store *store;
		char buffer[64];
		size_t size = 77;
		int64_t file;

		folder_empty(folder);
		store = fs_open(folder->store);
		file = write_text(store, ROOT, "a", "same length.");
		exec(store_handle(store), damages[i]);
		assert_int_equal(store_file_read(store, file, buffer, sizeof(buffer), &size, &err),
				 STORE_ERR_CORRUPT);
		assert_int_equal(size, 77);
		assert_non_null(strstr(err.message, "checksum"));
		assert_content(store, write_text(store, ROOT, "b", "same length."), "same length.");
		store_close(store);
	}
}

/* [C6] A folder is listed in the order of its names' bytes, in pieces of any size, each once. */
static void test_list(void **state)
{
	enum { NODES = 50 };
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	int64_t box = make(store, ROOT, "box");
	struct store_node nodes[NODES + 1];
	size_t count = 0;

	for (int i = 0; i < NODES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%c%d", i % 2 ? 'x' : 'X', (i * 7) % NODES);
		if (i % 3 == 0)
			make(store, box, name);
		else
			write_text(store, box, name, name);
	}
	for (size_t step = 1; step <= NODES + 1; step += 7) {
		char last[STORE_NODE_NAME_BYTES_MAX + 1] = "";
		size_t seen = 0;

		do {
			assert_int_equal(
			    store_folder_list(store, box, last, nodes, step, &count, NULL),
			    STORE_OK);
			for (size_t i = 0; i < count; i++) {
				assert_true(strcmp(nodes[i].name, last) > 0);
				assert_int_equal(nodes[i].parent, box);
				snprintf(last, sizeof(last), "%s", nodes[i].name);
			}
			seen += count;
		} while (count == step);
		assert_int_equal(seen, NODES);
	}
	assert_int_equal(store_folder_list(store, box, "x", nodes, 1, &count, NULL), STORE_OK);
	assert_string_equal(nodes[0].name, "x1");
	assert_int_equal(store_folder_list(store, box, NULL, NULL, 0, &count, NULL), STORE_OK);
	assert_int_equal(count, 0);
	assert_int_equal(store_folder_list(store, nodes[0].inode, NULL, nodes, 1, &count, NULL),
			 STORE_ERR_NOT_A_FOLDER);
	assert_int_equal(store_folder_list(store, 12345, NULL, nodes, 1, &count, NULL),
			 STORE_ERR_NOT_FOUND);
	store_close(store);
}

/* [C6] Renaming replaces what may be replaced, refuses the rest by its name, and then changes
 * nothing. */
static void test_rename(void **state)
{
	/* The tree: /a /a/b /a/b/c (folders) /a/f /g (files) /e (an empty folder). */
	static const struct {
		const char *parent, *name, *new_parent, *new_name;
		enum store_code code;
		const char *nodes;
	} moves[] = {
	    {"", "g", "", "h", STORE_OK, "a b c e f h"},
	    {"", "g", "a", "g", STORE_OK, "a b c e f g"},
	    {"", "g", "", "g", STORE_OK, "a b c e f g"},
	    {"", "g", "a", "f", STORE_OK, "a b c e f"},
	    {"a", "b", "", "b", STORE_OK, "a b c e f g"},
	    {"a", "b", "", "e", STORE_OK, "a c e f g"},
	    {"", "a", "e", "a", STORE_OK, "a b c e f g"},
	    {"", "g", "", "e", STORE_ERR_EXISTS, NULL},
	    {"", "g", "", "a", STORE_ERR_NOT_EMPTY, NULL},
	    {"", "e", "", "a", STORE_ERR_NOT_EMPTY, NULL},
	    {"b", "c", "a", "b", STORE_ERR_NOT_EMPTY, NULL},
	    {"", "e", "", "g", STORE_ERR_NOT_A_FOLDER, NULL},
	    {"", "e", "f", "x", STORE_ERR_NOT_A_FOLDER, NULL},
	    {"f", "e", "", "x", STORE_ERR_NOT_A_FOLDER, NULL},
	    {"", "a", "a", "x", STORE_ERR_CYCLE, NULL},
	    {"", "a", "c", "x", STORE_ERR_CYCLE, NULL},
	    {"", "a", "b", "c", STORE_ERR_CYCLE, NULL},
	    {"", "x", "", "y", STORE_ERR_NOT_FOUND, NULL},
	    {"", "g", "missing", "y", STORE_ERR_NOT_FOUND, NULL},
	    {"missing", "g", "", "y", STORE_ERR_NOT_FOUND, NULL},
	    {"", "g", "", "..", STORE_ERR_INVALID, NULL},
	    {"", ".", "", "x", STORE_ERR_INVALID, NULL},
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < COUNT_OF(moves); i++) {
		struct store_error err = {0};
		struct store *store;
		struct sqlite3 *db;
		int64_t inodes[2];
		enum store_code code;
		int64_t a;
		int64_t b;

		folder_empty(folder);
		store = fs_open(folder->store);
		db = store_handle(store);
		a = make(store, ROOT, "a");
		b = make(store, a, "b");
		make(store, b, "c");
		make(store, ROOT, "e");
		write_text(store, a, "f", "content of f");
		write_text(store, ROOT, "g", "content of g");
		for (size_t j = 0; j < 2; j++) {
			char sql[128];

			snprintf(sql, sizeof(sql),
				 "SELECT coalesce(max(inode), 999) FROM nodes WHERE name = '%s'",
				 j ? moves[i].new_parent : moves[i].parent);
			inodes[j] = query_int(db, sql);
		}
		code = store_node_rename(store, inodes[0], moves[i].name, inodes[1],
					 moves[i].new_name, 99, &err);
		if (code != moves[i].code)
			fail_msg("move %zu: %s", i, err.message);
		assert_query_text(db,
				  "SELECT group_concat(name, ' ') FROM"
				  " (SELECT name FROM nodes WHERE inode > 1 ORDER BY name)",
				  moves[i].nodes ? moves[i].nodes : "a b c e f g");
		if (code != STORE_OK)
			assert_int_equal(
			    query_int(db, "SELECT count(*) FROM nodes WHERE modified_us = 99"), 0);
		assert_sound(store);
		store_close(store);
	}
}

/* [C6] A file and an empty folder can be removed; the inode never comes back. */
static void test_remove(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	int64_t box = make(store, ROOT, "box");
	int64_t file = write_text(store, box, "file", "x");
	struct store_node node;

	assert_int_equal(store_node_remove(store, ROOT, "box", 50, NULL), STORE_ERR_NOT_EMPTY);
	assert_int_equal(store_node_remove(store, box, "other", 50, NULL), STORE_ERR_NOT_FOUND);
	assert_int_equal(store_node_remove(store, file, "x", 50, NULL), STORE_ERR_NOT_A_FOLDER);
	assert_int_equal(store_node_remove(store, box, "file", 50, NULL), STORE_OK);
	assert_int_equal(store_node_stat(store, box, &node, NULL), STORE_OK);
	assert_int_equal(node.child_count, 0);
	assert_int_equal(node.modified_us, 50);
	assert_int_equal(store_node_stat(store, file, &node, NULL), STORE_ERR_NOT_FOUND);
	assert_true(write_text(store, box, "file", "x") > file);
	assert_int_equal(store_node_remove(store, box, "file", 50, NULL), STORE_OK);
	assert_int_equal(store_node_remove(store, ROOT, "box", 50, NULL), STORE_OK);
	assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM nodes"), 1);
	assert_sound(store);
	store_close(store);
}

/* [C6] A name is what the header says, to the byte, for every function that takes one. */
static void test_names(void **state)
{
	static const char *const bad[] = {NULL, "", ".", "..", "a/b", "/", "\xff", "\xc3"};
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	char name[STORE_NODE_NAME_BYTES_MAX + 2];
	struct store_node node;
	struct store_error err = {0};

	write_text(store, ROOT, "f", "x");
	memset(name, 'n', sizeof(name));
	name[STORE_NODE_NAME_BYTES_MAX] = '\0';
	make(store, ROOT, name);
	assert_int_equal(store_node_find(store, ROOT, name, &node, NULL), STORE_OK);
	assert_string_equal(node.name, name);
	name[STORE_NODE_NAME_BYTES_MAX] = 'n';
	name[STORE_NODE_NAME_BYTES_MAX + 1] = '\0';
	for (size_t i = 0; i <= COUNT_OF(bad); i++) {
		const char *wrong = i < COUNT_OF(bad) ? bad[i] : name;

		assert_int_equal(store_folder_make(store, ROOT, wrong, 1, NULL, &err),
				 STORE_ERR_INVALID);
		assert_non_null(strstr(err.message, "name"));
		assert_int_equal(store_file_write(store, ROOT, wrong, "", 0, 1, NULL, NULL),
				 STORE_ERR_INVALID);
		assert_int_equal(store_file_copy(store, 2, ROOT, wrong, 1, NULL, NULL),
				 STORE_ERR_INVALID);
		assert_int_equal(store_node_rename(store, ROOT, wrong, ROOT, "g", 1, NULL),
				 STORE_ERR_INVALID);
		assert_int_equal(store_node_rename(store, ROOT, "f", ROOT, wrong, 1, NULL),
				 STORE_ERR_INVALID);
		assert_int_equal(store_node_remove(store, ROOT, wrong, 1, NULL), STORE_ERR_INVALID);
		assert_int_equal(store_node_find(store, ROOT, wrong, &node, NULL),
				 STORE_ERR_INVALID);
	}
	assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM nodes"), 3);
	store_close(store);
}

/* [C6] A content may have STORE_FILE_BYTES_MAX bytes and not one more. */
static void test_largest_file(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	char *content = malloc(STORE_FILE_BYTES_MAX + 1);
	char *read = malloc(STORE_FILE_BYTES_MAX);
	struct store_error err = {0};
	size_t size = 0;
	int64_t file = 0;

	if (!content || !read)
		abort();
	memset(content, 'z', STORE_FILE_BYTES_MAX + 1);
	assert_int_equal(
	    store_file_write(store, ROOT, "f", content, STORE_FILE_BYTES_MAX + 1, 1, &file, &err),
	    STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "67108865"));
	assert_int_equal(store_file_write(store, ROOT, "f", NULL, 1, 1, &file, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(file, 0);
	assert_int_equal(
	    store_file_write(store, ROOT, "f", content, STORE_FILE_BYTES_MAX, 1, &file, NULL),
	    STORE_OK);
	assert_int_equal(store_file_read(store, file, read, STORE_FILE_BYTES_MAX - 1, &size, &err),
			 STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "67108864"));
	assert_int_equal(size, 0);
	assert_int_equal(store_file_read(store, file, read, STORE_FILE_BYTES_MAX, &size, NULL),
			 STORE_OK);
	assert_int_equal(size, STORE_FILE_BYTES_MAX);
	assert_memory_equal(read, content, size);
	free(content);
	free(read);
	store_close(store);
}

/* [C6] A folder may stand at depth STORE_FOLDER_DEPTH_MAX and not below, however it gets there. */
static void test_depth(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	struct store_error err = {0};
	int64_t deepest = ROOT;
	int64_t above = ROOT;
	int64_t box;

	for (int depth = 1; depth <= STORE_FOLDER_DEPTH_MAX; depth++) {
		above = deepest;
		deepest = make(store, deepest, "d");
	}
	assert_int_equal(store_folder_make(store, deepest, "d", 1, NULL, &err), STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "257"));
	write_text(store, deepest, "file", "a file is no folder");
	/* A folder fits beside the deepest, one with a folder in it does not. */
	box = make(store, ROOT, "box");
	assert_int_equal(store_node_rename(store, ROOT, "box", above, "box", 1, NULL), STORE_OK);
	assert_int_equal(store_node_rename(store, above, "box", ROOT, "box", 1, NULL), STORE_OK);
	write_text(store, box, "file", "nor is this");
	assert_int_equal(store_node_rename(store, ROOT, "box", above, "box", 1, NULL), STORE_OK);
	assert_int_equal(store_node_rename(store, above, "box", ROOT, "box", 1, NULL), STORE_OK);
	make(store, box, "in it");
	assert_int_equal(store_node_rename(store, ROOT, "box", above, "box", 1, NULL),
			 STORE_ERR_INVALID);
	assert_sound(store);
	/* A cycle that somebody made is noticed and not followed for ever. */
	exec(store_handle(store), "UPDATE nodes SET parent = (SELECT inode FROM nodes"
				  " WHERE name = 'in it') WHERE name = 'box'");
	assert_int_equal(store_folder_make(store, box, "x", 1, NULL, &err), STORE_ERR_CORRUPT);
	assert_int_equal(store_node_rename(store, box, "in it", ROOT, "x", 1, &err),
			 STORE_ERR_INVALID);
	store_close(store);
}

static const char *const damages[] = {
    "UPDATE nodes SET type = 'file' WHERE inode = 1",
    "UPDATE nodes SET parent = 3 WHERE name = 'b'",
    "UPDATE nodes SET parent = 999 WHERE name = 'b'",
    "UPDATE nodes SET parent = 4 WHERE name = 'a'",
    "UPDATE nodes SET name = 'f', parent = 1 WHERE name = 'g'",
    "UPDATE nodes SET blob = NULL WHERE name = 'f'",
    "DELETE FROM blobs WHERE blob = 1",
    "UPDATE nodes SET blob = 1 WHERE name = 'a'",
    "UPDATE blobs SET refcount = 2 WHERE blob = 1",
    "INSERT INTO blobs VALUES (9, 0, 0, 0)",
    "UPDATE nodes SET size_bytes = 2 WHERE name = 'f'",
    "UPDATE nodes SET size_bytes = 2 WHERE name = 'a'",
    "UPDATE contents SET content = x'00' WHERE blob = 1",
    "DELETE FROM contents WHERE blob = 1",
    "INSERT INTO contents VALUES (9, x'00')",
    "UPDATE nodes SET child_count = child_count + 1 WHERE name = 'a'",
};

/* [C6] Each invariant of the header is broken by what it is about, and each damage breaks one. */
static void test_invariants_see(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	struct sqlite3 *db = store_handle(store);
	bool seen[COUNT_OF(invariants) + COUNT_OF(invariants_2)] = {false};
	int64_t a = make(store, ROOT, "a");

	write_text(store, ROOT, "f", "of f");
	make(store, a, "b");
	write_text(store, a, "g", "of g, longer");
	assert_sound(store);
	/* The tables without their constraints, which would not let the damage in. */
	exec(db, "PRAGMA foreign_keys = OFF");
	exec(db, "CREATE TABLE n AS SELECT * FROM nodes; DROP TABLE nodes;"
		 "ALTER TABLE n RENAME TO nodes;"
		 "CREATE TABLE b AS SELECT * FROM blobs; DROP TABLE blobs;"
		 "ALTER TABLE b RENAME TO blobs");
	assert_null(invariant_broken(store));
	for (size_t i = 0; i < COUNT_OF(damages); i++) {
		bool any = false;

		exec(db, "BEGIN");
		exec(db, damages[i]);
		for (size_t j = 0; j < COUNT_OF(seen); j++) {
			const struct invariant *invariant =
			    j < COUNT_OF(invariants) ? &invariants[j]
						     : &invariants_2[j - COUNT_OF(invariants)];

			if (query_has_row(db, invariant->sql)) {
				seen[j] = true;
				any = true;
			}
		}
		if (!any)
			fail_msg("nobody sees: %s", damages[i]);
		exec(db, "ROLLBACK");
	}
	for (size_t j = 0; j < COUNT_OF(seen); j++)
		assert_true(seen[j]);
	store_close(store);
}

/* [C6] [A2] The program of each version works on its store, and the next migration fills in what
 * that version did not have. */
static void test_versions(void **state)
{
	const struct folder *folder = folder_of(state);
	size_t last = 0;

	store_migrations(STORE_SCHEMA_FILESYSTEM, &last);
	assert_int_equal(last, 3);
	for (size_t version = 1; version <= last; version++) {
		struct store_node nodes[4];
		struct store *store;
		size_t count = 0;
		int64_t a;

		folder_empty(folder);
		store = fs_open_version(folder->store, version);
		a = make(store, ROOT, "a");
		write_text(store, a, "f", "x");
		write_text(store, a, "g", "y");
		make(store, a, "h");
		assert_int_equal(store_node_rename(store, a, "g", ROOT, "g", 7, NULL), STORE_OK);
		assert_int_equal(store_node_remove(store, a, "h", 8, NULL), STORE_OK);
		assert_int_equal(store_folder_list(store, ROOT, NULL, nodes, 4, &count, NULL),
				 STORE_OK);
		assert_int_equal(count, 2);
		assert_int_equal(nodes[0].child_count, version >= 2 ? 1 : 0);
		assert_int_equal(nodes[0].modified_us, 8);
		assert_sound(store);
		store_close(store);

		store = fs_open(folder->store);
		assert_sound(store);
		assert_int_equal(store_node_stat(store, ROOT, &nodes[0], NULL), STORE_OK);
		assert_int_equal(nodes[0].child_count, 2);
		assert_int_equal(store_node_find(store, ROOT, "a", &nodes[0], NULL), STORE_OK);
		assert_int_equal(nodes[0].child_count, 1);
		store_close(store);
	}
}

static enum store_code work_two(struct store *store, void *context, struct store_error *err)
{
	const bool *give_up = context;

	make(store, ROOT, "one");
	/* One that fails leaves nothing of its own, and the rest goes on. */
	assert_int_equal(store_node_rename(store, ROOT, "missing", ROOT, "x", 1, err),
			 STORE_ERR_NOT_FOUND);
	write_text(store, ROOT, "two", "x");
	return *give_up ? STORE_ERR_CANCELLED : STORE_OK;
}

/* [C6] Operations inside store_transaction() are one: all of them or none. */
static void test_inside_a_transaction(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	bool give_up = true;

	assert_int_equal(store_transaction(store, work_two, &give_up, NULL), STORE_ERR_CANCELLED);
	assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM nodes"), 1);
	assert_int_equal(blob_count(store), 0);
	give_up = false;
	assert_int_equal(store_transaction(store, work_two, &give_up, NULL), STORE_OK);
	assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM nodes"), 3);
	assert_sound(store);
	store_close(store);
}

/* [C6] Arguments that can be none are errors; a store of another schema is not touched. */
static void test_arguments(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	struct store_error err = {0};
	struct store_node node;
	size_t size;
	int64_t file = write_text(store, ROOT, "f", "x");

	assert_int_equal(store_folder_make(NULL, ROOT, "a", 1, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_node_stat(store, ROOT, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_node_find(store, ROOT, "f", NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_folder_list(store, ROOT, NULL, &node, 1, NULL, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(store_folder_list(store, ROOT, NULL, NULL, 1, &size, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(store_file_read(store, file, NULL, 1, &size, &err), STORE_ERR_INVALID);
	assert_int_equal(store_file_read(store, file, &node, 1, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_file_read(store, ROOT, &node, 1, &size, &err), STORE_ERR_INVALID);
	assert_int_equal(store_file_read(store, 99, &node, 1, &size, &err), STORE_ERR_NOT_FOUND);
	assert_int_equal(store_file_copy(store, ROOT, ROOT, "g", 1, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_file_copy(store, 99, ROOT, "g", 1, NULL, &err), STORE_ERR_NOT_FOUND);
	assert_int_equal(store_folder_make(store, ROOT, "f", 1, NULL, &err), STORE_ERR_EXISTS);
	make(store, ROOT, "d");
	assert_int_equal(store_file_write(store, ROOT, "d", "", 0, 1, NULL, &err),
			 STORE_ERR_EXISTS);
	assert_int_equal(store_file_copy(store, file, ROOT, "d", 1, NULL, &err), STORE_ERR_EXISTS);
	assert_sound(store);
	store_close(store);

	folder_empty(folder);
	store = open_with(folder->store, NULL);
	assert_int_equal(store_folder_make(store, ROOT, "a", 1, NULL, &err), STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "events"));
	assert_int_equal(store_node_stat(store, ROOT, &node, &err), STORE_ERR_INVALID);
	store_close(store);
}

/* Whether a step of a plan reads something from end to end; the walks scan what they have collected
 * themselves. Before SQLite 3.36.0 TABLE or SUBQUERY stands behind SCAN. */
static bool is_full_scan(const char *step)
{
	const char *what = strstr(step, "SCAN ");

	if (!what)
		return false;
	what += strlen("SCAN ");
	if (strncmp(what, "TABLE ", strlen("TABLE ")) == 0)
		what += strlen("TABLE ");
	return strncmp(what, "up", 2) != 0 && strncmp(what, "down", 4) != 0 &&
	       strncmp(what, "SUBQUERY ", strlen("SUBQUERY ")) != 0 &&
	       !strstr(what, "CONSTANT ROW");
}

/* [C6] No operation reads a table from end to end: all that it asks, an index answers. */
static void test_operations_follow_indexes(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	struct sqlite3 *db = store_handle(store);
	sqlite3_stmt *stmt = NULL;
	struct store_node node;
	size_t size;
	size_t steps = 0;
	int64_t a = make(store, ROOT, "a");
	int64_t f = write_text(store, a, "f", "x");

	assert_int_equal(store_file_copy(store, f, ROOT, "g", 1, NULL, NULL), STORE_OK);
	write_text(store, a, "f", "y");
	assert_int_equal(store_node_rename(store, ROOT, "a", ROOT, "b", 1, NULL), STORE_OK);
	assert_int_equal(store_node_rename(store, a, "f", ROOT, "g", 1, NULL), STORE_OK);
	assert_int_equal(store_node_remove(store, ROOT, "b", 1, NULL), STORE_OK);
	assert_int_equal(store_node_find(store, ROOT, "g", &node, NULL), STORE_OK);
	assert_int_equal(store_node_stat(store, ROOT, &node, NULL), STORE_OK);
	assert_int_equal(store_file_read(store, f, &node, sizeof(node), &size, NULL), STORE_OK);
	assert_int_equal(store_folder_list(store, ROOT, NULL, &node, 1, &size, NULL), STORE_OK);
	while ((stmt = sqlite3_next_stmt(db, stmt)) != NULL) {
		char sql[1024];
		sqlite3_stmt *plan = NULL;

		if (strstr(sqlite3_sql(stmt), "schema_version"))
			continue;
		snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", sqlite3_sql(stmt));
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &plan, NULL), SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW) {
			const char *step = (const char *)sqlite3_column_text(plan, 3);

			steps++;
			if (is_full_scan(step) || strstr(step, "TEMP B-TREE"))
				fail_msg("%s: %s", sqlite3_sql(stmt), step);
		}
		sqlite3_finalize(plan);
	}
	assert_true(steps > 15);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_root),
	    TEST(test_make_write_read),
	    TEST(test_blobs_are_shared),
	    TEST(test_checksum_is_no_proof),
	    TEST(test_rotten_content),
	    TEST(test_list),
	    TEST(test_rename),
	    TEST(test_remove),
	    TEST(test_names),
	    TEST(test_largest_file),
	    TEST(test_depth),
	    TEST(test_invariants_see),
	    TEST(test_versions),
	    TEST(test_inside_a_transaction),
	    TEST(test_arguments),
	    TEST(test_operations_follow_indexes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
