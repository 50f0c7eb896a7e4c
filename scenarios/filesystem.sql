-- @scenario a file system in SQLite keeps its files, its counts and its backups; a migration runs half way
-- Writes, copies, renames and removals through the store's queue, three in flight, an online backup
-- and a cold one on the way: store/filesystem.h, store/upkeep.h. A backup lies outside SQLite: it is
-- written, synced, renamed, its folder is synced, and only then does it get a row.
-- synchronous is not set: what is proved is the store's default profile, archival.
-- @models strict-posix process-crash
-- @pragma journal_mode=wal
-- @require durable
-- @redundant "dirsync db #2,9,16" "sync main.db-journal #1" "sync main.db-wal #1-3,5,7,9,11,13,16,19-20,22-23,25-26,28,32-33,35" if model=strict-posix
-- @redundant "defect file-never-synced" "defect folder-never-synced" if model=process-crash
-- @workload store.filesystem operations=18 in_flight=3 backup=6 payload=120
-- @schema-version 1,2,3
-- @invariant "a backup that has a row is there, whole"
SELECT nodes.name FROM nodes JOIN nodes AS folder ON nodes.parent = folder.inode
  JOIN contents ON contents.blob = nodes.blob
 WHERE folder.name = 'backups' AND CAST(content AS TEXT)
       IS NOT plugpull_file_bytes(nodes.name) || ' ' || plugpull_file_fnv1a64(nodes.name);
-- @invariant "a backup that has a row is a sound database"
SELECT nodes.name, plugpull_database_problem(nodes.name)
  FROM nodes JOIN nodes AS folder ON nodes.parent = folder.inode
 WHERE folder.name = 'backups' AND plugpull_database_problem(nodes.name) IS NOT NULL;
-- @invariant "a backup is under its final name only when it is whole"
SELECT name, plugpull_database_problem(name) FROM (
  SELECT 'backup-worker-0-6.db' AS name UNION ALL SELECT 'backup-worker-0-12.db'
  UNION ALL SELECT 'backup-worker-0-18.db')
 WHERE plugpull_file_bytes(name) IS NOT NULL AND plugpull_database_problem(name) IS NOT NULL;
-- @invariant "no orphan: every node but the root stands in a folder"
SELECT inode FROM nodes WHERE inode <> 1 AND (parent IS NULL OR parent NOT IN
  (SELECT inode FROM nodes WHERE type = 'folder'));
-- @invariant "no cycle: every node can be reached from the root"
WITH RECURSIVE reached (inode) AS (SELECT 1 UNION
  SELECT nodes.inode FROM nodes JOIN reached ON nodes.parent = reached.inode)
SELECT inode FROM nodes WHERE inode NOT IN (SELECT inode FROM reached);
-- @invariant "reference counts are the number of references, and no blob is without one"
SELECT blob FROM blobs WHERE refcount < 1 OR refcount <>
  (SELECT count(*) FROM nodes WHERE nodes.blob = blobs.blob);
-- @invariant "a file has a blob, a folder has none"
SELECT inode FROM nodes LEFT JOIN blobs ON blobs.blob = nodes.blob
 WHERE (type = 'file') <> (blobs.blob IS NOT NULL)
    OR (nodes.blob IS NOT NULL) <> (blobs.blob IS NOT NULL);
-- @invariant "a file has the size of its blob, and the blob a content of its size"
SELECT inode FROM nodes LEFT JOIN blobs ON blobs.blob = nodes.blob
  LEFT JOIN contents ON contents.blob = nodes.blob
 WHERE type = 'file'
   AND (nodes.size_bytes IS NOT blobs.size_bytes OR length(content) IS NOT nodes.size_bytes);
-- @invariant "folders know how many nodes they hold, once the store is at version 2"
SELECT inode FROM nodes WHERE child_count <>
  (SELECT count(*) FROM nodes AS child WHERE child.parent = nodes.inode);
