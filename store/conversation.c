/*
 * conversation.c: adding conversations, their messages and tool uses, in batches.
 *
 * The next position is asked of the index that keeps positions unique, not of message_count: that
 * works for a program of every version, and a count that is wrong cannot make a hole. Conversations
 * are looked up once for each run of messages of the same one, and told once what was added.
 */
#include <inttypes.h>
#include <string.h>

#include "store/conversation_internal.h"

const char *const store_role_names[STORE_ROLE_COUNT] = {
    [STORE_ROLE_USER] = "user",
    [STORE_ROLE_ASSISTANT] = "assistant",
    [STORE_ROLE_SYSTEM] = "system",
    [STORE_ROLE_TOOL] = "tool",
};

static const char *const status_names[] = {
    [STORE_TOOL_SUCCESS] = "success",
    [STORE_TOOL_ERROR] = "error",
    [STORE_TOOL_CANCELLED] = "cancelled",
};

#define STATUS_COUNT (sizeof(status_names) / sizeof(status_names[0]))

/* ---- checks ---- */

enum store_code store_conversations_check(const struct store *store, int version_min,
					  struct store_error *err)
{
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	code = store_check_running(store, err);
	if (code == STORE_OK)
		code = store_need_schema(store, STORE_SCHEMA_CONVERSATIONS, version_min, err);
	return code;
}

static enum store_code batch_check(const struct store *store, const void *batch, size_t count,
				   struct store_error *err)
{
	if (!batch && count > 0)
		return store_error_at(err, store, STORE_ERR_INVALID, 0, "a batch of %zu is NULL",
				      count);
	if (count > STORE_BATCH_COUNT_MAX)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "a batch of %zu; the most is %d", count,
				      STORE_BATCH_COUNT_MAX);
	return STORE_OK;
}

static enum store_code text_check(const struct store *store, const char *text, const char *what,
				  size_t bytes_max, bool empty_allowed, struct store_error *err)
{
	const char *complaint = store_text_complaint(text, bytes_max, empty_allowed, NULL);

	if (!complaint)
		return STORE_OK;
	return store_error_at(err, store, STORE_ERR_INVALID, 0, "%s %s", what, complaint);
}

static enum store_code message_check(const struct store *store, const struct store_message *message,
				     struct store_error *err)
{
	enum store_code code = text_check(store, message->conversation_id, "conversation_id",
					  STORE_ID_BYTES_MAX, false, err);

	if (code == STORE_OK)
		code = text_check(store, message->content, "content", STORE_CONTENT_BYTES_MAX, true,
				  err);
	if (code == STORE_OK && message->position < 0)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "position is negative");
	if (code == STORE_OK && (unsigned)message->role >= STORE_ROLE_COUNT)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "unknown role %d",
				      (int)message->role);
	return code;
}

static enum store_code use_check(const struct store *store, const struct store_tool_use *use,
				 struct store_error *err)
{
	enum store_code code = text_check(store, use->conversation_id, "conversation_id",
					  STORE_ID_BYTES_MAX, false, err);

	if (code == STORE_OK)
		code = text_check(store, use->tool_name, "tool_name", STORE_TOOL_NAME_BYTES_MAX,
				  false, err);
	if (code == STORE_OK)
		code = text_check(store, use->input, "input", STORE_CONTENT_BYTES_MAX, true, err);
	if (code == STORE_OK)
		code = text_check(store, use->output, "output", STORE_CONTENT_BYTES_MAX, true, err);
	if (code == STORE_OK && (use->number < 0 || use->position < 0))
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "%s is negative",
				      use->number < 0 ? "number" : "position");
	if (code == STORE_OK && use->duration_us < 0)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "duration_us is negative");
	if (code == STORE_OK && (unsigned)use->status >= STATUS_COUNT)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "unknown status %d",
				      (int)use->status);
	return code;
}

static enum store_code at_index(struct store_error *err, enum store_code code, size_t index)
{
	if (err)
		err->index = index;
	return code;
}

/* ---- statements ---- */

/* Runs a query of at most one row and two numbers, and ends it. rc is what binding returned. */
static enum store_code query_numbers(struct store *store, sqlite3_stmt *stmt, int rc,
				     int64_t ret_numbers[2], bool *ret_found,
				     struct store_error *err)
{
	enum store_code code = STORE_OK;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		ret_numbers[0] = sqlite3_column_int64(stmt, 0);
		ret_numbers[1] = sqlite3_column_int64(stmt, 1);
	}
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		*ret_found = rc == SQLITE_ROW;
	else
		code = store_error_set_sqlite(err, store->db, rc, "cannot read the conversations");
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return code;
}

/* Runs a statement that changes rows, and forgets its bindings, which are the caller's memory. */
static enum store_code change(struct store *store, sqlite3_stmt *stmt, int rc,
			      struct store_error *err)
{
	enum store_code code = STORE_OK;

	if (rc == SQLITE_OK)
		rc = store_run(stmt);
	if (rc != SQLITE_OK)
		code = store_error_set_sqlite(err, store->db, rc, "cannot write");
	sqlite3_clear_bindings(stmt);
	return code;
}

/* The number of a conversation, and the last position in it; 0 if there is no such conversation. */
static enum store_code conversation_find(struct store *store, const char *conversation_id,
					 int64_t *ret_conversation, int64_t *ret_position_last,
					 struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int64_t numbers[2] = {0, 0};
	bool found = false;

	code = store_statement(store,
			       "SELECT conversation, (SELECT coalesce(max(position), 0)"
			       " FROM messages"
			       " WHERE messages.conversation = conversations.conversation)"
			       " FROM conversations WHERE conversation_id = ?1",
			       &stmt, err);
	if (code == STORE_OK)
		code = query_numbers(store, stmt, store_bind_text(stmt, 1, conversation_id),
				     numbers, &found, err);
	if (code != STORE_OK)
		return code;
	*ret_conversation = numbers[0];
	*ret_position_last = numbers[1];
	return STORE_OK;
}

static enum store_code conversation_missing(const struct store *store, const char *conversation_id,
					    struct store_error *err)
{
	return store_error_at(err, store, STORE_ERR_NOT_FOUND, 0, "there is no conversation '%s'",
			      conversation_id);
}

/* The place behind the last, or what is wrong with the one that the caller wants. */
static enum store_code place_choose(const struct store *store, int64_t wanted, int64_t last,
				    int64_t *ret_place, struct store_error *err)
{
	if (wanted == 0 || wanted == last + 1) {
		*ret_place = last + 1;
		return STORE_OK;
	}
	if (wanted <= last)
		return store_error_at(err, store, STORE_ERR_DUPLICATE, 0,
				      "%" PRId64 " is taken: the last is %" PRId64, wanted, last);
	return store_error_at(err, store, STORE_ERR_ORDER, 0,
			      "%" PRId64 " would leave a hole: the last is %" PRId64, wanted, last);
}

/* ---- adding conversations ---- */

static enum store_code conversation_insert(struct store *store,
					   const struct store_conversation *conversation,
					   struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int64_t there = 0;
	int64_t last = 0;
	int rc;

	code = conversation_find(store, conversation->conversation_id, &there, &last, err);
	if (code == STORE_OK && there != 0)
		code = store_error_at(err, store, STORE_ERR_EXISTS, 0,
				      "there is a conversation '%s' already",
				      conversation->conversation_id);
	if (code == STORE_OK)
		code = store_statement(
		    store,
		    "INSERT INTO conversations (conversation_id, project_id, title, created_us,"
		    " last_updated_us) VALUES (?1, ?2, ?3, ?4, ?4)",
		    &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = store_bind_text(stmt, 1, conversation->conversation_id);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 2, conversation->project_id);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 3, conversation->title);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 4, conversation->created_us);
	return change(store, stmt, rc, err);
}

enum store_code store_conversation_add(struct store *store,
				       const struct store_conversation *conversation,
				       struct store_error *err)
{
	enum store_code code = store_conversations_check(store, 1, err);

	if (code == STORE_OK && !conversation)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "the conversation is NULL");
	if (code == STORE_OK)
		code = text_check(store, conversation->conversation_id, "conversation_id",
				  STORE_ID_BYTES_MAX, false, err);
	if (code == STORE_OK)
		code = text_check(store, conversation->project_id, "project_id", STORE_ID_BYTES_MAX,
				  false, err);
	if (code == STORE_OK)
		code = text_check(store, conversation->title, "title", STORE_TITLE_BYTES_MAX, true,
				  err);
	if (code == STORE_OK)
		code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = conversation_insert(store, conversation, err);
	return store_finish(store, code, err);
}

/* ---- adding messages ---- */

/* A run of messages of one conversation, which is told of them when it ends. */
struct run {
	const char *conversation_id; /* NULL before the first */
	int64_t conversation;
	int64_t position_last;
	int64_t count;
	int64_t time_max_us;
};

/* Tells the conversation of what was added to it. */
static enum store_code run_end(struct store *store, const struct run *run, struct store_error *err)
{
	static const char sql_first[] =
	    "UPDATE conversations SET last_updated_us = max(last_updated_us, ?2)"
	    " WHERE conversation = ?1 AND ?3 = ?3";
	static const char sql_counting[] =
	    "UPDATE conversations SET last_updated_us = max(last_updated_us, ?2),"
	    " message_count = message_count + ?3 WHERE conversation = ?1";
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	if (run->count == 0)
		return STORE_OK;
	code = store_statement(store, store->version >= 3 ? sql_counting : sql_first, &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, run->conversation);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, run->time_max_us);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 3, run->count);
	return change(store, stmt, rc, err);
}

static enum store_code run_begin(struct store *store, struct run *run, const char *conversation_id,
				 struct store_error *err)
{
	enum store_code code = run_end(store, run, err);

	if (code != STORE_OK)
		return code;
	*run = (struct run){.conversation_id = conversation_id, .time_max_us = INT64_MIN};
	code =
	    conversation_find(store, conversation_id, &run->conversation, &run->position_last, err);
	if (code == STORE_OK && run->conversation == 0)
		code = conversation_missing(store, conversation_id, err);
	return code;
}

static enum store_code message_insert(struct store *store, struct run *run,
				      const struct store_message *message, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code = STORE_OK;
	int64_t position = 0;
	int rc;

	if (!run->conversation_id || strcmp(run->conversation_id, message->conversation_id) != 0)
		code = run_begin(store, run, message->conversation_id, err);
	if (code == STORE_OK)
		code = place_choose(store, message->position, run->position_last, &position, err);
	if (code == STORE_OK)
		code = store_statement(
		    store,
		    "INSERT INTO messages (conversation, position, role, content, time_us)"
		    " VALUES (?1, ?2, ?3, ?4, ?5)",
		    &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, run->conversation);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, position);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 3, store_role_names[message->role]);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 4, message->content);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 5, message->time_us);
	code = change(store, stmt, rc, err);
	if (code != STORE_OK)
		return code;
	run->position_last = position;
	run->count++;
	if (message->time_us > run->time_max_us)
		run->time_max_us = message->time_us;
	return STORE_OK;
}

enum store_code store_messages(struct store *store, const struct store_message *messages,
			       size_t message_count, struct store_error *err)
{
	struct run run = {0};
	enum store_code code = store_conversations_check(store, 1, err);

	if (code == STORE_OK)
		code = batch_check(store, messages, message_count, err);
	for (size_t i = 0; i < message_count && code == STORE_OK; i++) {
		code = message_check(store, &messages[i], err);
		if (code != STORE_OK)
			at_index(err, code, i);
	}
	if (code != STORE_OK || message_count == 0)
		return code;
	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	for (size_t i = 0; i < message_count && code == STORE_OK; i++) {
		code = message_insert(store, &run, &messages[i], err);
		if (code != STORE_OK)
			at_index(err, code, i);
	}
	if (code == STORE_OK)
		code = run_end(store, &run, err);
	return store_finish(store, code, err);
}

/* ---- adding tool uses ---- */

/* The message at that position, and the last number in it; 0 if there is no such message. */
static enum store_code message_find(struct store *store, const struct store_tool_use *use,
				    int64_t *ret_message, int64_t *ret_number_last,
				    struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int64_t numbers[2] = {0, 0};
	bool found = false;
	int rc;

	code = store_statement(store,
			       "SELECT message, (SELECT coalesce(max(number), 0) FROM tool_uses"
			       " WHERE tool_uses.message = messages.message)"
			       " FROM conversations JOIN messages USING (conversation)"
			       " WHERE conversation_id = ?1 AND position = ?2",
			       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = store_bind_text(stmt, 1, use->conversation_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, use->position);
	code = query_numbers(store, stmt, rc, numbers, &found, err);
	if (code != STORE_OK)
		return code;
	*ret_message = numbers[0];
	*ret_number_last = numbers[1];
	return STORE_OK;
}

static enum store_code use_insert(struct store *store, const struct store_tool_use *use,
				  struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int64_t message = 0;
	int64_t last = 0;
	int64_t number = 0;
	int rc;

	code = message_find(store, use, &message, &last, err);
	if (code == STORE_OK && message == 0)
		code = store_error_at(err, store, STORE_ERR_NOT_FOUND, 0,
				      "there is no message %" PRId64 " in a conversation '%s'",
				      use->position, use->conversation_id);
	if (code == STORE_OK)
		code = place_choose(store, use->number, last, &number, err);
	if (code == STORE_OK)
		code = store_statement(
		    store,
		    "INSERT INTO tool_uses (message, number, tool_name, status, duration_us,"
		    " input, output) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
		    &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, message);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, number);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 3, use->tool_name);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 4, status_names[use->status]);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 5, use->duration_us);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 6, use->input);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 7, use->output);
	return change(store, stmt, rc, err);
}

enum store_code store_tool_uses(struct store *store, const struct store_tool_use *uses,
				size_t use_count, struct store_error *err)
{
	enum store_code code = store_conversations_check(store, 2, err);

	if (code == STORE_OK)
		code = batch_check(store, uses, use_count, err);
	for (size_t i = 0; i < use_count && code == STORE_OK; i++) {
		code = use_check(store, &uses[i], err);
		if (code != STORE_OK)
			at_index(err, code, i);
	}
	if (code != STORE_OK || use_count == 0)
		return code;
	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	for (size_t i = 0; i < use_count && code == STORE_OK; i++) {
		code = use_insert(store, &uses[i], err);
		if (code != STORE_OK)
			at_index(err, code, i);
	}
	return store_finish(store, code, err);
}
