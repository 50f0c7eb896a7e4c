-- @scenario planted defect: a reference to a blob is counted before it is made
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @plant blob-count-later
-- @workload store.filesystem operations=6 in_flight=3 backup=0 payload=120 migrate=0
-- @invariant "reference counts are the number of references"
SELECT blob FROM blobs WHERE refcount <>
  (SELECT count(*) FROM nodes WHERE nodes.blob = blobs.blob);
