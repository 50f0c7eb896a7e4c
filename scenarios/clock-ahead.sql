-- @scenario the clock goes ten years ahead: commits, checkpoints, timeouts and the order of events do not mind
-- What store.clock sees of waiting it writes down as events (harness/drive/workload_clock.c).
-- Another process that checkpoints would hide a checkpointer of the store's that starves.
-- synchronous is not set: what is proved is the store's default profile, archival.
-- @models strict-posix process-crash
-- @pragma journal_mode=wal
-- @require durable
-- @redundant "dirsync db #2" "sync main.db-journal #1" "sync main.db-wal #1-5,7,9-10,16,20,26,29" "defect order-by-time" "defect waits-by-wall-clock" if model=strict-posix
-- @redundant "defect order-by-time" "defect waits-by-wall-clock" if model=process-crash
-- @clock ahead
-- @workload store.clock batches=4 events=3
-- @kill checkpointers=0
-- @batch events id=batch_id count=batch_count
-- @order events seq
-- @schema-version 1,2,3,4
-- @invariant "inside the first transaction the clock goes ten years ahead"
SELECT b.event_id FROM events a JOIN events b USING (server_id, batch_id)
 WHERE b.position = a.position + 1 AND b.position = 2
   AND b.time_us < a.time_us + 300000000000000;
-- @invariant "every event knows the one before it by its position"
SELECT event_id FROM events
 WHERE kind = 'data' AND CAST(CAST(payload AS TEXT) AS INTEGER) <> position - 1;
-- @invariant "a reader is given events by their positions"
SELECT event_id FROM events WHERE kind = 'order' AND CAST(CAST(payload AS TEXT) AS INTEGER) <> 0;
-- @invariant "what was buffered is written, and who waits for a lock is told, before long"
SELECT event_id FROM events
 WHERE kind IN ('flush', 'lock', 'busy') AND CAST(CAST(payload AS TEXT) AS INTEGER) >= 10000;
-- @invariant "the log is checkpointed"
SELECT event_id FROM events WHERE kind = 'log' AND CAST(CAST(payload AS TEXT) AS INTEGER) <> 0;
