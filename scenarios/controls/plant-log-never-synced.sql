-- @scenario planted defect: logs are renamed without having been synced
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @plant file-never-synced
-- @workload store.workflow executions=2 steps=1 in_flight=1
-- @invariant "a log that a row names is there, whole"
SELECT file_name FROM step_logs WHERE plugpull_file_bytes(file_name) IS NOT bytes
    OR plugpull_file_fnv1a64(file_name) IS NOT checksum;
