-- @scenario a completed execution has its steps, artifacts and log files; a migration runs half way
-- Executions through the store's queue, artifacts through its buffer, logs as files of their own:
-- store/workflow.h. A log is written, synced, renamed, its folder is synced, and only then does it
-- get its row.
-- synchronous is not set: what is proved is the store's default profile, archival.
-- @models strict-posix process-crash
-- @pragma journal_mode=wal
-- @require durable
-- @redundant "dirsync db #2,8" "sync main.db-journal #1" "sync main.db-wal #1-3,5,7-8,12-13,15-16,19" if model=strict-posix
-- @redundant "defect file-never-synced" "defect folder-never-synced" if model=process-crash
-- @workload store.workflow executions=4 steps=2 in_flight=2 log=160
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
