-- @scenario the archival event store loses no acknowledged event; a migration runs half way
-- The store in store/ at its default profile, WAL and synchronous=FULL. What weaker settings cost it
-- is in controls/archival-normal.sql and controls/archival-off.sql.
-- @models strict-posix process-crash
-- @pragma journal_mode=wal synchronous=full wal_autocheckpoint=8
-- @require durable
-- @redundant "dirsync db #2,4" "sync main.db-journal #1" "sync main.db-wal #1-3,5,7,9,11,13,15,19,21,23,25-27,29,31,34,36,38,40,42,44,46,49" if model=strict-posix
-- @redundant none if model=process-crash
-- @workload store.archival batches=20 events=5
-- @batch events id=batch_id count=batch_count
-- @order events position
-- @schema-version 1,2,3,4
-- @invariant "every event says how many bytes its payload has, once the store is at version 3"
SELECT 1 FROM schema_version
 WHERE version = 3
   AND NOT EXISTS (SELECT 1 FROM pragma_table_info('events') WHERE name = 'payload_bytes');
-- @invariant "every event says how many bytes its payload has"
SELECT 1 FROM events WHERE payload_bytes <> length(payload);
