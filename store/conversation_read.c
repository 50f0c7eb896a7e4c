/*
 * conversation_read.c: a conversation, and its messages one by one.
 *
 * Each message is a statement of its own, and copied before it is shown: nothing of SQLite's is
 * held while the caller looks. It needs no snapshot, because messages are only ever added behind
 * the last: whatever is committed meanwhile, what was visited stays true.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/conversation_internal.h"

static enum store_code read_check(const struct store *store, const char *conversation_id,
				  struct store_error *err)
{
	enum store_code code = store_conversations_check(store, 1, err);
	const char *complaint;

	if (code != STORE_OK)
		return code;
	complaint = store_text_complaint(conversation_id, STORE_ID_BYTES_MAX, false, NULL);
	if (complaint)
		return store_error_at(err, store, STORE_ERR_INVALID, 0, "conversation_id %s",
				      complaint);
	return STORE_OK;
}

/* Steps a query of at most one row; *ret_found says whether it can be read. rc is what binding
 * returned. */
static enum store_code query(struct store *store, sqlite3_stmt *stmt, int rc, bool *ret_found,
			     struct store_error *err)
{
	enum store_code code;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
		*ret_found = rc == SQLITE_ROW;
		return STORE_OK;
	}
	code = store_error_set_sqlite(err, store->db, rc, "cannot read the conversation");
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return code;
}

static void query_end(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

static enum store_code missing(const struct store *store, const char *conversation_id,
			       struct store_error *err)
{
	return store_error_at(err, store, STORE_ERR_NOT_FOUND, 0, "there is no conversation '%s'",
			      conversation_id);
}

/* A text column of the row, which is SQLite's memory. STORE_ERR_CORRUPT if the store cannot have
 * written it. */
static enum store_code column_text(struct store *store, sqlite3_stmt *stmt, int column,
				   size_t bytes_max, const char **ret_text, size_t *ret_bytes,
				   struct store_error *err)
{
	bool is_text = sqlite3_column_type(stmt, column) == SQLITE_TEXT;
	const char *text = is_text ? (const char *)sqlite3_column_text(stmt, column) : NULL;
	size_t size_bytes = is_text ? (size_t)sqlite3_column_bytes(stmt, column) : 0;

	if (is_text && !text)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "no memory for a text");
	if (!is_text || size_bytes > bytes_max || strlen(text) != size_bytes)
		return store_error_at(err, store, STORE_ERR_CORRUPT, 0,
				      "'%s' is stored as the store cannot have written it",
				      sqlite3_column_name(stmt, column));
	*ret_text = text;
	*ret_bytes = size_bytes;
	return STORE_OK;
}

static enum store_code column_copy(struct store *store, sqlite3_stmt *stmt, int column,
				   size_t bytes_max, char *ret_text, struct store_error *err)
{
	const char *text = NULL;
	size_t size_bytes = 0;
	enum store_code code = column_text(store, stmt, column, bytes_max, &text, &size_bytes, err);

	if (code == STORE_OK)
		memcpy(ret_text, text, size_bytes + 1);
	return code;
}

/* ---- one conversation ---- */

static enum store_code record_read(struct store *store, sqlite3_stmt *stmt,
				   struct store_conversation_record *ret_record,
				   struct store_error *err)
{
	struct store_conversation_record record = {
	    .created_us = sqlite3_column_int64(stmt, 3),
	    .last_updated_us = sqlite3_column_int64(stmt, 4),
	    .message_count = sqlite3_column_int64(stmt, 5),
	};
	enum store_code code;

	code = column_copy(store, stmt, 0, STORE_ID_BYTES_MAX, record.conversation_id, err);
	if (code == STORE_OK)
		code = column_copy(store, stmt, 1, STORE_ID_BYTES_MAX, record.project_id, err);
	if (code == STORE_OK)
		code = column_copy(store, stmt, 2, STORE_TITLE_BYTES_MAX, record.title, err);
	if (code == STORE_OK)
		*ret_record = record;
	return code;
}

enum store_code store_conversation_find(struct store *store, const char *conversation_id,
					struct store_conversation_record *ret_conversation,
					struct store_error *err)
{
	static const char sql_first[] =
	    "SELECT conversation_id, project_id, title, created_us, last_updated_us,"
	    " (SELECT count(*) FROM messages"
	    " WHERE messages.conversation = conversations.conversation)"
	    " FROM conversations WHERE conversation_id = ?1";
	static const char sql[] =
	    "SELECT conversation_id, project_id, title, created_us, last_updated_us, message_count"
	    " FROM conversations WHERE conversation_id = ?1";
	enum store_code code = read_check(store, conversation_id, err);
	sqlite3_stmt *stmt;
	bool found = false;

	if (code == STORE_OK && !ret_conversation)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "ret_conversation is NULL");
	if (code == STORE_OK)
		code = store_statement(store, store->version >= 3 ? sql : sql_first, &stmt, err);
	if (code == STORE_OK)
		code = query(store, stmt,
			     sqlite3_bind_text(stmt, 1, conversation_id, -1, SQLITE_STATIC), &found,
			     err);
	if (code != STORE_OK)
		return code;
	code = found ? record_read(store, stmt, ret_conversation, err)
		     : missing(store, conversation_id, err);
	query_end(stmt);
	return code;
}

/* ---- messages ---- */

/* A message with the memory that it points to. */
struct held {
	struct store_message message;
	char *content;
	size_t content_bytes; /* that there is room for */
};

static enum store_code role_read(struct store *store, sqlite3_stmt *stmt, enum store_role *ret_role,
				 struct store_error *err)
{
	const char *text = NULL;
	size_t size_bytes = 0;
	enum store_code code = column_text(store, stmt, 1, SIZE_MAX, &text, &size_bytes, err);

	if (code != STORE_OK)
		return code;
	for (size_t i = 0; i < STORE_ROLE_COUNT; i++) {
		if (strcmp(text, store_role_names[i]) == 0) {
			*ret_role = (enum store_role)i;
			return STORE_OK;
		}
	}
	return store_error_at(err, store, STORE_ERR_CORRUPT, 0, "unknown role '%.40s'", text);
}

/* Copies the message of the row. */
static enum store_code held_fill(struct store *store, sqlite3_stmt *stmt, struct held *held,
				 struct store_error *err)
{
	const char *text = NULL;
	size_t size_bytes = 0;
	enum store_code code = role_read(store, stmt, &held->message.role, err);

	if (code == STORE_OK)
		code =
		    column_text(store, stmt, 2, STORE_CONTENT_BYTES_MAX, &text, &size_bytes, err);
	if (code != STORE_OK)
		return code;
	if (!held->content || size_bytes >= held->content_bytes) {
		char *content = malloc(size_bytes + 1);

		if (!content)
			return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0,
					      "no memory for a message of %zu bytes", size_bytes);
		free(held->content);
		held->content = content;
		held->content_bytes = size_bytes + 1;
	}
	memcpy(held->content, text, size_bytes + 1);
	held->message.content = held->content;
	held->message.position = sqlite3_column_int64(stmt, 0);
	held->message.time_us = sqlite3_column_int64(stmt, 3);
	return STORE_OK;
}

/* The first message at `position` or behind it. */
static enum store_code message_next(struct store *store, int64_t conversation, int64_t position,
				    struct held *held, bool *ret_found, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_check_running(store, err);
	if (code == STORE_OK)
		code = store_statement(store,
				       "SELECT position, role, content, time_us FROM messages"
				       " WHERE conversation = ?1 AND position >= ?2"
				       " ORDER BY position LIMIT 1",
				       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, conversation);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, position);
	code = query(store, stmt, rc, ret_found, err);
	if (code != STORE_OK)
		return code;
	if (*ret_found)
		code = held_fill(store, stmt, held, err);
	query_end(stmt);
	return code;
}

static enum store_code conversation_number(struct store *store, const char *conversation_id,
					   int64_t *ret_conversation, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	bool found = false;

	code = store_statement(
	    store, "SELECT conversation FROM conversations WHERE conversation_id = ?1", &stmt, err);
	if (code == STORE_OK)
		code = query(store, stmt,
			     sqlite3_bind_text(stmt, 1, conversation_id, -1, SQLITE_STATIC), &found,
			     err);
	if (code != STORE_OK)
		return code;
	if (found)
		*ret_conversation = sqlite3_column_int64(stmt, 0);
	else
		code = missing(store, conversation_id, err);
	query_end(stmt);
	return code;
}

enum store_code store_messages_read(struct store *store, const char *conversation_id,
				    int64_t position_first, size_t message_count_max,
				    bool (*visit)(void *context,
						  const struct store_message *message),
				    void *context, int64_t *ret_next, struct store_error *err)
{
	enum store_code code = read_check(store, conversation_id, err);
	struct held held = {.message.conversation_id = conversation_id};
	int64_t conversation = 0;
	int64_t next = position_first;
	bool found = true;

	if (code == STORE_OK && !visit)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "visit is NULL");
	if (code == STORE_OK)
		code = conversation_number(store, conversation_id, &conversation, err);
	for (size_t i = 0; i < message_count_max && code == STORE_OK && found; i++) {
		bool more;

		code = message_next(store, conversation, next, &held, &found, err);
		if (code != STORE_OK || !found)
			break;
		/* The last position of all has none behind it. */
		more = held.message.position < INT64_MAX;
		next = more ? held.message.position + 1 : held.message.position;
		if (!visit(context, &held.message) || !more)
			break;
	}
	free(held.content);
	if (code == STORE_OK && ret_next)
		*ret_next = next;
	return code;
}
