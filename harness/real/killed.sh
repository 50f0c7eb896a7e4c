#!/bin/sh
# A shell is killed inside a transaction whose pages had to be written early, and another one goes on.
# Arguments: pragmas for both.
here=$(dirname "$0")
settings=
for setting in "$@"; do
	settings="$settings PRAGMA $setting;"
done
sqlite3 app.db "$settings" 'PRAGMA cache_size=2;' ".read $here/ledger.sql" 'BEGIN;' \
	'UPDATE account SET balance = 0;' \
	"INSERT INTO entry SELECT 100 + value, value, 1 FROM generate_series(1, 2000);" \
	'.shell kill -9 $PPID' 2>/dev/null
sqlite3 app.db "$settings" ".read $here/ledger_more.sql"
