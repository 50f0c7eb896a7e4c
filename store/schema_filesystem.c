/*
 * schema_filesystem.c: the migrations of the file system, oldest first. A released one is never
 * changed: its digest stands in every database that it was applied to.
 *
 * Foreign keys repeat what the functions keep anyway: a mistake in one of them then fails inside
 * its transaction instead of leaving an orphan. Each has an index, because SQLite looks for
 * children whenever a parent goes. AUTOINCREMENT is what makes an inode never come back.
 */
#include "store/internal.h"

const struct store_migration store_migrations_filesystem[] = {
    {
	"nodes and blobs",
	"CREATE TABLE blobs (\n"
	"  blob INTEGER PRIMARY KEY,\n"
	"  refcount INTEGER NOT NULL CHECK (refcount >= 0),\n"
	"  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),\n"
	"  checksum INTEGER NOT NULL\n"
	");\n"
	"CREATE INDEX blobs_by_checksum ON blobs (checksum, size_bytes);\n"
	"CREATE TABLE contents (\n"
	"  blob INTEGER PRIMARY KEY REFERENCES blobs (blob),\n"
	"  content BLOB NOT NULL\n"
	");\n"
	"CREATE TABLE nodes (\n"
	"  inode INTEGER PRIMARY KEY AUTOINCREMENT,\n"
	"  parent INTEGER REFERENCES nodes (inode),\n"
	"  name TEXT NOT NULL,\n"
	"  type TEXT NOT NULL CHECK (type IN ('folder', 'file')),\n"
	"  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),\n"
	"  created_us INTEGER NOT NULL,\n"
	"  modified_us INTEGER NOT NULL,\n"
	"  blob INTEGER REFERENCES blobs (blob),\n"
	"  CHECK ((parent IS NULL) = (inode = 1)),\n"
	"  CHECK ((blob IS NULL) = (type = 'folder')),\n"
	"  UNIQUE (parent, name)\n"
	");\n"
	"CREATE INDEX nodes_by_blob ON nodes (blob);\n"
	"INSERT INTO nodes (inode, parent, name, type, size_bytes, created_us, modified_us, blob)\n"
	"  VALUES (1, NULL, '', 'folder', 0, 0, 0, NULL);\n",
    },
    {
	"folders count",
	"ALTER TABLE nodes ADD COLUMN child_count INTEGER NOT NULL DEFAULT 0;\n"
	"UPDATE nodes SET child_count =\n"
	"  (SELECT count(*) FROM nodes AS child WHERE child.parent = nodes.inode)\n"
	"  WHERE type = 'folder';\n",
    },
    {
	"questions about nodes",
	"CREATE INDEX nodes_by_type ON nodes (parent, type);\n"
	"CREATE INDEX nodes_by_modified ON nodes (modified_us);\n"
	/* Empty in a sound store: whoever looks for what was left behind reads no blob. */
	"CREATE INDEX blobs_unreferenced ON blobs (blob) WHERE refcount = 0;\n",
    },
};

const size_t store_migrations_filesystem_count =
    sizeof(store_migrations_filesystem) / sizeof(store_migrations_filesystem[0]);
