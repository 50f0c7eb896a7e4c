-- @scenario strict-posix forgets a new database that has no journal, and may show its size without its data
-- POSIX promises of an fsync only the file's own data: nobody syncs the folder here, because SQLite
-- does that with the first sync of a journal. So the name may be lost, which costs acknowledged
-- commits (`sized`: the size waits for the data, and nothing else goes wrong). And before the first
-- sync ends, the size may be there with zeros (`named`: fsync keeps the name). `both` is what it needs.
-- @define-model sized size-after-data=yes
-- @define-model named fsync-entry=yes
-- @define-model both size-after-data=yes fsync-entry=yes
-- @models strict-posix sized named both xfs
-- @pragma journal_mode=off synchronous=extra
-- @expect durable
-- @expect corrupt if model=strict-posix
-- @expect consistent if model=sized
-- @expect corrupt if model=named
-- @setup crash=yes
PRAGMA user_version = 1;
-- @client a repeat=2
PRAGMA user_version = 7;
