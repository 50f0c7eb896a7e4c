-- @scenario planted defect: the program asks for the event before by its time
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @clock back
-- @plant order-by-time
-- @workload store.clock batches=2 events=2
-- @invariant "every event knows the one before it by its position"
SELECT event_id FROM events
 WHERE kind = 'data' AND CAST(CAST(payload AS TEXT) AS INTEGER) <> position - 1;
