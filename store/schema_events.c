/*
 * schema_events.c: the migrations of the event store, oldest first. A released one is never
 * changed: its digest stands in every database that it was applied to.
 */
#include "store/internal.h"

const struct store_migration store_migrations_events[] = {
    {
	"events",
	"CREATE TABLE events (\n"
	"  seq INTEGER PRIMARY KEY,\n"
	"  event_id TEXT NOT NULL UNIQUE CHECK (length(event_id) > 0),\n"
	"  server_id TEXT NOT NULL CHECK (length(server_id) > 0),\n"
	"  position INTEGER NOT NULL CHECK (position >= 0),\n"
	"  time_us INTEGER NOT NULL,\n"
	"  kind TEXT NOT NULL CHECK (length(kind) > 0),\n"
	"  payload BLOB NOT NULL,\n"
	"  checksum INTEGER NOT NULL,\n"
	"  batch_id INTEGER NOT NULL,\n"
	"  batch_count INTEGER NOT NULL CHECK (batch_count > 0)\n"
	");\n"
	"CREATE UNIQUE INDEX events_by_server ON events (server_id, position);\n"
	"CREATE INDEX events_by_time ON events (time_us);\n",
    },
    {
	"events are never changed",
	"CREATE TRIGGER events_no_delete BEFORE DELETE ON events\n"
	"BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;\n"
	"CREATE TRIGGER events_no_update BEFORE UPDATE OF seq, event_id, server_id,\n"
	"  position, time_us, kind, payload, checksum, batch_id, batch_count ON events\n"
	"BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;\n",
    },
    {
	/* Payload volume by kind is then answered from an index alone. */
	"payload size",
	"ALTER TABLE events ADD COLUMN payload_bytes INTEGER NOT NULL DEFAULT 0;\n"
	"UPDATE events SET payload_bytes = length(payload);\n"
	"CREATE INDEX events_by_kind ON events (kind, payload_bytes);\n",
    },
    {
	/* The row itself stays in events, which are never deleted: there is nothing to copy. */
	"dead letters",
	"CREATE TABLE dead_letters (\n"
	"  seq INTEGER PRIMARY KEY REFERENCES events (seq),\n"
	"  reason TEXT NOT NULL,\n"
	"  noted_us INTEGER NOT NULL\n"
	");\n",
    },
};

const size_t store_migrations_events_count =
    sizeof(store_migrations_events) / sizeof(store_migrations_events[0]);
