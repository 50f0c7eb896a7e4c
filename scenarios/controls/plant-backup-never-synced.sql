-- @scenario planted defect: a cold backup is renamed without having been synced
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @plant file-never-synced
-- @workload store.filesystem operations=12 in_flight=3 backup=6 payload=120
-- @invariant "a backup is under its final name only when it is whole"
SELECT plugpull_database_problem('backup-worker-0-12.db')
 WHERE plugpull_file_bytes('backup-worker-0-12.db') IS NOT NULL
   AND plugpull_database_problem('backup-worker-0-12.db') IS NOT NULL;
