-- @scenario planted defect: nobody checkpoints the log
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @clock frozen
-- @plant never-checkpoints
-- @workload store.clock batches=2 events=2
-- @invariant "the log is checkpointed"
SELECT event_id FROM events WHERE kind = 'log' AND CAST(CAST(payload AS TEXT) AS INTEGER) <> 0;
