/*
 * conversation.h: conversations in a store of STORE_SCHEMA_CONVERSATIONS. Included by store.h.
 *
 * A conversation belongs to a project and has messages at the positions 1, 2, 3, …; a message can
 * have tool uses, numbered 1, 2, 3, … in it. Nothing is ever changed or deleted but what a
 * conversation says of its messages: how many there are, and when it was last updated. Both are
 * kept in the transaction that adds the messages, so that they never disagree with them.
 *
 * Threads, transactions, P1 to P6: as store.h says. A batch is one transaction and one sync, all of
 * it or nothing.
 *
 *
 * The tables, for programs that look from outside (version 4)
 *
 *   conversations  conversation     INTEGER PRIMARY KEY
 *                  conversation_id  TEXT, unique
 *                  project_id       TEXT
 *                  title            TEXT
 *                  created_us       INTEGER, as given by the caller
 *                  last_updated_us  INTEGER, the latest of created_us and its messages' times
 *                  message_count    INTEGER (from version 3)
 *   messages       message          INTEGER PRIMARY KEY
 *                  conversation     INTEGER
 *                  position         INTEGER, 1, 2, … in the conversation, in order of commit
 *                  role             TEXT, 'user', 'assistant', 'system' or 'tool'
 *                  content          TEXT
 *                  time_us          INTEGER, as given by the caller
 *   tool_uses      tool_use         INTEGER PRIMARY KEY
 *   (version 2)    message          INTEGER
 *                  number           INTEGER, 1, 2, … in the message
 *                  tool_name        TEXT
 *                  status           TEXT, 'success', 'error' or 'cancelled'
 *                  duration_us      INTEGER >= 0
 *                  input, output    TEXT
 *
 * Indexes: messages by (conversation, time), by (role, time); tool uses by (tool_name, status,
 * duration); conversations by (project, last update); from version 4 on, for the common questions,
 * users' messages by (conversation, time), and the successful uses of all tools by duration. Times
 * run backwards in all of them.
 */
#ifndef STORE_CONVERSATION_H
#define STORE_CONVERSATION_H

#include "api.h"

#ifndef STORE_STORE_H
#error "include store.h, which includes this file"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

STORE_API_BEGIN

/* Ids are limited by STORE_ID_BYTES_MAX, batches by STORE_BATCH_COUNT_MAX (store.h). */
#define STORE_TITLE_BYTES_MAX	  255
#define STORE_TOOL_NAME_BYTES_MAX 63
/* Of a message, a tool's input, a tool's output. */
#define STORE_CONTENT_BYTES_MAX (16 * 1024 * 1024)

/*
 * What always holds, after any crash too: X(text, sql), where the query returns no row. The first
 * list holds from version 1 on, the others from version 2 and 3 on.
 */
#define STORE_CONVERSATION_INVARIANTS(X)                                                           \
	X("every message has its conversation",                                                    \
	  "SELECT message FROM messages WHERE conversation NOT IN"                                 \
	  " (SELECT conversation FROM conversations)")                                             \
	X("positions are 1 to n without a hole",                                                   \
	  "SELECT conversation FROM messages GROUP BY conversation HAVING min(position) <> 1"      \
	  " OR max(position) <> count(*) OR count(DISTINCT position) <> count(*)")                 \
	X("a conversation was last updated when its newest message says",                          \
	  "SELECT conversation_id FROM conversations WHERE last_updated_us <> max(created_us,"     \
	  " coalesce((SELECT max(time_us) FROM messages"                                           \
	  " WHERE messages.conversation = conversations.conversation), created_us))")

#define STORE_CONVERSATION_INVARIANTS_2(X)                                                         \
	X("every tool use has its message",                                                        \
	  "SELECT tool_use FROM tool_uses WHERE message NOT IN (SELECT message FROM messages)")    \
	X("the tool uses of a message are numbered 1 to n without a hole",                         \
	  "SELECT message FROM tool_uses GROUP BY message HAVING min(number) <> 1"                 \
	  " OR max(number) <> count(*) OR count(DISTINCT number) <> count(*)")

#define STORE_CONVERSATION_INVARIANTS_3(X)                                                         \
	X("conversations know how many messages they have",                                        \
	  "SELECT conversation_id FROM conversations WHERE message_count <>"                       \
	  " (SELECT count(*) FROM messages"                                                        \
	  " WHERE messages.conversation = conversations.conversation)")

enum store_role {
	STORE_ROLE_USER,
	STORE_ROLE_ASSISTANT,
	STORE_ROLE_SYSTEM,
	STORE_ROLE_TOOL,
};

enum store_tool_status {
	STORE_TOOL_SUCCESS,
	STORE_TOOL_ERROR,
	STORE_TOOL_CANCELLED,
};

/*
 * All texts are NUL-terminated, valid UTF-8, and borrowed until the call returns. Ids and tool
 * names have at least one byte, the others may be empty; none is NULL. Times and durations are in
 * microseconds, times since 1970-01-01 UTC.
 */
struct store_conversation {
	const char *conversation_id;
	const char *project_id;
	const char *title;
	int64_t created_us;
};

struct store_message {
	const char *conversation_id;
	/* The position that it gets; 0 is the next one, whatever that is. A caller who gives it can
	 * repeat a call whose outcome he does not know: what was stored is STORE_ERR_DUPLICATE. */
	int64_t position;
	enum store_role role;
	const char *content;
	int64_t time_us;
};

struct store_tool_use {
	const char *conversation_id;
	int64_t position; /* of its message */
	int64_t number;	  /* in that message; 0 is the next one: as for a message's position */
	const char *tool_name;
	enum store_tool_status status;
	int64_t duration_us; /* >= 0 */
	const char *input;
	const char *output;
};

/*
 * Errors of all functions: STORE_ERR_INVALID (an argument; a store of another schema, or of a
 * version that does not have the table), _STOPPED, _BUSY, _IO, _CORRUPT, _NO_MEMORY, _SQLITE. Of
 * those that write: also _FULL, _READ_ONLY, _SCHEMA_NEWER. Of batches: err->index names the
 * offender, and nothing of the batch is stored.
 */

/* Adds a conversation without messages. STORE_ERR_EXISTS when its id is taken. */
enum store_code store_conversation_add(struct store *store,
				       const struct store_conversation *conversation,
				       struct store_error *err);

/*
 * Adds messages, of one conversation or many, in the order given. An empty batch does nothing and
 * succeeds. STORE_ERR_NOT_FOUND: no such conversation; STORE_ERR_DUPLICATE: there is a message at
 * that position; STORE_ERR_ORDER: the position would leave a hole.
 */
enum store_code store_messages(struct store *store, const struct store_message *messages,
			       size_t message_count, struct store_error *err);

/*
 * Adds tool uses, of any messages, in the order given; errors as of store_messages(), with a
 * message in place of the conversation, and the number in place of the position. From version 2 on.
 */
enum store_code store_tool_uses(struct store *store, const struct store_tool_use *uses,
				size_t use_count, struct store_error *err);

/* A conversation as stored. */
struct store_conversation_record {
	char conversation_id[STORE_ID_BYTES_MAX + 1];
	char project_id[STORE_ID_BYTES_MAX + 1];
	char title[STORE_TITLE_BYTES_MAX + 1];
	int64_t created_us;
	int64_t last_updated_us;
	int64_t message_count;
};

/* STORE_ERR_NOT_FOUND. */
enum store_code store_conversation_find(struct store *store, const char *conversation_id,
					struct store_conversation_record *ret_conversation,
					struct store_error *err);

/*
 * Hands the messages of a conversation from a position on to visit, by position, until it returns
 * false, message_count_max have been visited, or there are no more; *ret_next (may be NULL) is then
 * the position to go on from. One message is in memory at a time, and is borrowed until visit
 * returns. Each is read by itself and nothing is held between two, so that visit may take its time
 * and call any function, also of this store; messages that are added meanwhile are visited, too.
 * STORE_ERR_NOT_FOUND: no such conversation. STORE_ERR_CORRUPT: what is stored can be no message.
 * After an error *ret_next is untouched, and what was visited was visited.
 */
enum store_code store_messages_read(struct store *store, const char *conversation_id,
				    int64_t position_first, size_t message_count_max,
				    bool (*visit)(void *context,
						  const struct store_message *message),
				    void *context, int64_t *ret_next, struct store_error *err);

STORE_API_END

#endif
