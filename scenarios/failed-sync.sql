-- @scenario a sync fails once, and the store acknowledges nothing that the disk does not have
-- What the failed sync should have written is clean in the kernel's cache and old on the disk, and no
-- later sync writes it (docs/disk-model.md, D8). The store stops, opens the database again, writes the
-- log's bytes again, settles what is there, and only then goes on. Which sync it is: the log's at a
-- commit, a log file's, the folder's, a checkpoint's; all of them are tried by `make check-long`.
-- @matrix workload.fail_sync=6,9,13,16,21,29,44
-- @pragma journal_mode=wal synchronous=full
-- @require durable
-- @redundant "dirsync db #2,9" "sync main.db-journal #1" "sync main.db-wal #2-4,6,8-9,12,15-16,18,20-21,24" if model=strict-posix workload.fail_sync=6
-- @redundant "dirsync db #2,10" "sync main.db-journal #1" "sync main.db-wal #1-2,4,6,8-9,12,15-16,18,20-21,24" if model=strict-posix workload.fail_sync=9
-- @redundant "dirsync db #2,9" "sync main.db-journal #1" "sync main.db-wal #1-3,6-7,9,13-14,16,18-19,22" if model=strict-posix workload.fail_sync=13
-- @redundant "dirsync db #2,10" "sync main.db-journal #1" "sync main.db-wal #1-3,5,7-8,10,14-15,17,19-20,23" if model=strict-posix workload.fail_sync=16
-- @redundant "dirsync db #2,9" "sync main.db-journal #1" "sync main.db-wal #1-3,5,7-8,11,15-16,18,20-21,24" if model=strict-posix workload.fail_sync=21
-- @redundant "dirsync db #2" "sync main.db-journal #1" "sync main.db-wal #1-3,5,7-8,11,14-15,17,20,23" if model=strict-posix workload.fail_sync=29
-- @redundant "dirsync db #2,8" "sync main.db-journal #1" "sync main.db-wal #1-3,5,7-8,11,14-15,17,19-20,23" if model=strict-posix workload.fail_sync=44
-- @workload store.workflow executions=4 steps=2 in_flight=2 log=160 wal_bytes=16384
-- @schema-version 1,2,3
-- @invariant "a log that a row names is there, whole"
SELECT file_name FROM step_logs WHERE plugpull_file_bytes(file_name) IS NOT bytes
    OR plugpull_file_fnv1a64(file_name) IS NOT checksum;
-- @invariant "every step of a completed execution has its log"
SELECT step_id FROM steps JOIN executions USING (execution_id)
 WHERE executions.status = 'completed' AND step_id NOT IN (SELECT step_id FROM step_logs);
-- @invariant "an execution has all its steps"
SELECT execution_id FROM executions WHERE total_steps <>
  (SELECT count(*) FROM steps WHERE steps.execution_id = executions.execution_id);
-- @invariant "a completed execution has its artifact"
SELECT execution_id FROM executions WHERE status = 'completed'
   AND execution_id NOT IN (SELECT execution_id FROM artifacts);
-- @invariant "executions know how many steps are there, once the store is at version 3"
SELECT execution_id FROM executions WHERE step_count <>
  (SELECT count(*) FROM steps WHERE steps.execution_id = executions.execution_id);
