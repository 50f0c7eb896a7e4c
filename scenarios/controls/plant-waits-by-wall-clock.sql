-- @scenario planted defect: timeouts are counted by the time of day, which stands still
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @clock frozen
-- @plant waits-by-wall-clock
-- @workload store.clock batches=2 events=2
-- @invariant "what was buffered is written, and who waits for a lock is told, before long"
SELECT event_id FROM events
 WHERE kind IN ('flush', 'lock', 'busy') AND CAST(CAST(payload AS TEXT) AS INTEGER) >= 10000;
