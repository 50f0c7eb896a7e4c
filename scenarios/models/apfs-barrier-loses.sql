-- @scenario a barrier persists nothing: every acknowledged commit of WAL at FULL can be gone
-- The same program on a disk whose sync keeps what it covers (nvme-4k) loses none.
-- @models apfs-barrier nvme-4k
-- @pragma journal_mode=wal synchronous=full
-- @expect durable
-- @expect consistent if model=apfs-barrier
-- @redundant "sync main.db-wal #1" if model=apfs-barrier
-- @redundant "sync main.db-wal #1" if model=nvme-4k
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
-- @client a repeat=4
INSERT INTO t(v) VALUES (:i);
