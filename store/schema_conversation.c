/*
 * schema_conversation.c: the migrations of conversations, oldest first. A released one is never
 * changed: its digest stands in every database that it was applied to.
 */
#include "store/internal.h"

const struct store_migration store_migrations_conversations[] = {
    {
	"conversations and messages",
	"CREATE TABLE conversations (\n"
	"  conversation INTEGER PRIMARY KEY,\n"
	"  conversation_id TEXT NOT NULL UNIQUE CHECK (length(conversation_id) > 0),\n"
	"  project_id TEXT NOT NULL CHECK (length(project_id) > 0),\n"
	"  title TEXT NOT NULL,\n"
	"  created_us INTEGER NOT NULL,\n"
	"  last_updated_us INTEGER NOT NULL\n"
	");\n"
	"CREATE INDEX conversations_by_project ON conversations (project_id, last_updated_us "
	"DESC);\n"
	"CREATE TABLE messages (\n"
	"  message INTEGER PRIMARY KEY,\n"
	"  conversation INTEGER NOT NULL REFERENCES conversations (conversation),\n"
	"  position INTEGER NOT NULL CHECK (position > 0),\n"
	"  role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'system', 'tool')),\n"
	"  time_us INTEGER NOT NULL,\n"
	"  content TEXT NOT NULL,\n"
	"  UNIQUE (conversation, position)\n"
	");\n"
	"CREATE INDEX messages_by_time ON messages (conversation, time_us DESC);\n"
	"CREATE INDEX messages_by_role ON messages (role, time_us DESC);\n",
    },
    {
	"tool uses",
	"CREATE TABLE tool_uses (\n"
	"  tool_use INTEGER PRIMARY KEY,\n"
	"  message INTEGER NOT NULL REFERENCES messages (message),\n"
	"  number INTEGER NOT NULL CHECK (number > 0),\n"
	"  tool_name TEXT NOT NULL CHECK (length(tool_name) > 0),\n"
	"  status TEXT NOT NULL CHECK (status IN ('success', 'error', 'cancelled')),\n"
	"  duration_us INTEGER NOT NULL CHECK (duration_us >= 0),\n"
	"  input TEXT NOT NULL,\n"
	"  output TEXT NOT NULL,\n"
	"  UNIQUE (message, number)\n"
	");\n"
	"CREATE INDEX tool_uses_by_tool ON tool_uses (tool_name, status, duration_us);\n",
    },
    {
	"message counts",
	"ALTER TABLE conversations ADD COLUMN message_count INTEGER NOT NULL DEFAULT 0;\n"
	"UPDATE conversations SET message_count = (SELECT count(*) FROM messages\n"
	"  WHERE messages.conversation = conversations.conversation);\n",
    },
    {
	"common questions",
	"CREATE INDEX messages_of_users ON messages (conversation, time_us DESC)\n"
	"  WHERE role = 'user';\n"
	"CREATE INDEX tool_uses_successful ON tool_uses (duration_us DESC)\n"
	"  WHERE status = 'success';\n",
    },
};

const size_t store_migrations_conversations_count =
    sizeof(store_migrations_conversations) / sizeof(store_migrations_conversations[0]);
