/*
 * schema_workflow.c: the migrations of a store of workflows, oldest first. A released one is never
 * changed: its digest stands in every database that it was applied to.
 */
#include "store/internal.h"

#define STATUS_CHECK                                                                               \
	"CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'skipped'))"

const struct store_migration store_migrations_workflow[] = {
    {
	"executions, steps, artifacts",
	"CREATE TABLE executions (\n"
	"  seq INTEGER PRIMARY KEY,\n"
	"  execution_id TEXT NOT NULL UNIQUE CHECK (length(execution_id) > 0),\n"
	"  name TEXT NOT NULL CHECK (length(name) > 0),\n"
	"  command TEXT NOT NULL,\n"
	"  working_directory TEXT NOT NULL,\n"
	"  status TEXT NOT NULL " STATUS_CHECK ",\n"
	"  exit_code INTEGER,\n"
	"  error_message TEXT,\n"
	"  created_us INTEGER NOT NULL,\n"
	"  started_us INTEGER,\n"
	"  completed_us INTEGER,\n"
	"  environment TEXT,\n"
	"  user_name TEXT,\n"
	"  tags TEXT,\n"
	"  metadata TEXT,\n"
	"  total_steps INTEGER NOT NULL CHECK (total_steps >= 0),\n"
	"  completed_steps INTEGER NOT NULL CHECK (completed_steps >= 0),\n"
	"  current_step_index INTEGER NOT NULL CHECK (current_step_index >= -1)\n"
	");\n"
	/* AUTOINCREMENT: a log file is named after its step, also when the step is gone. */
	"CREATE TABLE steps (\n"
	"  step_id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
	"  execution_id TEXT NOT NULL REFERENCES executions (execution_id),\n"
	"  step_index INTEGER NOT NULL CHECK (step_index >= 0),\n"
	"  name TEXT NOT NULL CHECK (length(name) > 0),\n"
	"  status TEXT NOT NULL " STATUS_CHECK ",\n"
	"  exit_code INTEGER,\n"
	"  error_message TEXT,\n"
	"  started_us INTEGER,\n"
	"  completed_us INTEGER,\n"
	"  metadata TEXT,\n"
	"  UNIQUE (execution_id, step_index)\n"
	");\n"
	"CREATE TABLE artifacts (\n"
	"  artifact_id INTEGER PRIMARY KEY,\n"
	"  execution_id TEXT NOT NULL REFERENCES executions (execution_id),\n"
	"  name TEXT NOT NULL CHECK (length(name) > 0),\n"
	"  path TEXT NOT NULL CHECK (length(path) > 0),\n"
	"  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),\n"
	"  media_type TEXT NOT NULL,\n"
	"  created_us INTEGER NOT NULL,\n"
	"  UNIQUE (execution_id, name)\n"
	");\n",
    },
    {
	"logs of steps",
	"CREATE TABLE step_logs (\n"
	"  step_id INTEGER PRIMARY KEY REFERENCES steps (step_id),\n"
	"  file_name TEXT NOT NULL UNIQUE CHECK (length(file_name) > 0),\n"
	"  bytes INTEGER NOT NULL CHECK (bytes >= 0),\n"
	"  checksum INTEGER NOT NULL,\n"
	"  written_us INTEGER NOT NULL\n"
	");\n"
	"CREATE TABLE step_logs_old (file_name TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID;\n"
	"CREATE TABLE log_numbers (\n"
	"  only INTEGER PRIMARY KEY CHECK (only = 1),\n"
	"  next INTEGER NOT NULL CHECK (next > 0)\n"
	");\n"
	"INSERT INTO log_numbers (only, next) VALUES (1, 1);\n",
    },
    {
	"by time, by status; steps counted",
	"CREATE INDEX executions_by_time ON executions (created_us);\n"
	"CREATE INDEX executions_by_status ON executions (status, created_us);\n"
	"ALTER TABLE executions ADD COLUMN step_count INTEGER NOT NULL DEFAULT 0;\n"
	"UPDATE executions SET step_count =\n"
	"  (SELECT count(*) FROM steps WHERE steps.execution_id = executions.execution_id);\n"
	"CREATE TRIGGER steps_count_insert AFTER INSERT ON steps BEGIN\n"
	"  UPDATE executions SET step_count = step_count + 1 WHERE execution_id = "
	"NEW.execution_id;\n"
	"END;\n"
	"CREATE TRIGGER steps_count_delete AFTER DELETE ON steps BEGIN\n"
	"  UPDATE executions SET step_count = step_count - 1 WHERE execution_id = "
	"OLD.execution_id;\n"
	"END;\n"
	"CREATE TRIGGER steps_count_update AFTER UPDATE OF execution_id ON steps BEGIN\n"
	"  UPDATE executions SET step_count = step_count - 1 WHERE execution_id = "
	"OLD.execution_id;\n"
	"  UPDATE executions SET step_count = step_count + 1 WHERE execution_id = "
	"NEW.execution_id;\n"
	"END;\n",
    },
};

const size_t store_migrations_workflow_count =
    sizeof(store_migrations_workflow) / sizeof(store_migrations_workflow[0]);
