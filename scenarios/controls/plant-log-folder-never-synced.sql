-- @scenario planted defect: the folder of the logs is never synced
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @plant folder-never-synced
-- @workload store.workflow executions=2 steps=1 in_flight=1
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
