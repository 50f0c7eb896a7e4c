-- @scenario a large sector is not a file system: a new database without a journal may have its size and not its data
-- XFS, whose size waits for the data, keeps it.
-- @models nvme-4k xfs
-- @pragma journal_mode=off synchronous=extra
-- @expect durable
-- @expect corrupt if model=nvme-4k
-- @redundant "sync main.db #3" if model=xfs
-- @setup crash=yes
PRAGMA user_version = 1;
-- @client a repeat=2
PRAGMA user_version = 7;
