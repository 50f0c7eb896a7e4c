#!/bin/sh
# Several shells upon one database, in WAL mode: `after` one another, or two `beside` each other.
here=$(dirname "$0")
sqlite3 app.db 'PRAGMA journal_mode=WAL;' ".read $here/ledger.sql"
case $1 in
after)
	sqlite3 app.db ".read $here/ledger_more.sql"
	sqlite3 app.db ".read $here/ledger_more.sql"
	;;
beside)
	sqlite3 app.db '.timeout 30000' ".read $here/ledger_more.sql" &
	sqlite3 app.db '.timeout 30000' ".read $here/ledger_more.sql" &
	wait
	;;
esac
