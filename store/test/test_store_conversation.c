/*
 * test_store_conversation.c: conversations, messages and tool uses: batches, what a conversation
 * says of its messages, reading on from a position, the migrations and the indexes.
 */
#include "store/test/store_test.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct store *conv_open_version(const char *path, size_t version)
{
	struct store_options options = {.profile = STORE_PROFILE_BULK,
					.schema = STORE_SCHEMA_CONVERSATIONS};

	if (version > 0) {
		options.migrations = store_migrations(STORE_SCHEMA_CONVERSATIONS, NULL);
		options.migration_count = version;
	}
	return open_with(path, &options);
}

static struct store *conv_open(const char *path)
{
	return conv_open_version(path, 0);
}

static bool query_has_row(struct sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	rc = sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	assert_true(rc == SQLITE_ROW || rc == SQLITE_DONE);
	return rc == SQLITE_ROW;
}

static const struct {
	int version;
	const char *text;
	const char *sql;
} invariants[] = {
#define INVARIANT(text, sql) {1, text, sql},
    STORE_CONVERSATION_INVARIANTS(INVARIANT)
#undef INVARIANT
#define INVARIANT(text, sql) {2, text, sql},
	STORE_CONVERSATION_INVARIANTS_2(INVARIANT)
#undef INVARIANT
#define INVARIANT(text, sql) {3, text, sql},
	    STORE_CONVERSATION_INVARIANTS_3(INVARIANT)
#undef INVARIANT
};

/* The first invariant that does not hold, or NULL. */
static const char *invariant_broken(struct store *store)
{
	for (size_t i = 0; i < COUNT_OF(invariants); i++) {
		if (invariants[i].version <= store_schema_version(store) &&
		    query_has_row(store_handle(store), invariants[i].sql))
			return invariants[i].text;
	}
	return NULL;
}

static void assert_sound(struct store *store)
{
	const char *broken = invariant_broken(store);

	if (broken)
		fail_msg("does not hold: %s", broken);
	assert_false(query_has_row(store_handle(store), "PRAGMA foreign_key_check"));
}

static void add(struct store *store, const char *id)
{
	const struct store_conversation conversation = {
	    .conversation_id = id, .project_id = "p", .title = "About", .created_us = 100};
	struct store_error err = {0};

	if (store_conversation_add(store, &conversation, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
}

static struct store_message message(const char *id, int64_t time_us, const char *content)
{
	return (struct store_message){.conversation_id = id,
				      .role = time_us % 2 ? STORE_ROLE_USER : STORE_ROLE_ASSISTANT,
				      .content = content,
				      .time_us = time_us};
}

static void say(struct store *store, const char *id, int64_t time_us, const char *content)
{
	const struct store_message one = message(id, time_us, content);
	struct store_error err = {0};

	if (store_messages(store, &one, 1, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
}

static struct store_tool_use use_of(const char *id, int64_t position, const char *tool)
{
	return (struct store_tool_use){.conversation_id = id,
				       .position = position,
				       .tool_name = tool,
				       .duration_us = 5,
				       .input = "in",
				       .output = ""};
}

static struct store_conversation_record found(struct store *store, const char *id)
{
	struct store_conversation_record record = {0};
	struct store_error err = {0};

	if (store_conversation_find(store, id, &record, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	return record;
}

static int64_t message_count(struct store *store)
{
	return query_int(store_handle(store), "SELECT count(*) FROM messages");
}

/* What visit has seen, as text: "position:role:content;" */
struct seen {
	char text[1024];
	size_t stop_after;
	size_t count;
	struct store *write_to; /* visit adds a message to it, once */
};

static bool visit(void *context, const struct store_message *got)
{
	struct seen *seen = context;
	size_t used = strlen(seen->text);

	snprintf(seen->text + used, sizeof(seen->text) - used, "%s%" PRId64 ":%d:%s:%" PRId64 ";",
		 got->conversation_id, got->position, (int)got->role, got->content, got->time_us);
	if (seen->write_to && seen->count == 0)
		say(seen->write_to, got->conversation_id, 77, "meanwhile");
	seen->count++;
	return seen->count != seen->stop_after;
}

/* [B9] A conversation is found as it was added; its id is taken from then on. */
static void test_add_and_find(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);
	struct store_conversation conversation = {
	    .conversation_id = "c1", .project_id = "p\xc3\xb6", .title = "", .created_us = -5};
	struct store_conversation_record record;
	struct store_error err = {0};

	assert_int_equal(store_conversation_add(store, &conversation, NULL), STORE_OK);
	record = found(store, "c1");
	assert_string_equal(record.conversation_id, "c1");
	assert_string_equal(record.project_id, "p\xc3\xb6");
	assert_string_equal(record.title, "");
	assert_int_equal(record.created_us, -5);
	assert_int_equal(record.last_updated_us, -5);
	assert_int_equal(record.message_count, 0);
	conversation.title = "another";
	assert_int_equal(store_conversation_add(store, &conversation, &err), STORE_ERR_EXISTS);
	assert_non_null(strstr(err.message, "c1"));
	assert_string_equal(found(store, "c1").title, "");
	assert_int_equal(store_conversation_find(store, "c2", &record, &err), STORE_ERR_NOT_FOUND);
	assert_sound(store);
	store_close(store);
}

/* [B9] A batch over several conversations gives each its next positions, and each its count and
 * time. */
static void test_messages(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);
	struct store_message batch[] = {
	    message("a", 201, "one"),	message("b", 150, "uno"), message("a", 203, "two"),
	    message("a", 202, "three"), message("b", 50, "dos"),
	};
	struct seen seen = {0};
	int64_t next = 0;

	add(store, "a");
	add(store, "b");
	batch[4].position = 2;
	assert_int_equal(store_messages(store, batch, COUNT_OF(batch), NULL), STORE_OK);
	assert_int_equal(found(store, "a").message_count, 3);
	assert_int_equal(found(store, "a").last_updated_us, 203);
	assert_int_equal(found(store, "b").message_count, 2);
	assert_int_equal(found(store, "b").last_updated_us, 150);
	assert_int_equal(found(store, "a").created_us, 100);
	assert_sound(store);
	assert_int_equal(store_messages_read(store, "a", 1, 100, visit, &seen, &next, NULL),
			 STORE_OK);
	assert_string_equal(seen.text, "a1:0:one:201;a2:0:two:203;a3:1:three:202;");
	assert_int_equal(next, 4);
	/* An older message does not turn the clock back, also in a later batch. */
	say(store, "a", 1, "late");
	assert_int_equal(found(store, "a").last_updated_us, 203);
	assert_sound(store);
	store_close(store);
}

/* [B9] A batch with one bad message in it leaves nothing, and the error names its index. */
static void test_batch_is_all_or_nothing(void **state)
{
	char *long_id = calloc(1, STORE_ID_BYTES_MAX + 2);
	char *huge = malloc(STORE_CONTENT_BYTES_MAX + 2);
	struct {
		struct store_message message;
		enum store_code code;
	} bad[] = {
	    {{"missing", 0, STORE_ROLE_USER, "x", 1}, STORE_ERR_NOT_FOUND},
	    {{"a", 1, STORE_ROLE_USER, "x", 1}, STORE_ERR_DUPLICATE},
	    {{"a", 3, STORE_ROLE_USER, "x", 1}, STORE_ERR_DUPLICATE},
	    {{"a", 5, STORE_ROLE_USER, "x", 1}, STORE_ERR_ORDER},
	    {{"a", -1, STORE_ROLE_USER, "x", 1}, STORE_ERR_INVALID},
	    {{"a", 0, (enum store_role)4, "x", 1}, STORE_ERR_INVALID},
	    {{"a", 0, STORE_ROLE_USER, NULL, 1}, STORE_ERR_INVALID},
	    {{"a", 0, STORE_ROLE_USER, "\xff", 1}, STORE_ERR_INVALID},
	    {{"a", 0, STORE_ROLE_USER, huge, 1}, STORE_ERR_INVALID},
	    {{"", 0, STORE_ROLE_USER, "x", 1}, STORE_ERR_INVALID},
	    {{NULL, 0, STORE_ROLE_USER, "x", 1}, STORE_ERR_INVALID},
	    {{long_id, 0, STORE_ROLE_USER, "x", 1}, STORE_ERR_INVALID},
	};
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);

	if (!long_id || !huge)
		abort();
	memset(long_id, 'i', STORE_ID_BYTES_MAX + 1);
	memset(huge, 'h', STORE_CONTENT_BYTES_MAX + 1);
	huge[STORE_CONTENT_BYTES_MAX + 1] = '\0';
	add(store, "a");
	add(store, "b");
	say(store, "a", 101, "there already");
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct store_message batch[4] = {message("b", 900, "x"), message("a", 901, "x"),
						 message("a", 902, "x"), bad[i].message};
		struct store_error err = {0};

		assert_int_equal(store_messages(store, batch, 4, &err), bad[i].code);
		assert_int_equal(err.code, bad[i].code);
		assert_int_equal(err.index, 3);
		assert_int_equal(message_count(store), 1);
		assert_int_equal(found(store, "b").message_count, 0);
		assert_int_equal(found(store, "a").last_updated_us, 101);
		assert_sound(store);
	}
	assert_int_equal(store_messages(store, NULL, 0, NULL), STORE_OK);
	assert_int_equal(store_messages(store, NULL, 1, NULL), STORE_ERR_INVALID);
	/* The largest content there may be. */
	huge[STORE_CONTENT_BYTES_MAX] = '\0';
	say(store, "a", 103, huge);
	free(long_id);
	free(huge);
	store_close(store);
}

/* [B9] Reading goes on from any position, stops where it is told to, and says where to go on. */
static void test_read_on(void **state)
{
	static const struct {
		int64_t first;
		size_t count_max;
		size_t stop_after;
		const char *expected;
		int64_t next;
	} reads[] = {
	    {1, 2, 0, "a1:0:m1:1;a2:1:m2:2;", 3},
	    {3, 2, 0, "a3:0:m3:3;a4:1:m4:4;", 5},
	    {5, 2, 0, "a5:0:m5:5;", 6},
	    {6, 2, 0, "", 6},
	    {INT64_MIN, 1, 0, "a1:0:m1:1;", 2},
	    {INT64_MAX, 1, 0, "", INT64_MAX},
	    {1, 9, 3, "a1:0:m1:1;a2:1:m2:2;a3:0:m3:3;", 4},
	    {4, 0, 0, "", 4},
	};
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);
	struct seen meanwhile = {.write_to = store};
	struct store_error err = {0};
	int64_t next = 99;

	add(store, "a");
	add(store, "b");
	for (int64_t i = 1; i <= 5; i++) {
		char content[32];

		snprintf(content, sizeof(content), "m%" PRId64, i);
		say(store, "a", i, content);
		say(store, "b", i, "not this one");
	}
	for (size_t i = 0; i < COUNT_OF(reads); i++) {
		struct seen seen = {.stop_after = reads[i].stop_after};

		assert_int_equal(store_messages_read(store, "a", reads[i].first, reads[i].count_max,
						     visit, &seen, &next, NULL),
				 STORE_OK);
		assert_string_equal(seen.text, reads[i].expected);
		assert_int_equal(next, reads[i].next);
	}
	/* visit may write, and what it wrote is visited. */
	assert_int_equal(store_messages_read(store, "a", 5, 9, visit, &meanwhile, NULL, NULL),
			 STORE_OK);
	assert_string_equal(meanwhile.text, "a5:0:m5:5;a6:0:meanwhile:77;");
	next = 99;
	assert_int_equal(store_messages_read(store, "c", 1, 9, visit, &meanwhile, &next, &err),
			 STORE_ERR_NOT_FOUND);
	assert_int_equal(store_messages_read(store, "a", 1, 9, NULL, NULL, &next, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(next, 99);
	store_close(store);
}

/* A stored message that the store cannot have written is an error, and not shown. */
static void test_read_what_is_damaged(void **state)
{
	static const char *const damages[] = {
	    "UPDATE messages SET content = x'00' WHERE position = 2",
	    "UPDATE messages SET content = CAST(x'610062' AS TEXT) WHERE position = 2",
	    "UPDATE messages SET role = 'nobody' WHERE position = 2",
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < COUNT_OF(damages); i++) {
		struct seen seen = {0};
		struct store *store;

		folder_empty(folder);
		store = conv_open(folder->store);
		add(store, "a");
		say(store, "a", 1, "x");
		say(store, "a", 2, "y");
		exec(store_handle(store), "PRAGMA ignore_check_constraints = 1");
		exec(store_handle(store), damages[i]);
		assert_int_equal(store_messages_read(store, "a", 1, 9, visit, &seen, NULL, NULL),
				 STORE_ERR_CORRUPT);
		assert_string_equal(seen.text, "a1:0:x:1;");
		store_close(store);
	}
}

/* [B9] Tool uses are numbered in their message; a batch is all or nothing, by index. */
static void test_tool_uses(void **state)
{
	struct {
		struct store_tool_use use;
		enum store_code code;
	} bad[] = {
	    {{"a", 3, 0, "t", STORE_TOOL_SUCCESS, 1, "", ""}, STORE_ERR_NOT_FOUND},
	    {{"c", 1, 0, "t", STORE_TOOL_SUCCESS, 1, "", ""}, STORE_ERR_NOT_FOUND},
	    {{"a", 1, 1, "t", STORE_TOOL_SUCCESS, 1, "", ""}, STORE_ERR_DUPLICATE},
	    {{"a", 1, 9, "t", STORE_TOOL_SUCCESS, 1, "", ""}, STORE_ERR_ORDER},
	    {{"a", 1, -1, "t", STORE_TOOL_SUCCESS, 1, "", ""}, STORE_ERR_INVALID},
	    {{"a", -1, 0, "t", STORE_TOOL_SUCCESS, 1, "", ""}, STORE_ERR_INVALID},
	    {{"a", 1, 0, "", STORE_TOOL_SUCCESS, 1, "", ""}, STORE_ERR_INVALID},
	    {{"a", 1, 0, NULL, STORE_TOOL_SUCCESS, 1, "", ""}, STORE_ERR_INVALID},
	    {{"a", 1, 0, "t", (enum store_tool_status)3, 1, "", ""}, STORE_ERR_INVALID},
	    {{"a", 1, 0, "t", STORE_TOOL_SUCCESS, -1, "", ""}, STORE_ERR_INVALID},
	    {{"a", 1, 0, "t", STORE_TOOL_SUCCESS, 1, NULL, ""}, STORE_ERR_INVALID},
	    {{"a", 1, 0, "t", STORE_TOOL_SUCCESS, 1, "", "\xff"}, STORE_ERR_INVALID},
	};
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);
	struct store_tool_use batch[3] = {use_of("a", 1, "grep"), use_of("a", 2, "read"),
					  use_of("a", 1, "grep")};
	struct store_error err = {0};

	add(store, "a");
	say(store, "a", 1, "x");
	say(store, "a", 2, "y");
	batch[1].status = STORE_TOOL_CANCELLED;
	batch[2].number = 2;
	assert_int_equal(store_tool_uses(store, batch, 3, NULL), STORE_OK);
	assert_query_text(store_handle(store),
			  "SELECT group_concat(position || '/' || number || '/' || tool_name"
			  " || '/' || status || '/' || duration_us || '/' || input, ' ') FROM"
			  " (SELECT * FROM tool_uses JOIN messages USING (message)"
			  "  ORDER BY tool_use)",
			  "1/1/grep/success/5/in 2/1/read/cancelled/5/in 1/2/grep/success/5/in");
	assert_sound(store);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		batch[0] = use_of("a", 2, "edit");
		batch[1] = bad[i].use;
		assert_int_equal(store_tool_uses(store, batch, 2, &err), bad[i].code);
		assert_int_equal(err.index, 1);
		assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM tool_uses"),
				 3);
	}
	assert_int_equal(store_tool_uses(store, NULL, 0, NULL), STORE_OK);
	assert_int_equal(store_tool_uses(store, NULL, 1, NULL), STORE_ERR_INVALID);
	assert_sound(store);
	store_close(store);
}

/* Arguments that can be none are errors; a store of another schema is not touched. */
static void test_arguments(void **state)
{
	const struct store_conversation bad[] = {
	    {NULL, "p", "t", 1}, {"", "p", "t", 1},	{"c", NULL, "t", 1},   {"c", "", "t", 1},
	    {"c", "p", NULL, 1}, {"\xff", "p", "t", 1}, {"c", "p", "\xff", 1},
	};
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);
	char title[STORE_TITLE_BYTES_MAX + 2];
	struct store_conversation longest = {"long", "p", title, 1};
	struct store_error err = {0};

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(store_conversation_add(store, &bad[i], &err), STORE_ERR_INVALID);
	assert_int_equal(store_conversation_add(store, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_conversation_add(NULL, &bad[0], &err), STORE_ERR_INVALID);
	assert_int_equal(store_conversation_find(store, "c", NULL, &err), STORE_ERR_INVALID);
	memset(title, 't', sizeof(title));
	title[STORE_TITLE_BYTES_MAX + 1] = '\0';
	assert_int_equal(store_conversation_add(store, &longest, &err), STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "title is too long"));
	title[STORE_TITLE_BYTES_MAX] = '\0';
	assert_int_equal(store_conversation_add(store, &longest, &err), STORE_OK);
	assert_string_equal(found(store, "long").title, title);
	store_close(store);
	folder_empty(folder);
	store = open_with(folder->store, NULL);
	assert_int_equal(store_messages(store, NULL, 0, &err), STORE_ERR_INVALID);
	assert_int_equal(store_messages_read(store, "c", 1, 1, visit, NULL, NULL, &err),
			 STORE_ERR_INVALID);
	store_close(store);
}

/* [A2] The program of each version works on its store, and the next migration fills in what that
 * version did not have. */
static void test_versions(void **state)
{
	const struct folder *folder = folder_of(state);
	size_t last = 0;

	store_migrations(STORE_SCHEMA_CONVERSATIONS, &last);
	assert_int_equal(last, 4);
	for (size_t version = 1; version <= last; version++) {
		const struct store_tool_use use = use_of("a", 2, "grep");
		struct store_error err = {0};
		struct store *store;

		folder_empty(folder);
		store = conv_open_version(folder->store, version);
		add(store, "a");
		add(store, "b");
		say(store, "a", 201, "x");
		say(store, "a", 202, "y");
		if (version == 1) {
			assert_int_equal(store_tool_uses(store, &use, 1, &err), STORE_ERR_INVALID);
			assert_non_null(strstr(err.message, "version"));
		} else {
			assert_int_equal(store_tool_uses(store, &use, 1, NULL), STORE_OK);
		}
		assert_int_equal(found(store, "a").message_count, 2);
		assert_int_equal(found(store, "a").last_updated_us, 202);
		assert_sound(store);
		store_close(store);
		store = conv_open(folder->store);
		assert_sound(store);
		assert_int_equal(found(store, "a").message_count, 2);
		assert_int_equal(found(store, "b").message_count, 0);
		say(store, "a", 203, "z");
		assert_int_equal(found(store, "a").message_count, 3);
		assert_sound(store);
		store_close(store);
	}
}

/* [B9] Each invariant of the header is broken by what it is about, and each damage breaks one. */
static void test_invariants_see(void **state)
{
	static const char *const damages[] = {
	    "UPDATE messages SET conversation = 99 WHERE message = 1",
	    "UPDATE messages SET position = 7 WHERE message = 1",
	    "UPDATE messages SET position = position + 1",
	    "DELETE FROM messages WHERE message = 1",
	    "UPDATE messages SET position = 1, message = 9 WHERE position = 2",
	    "UPDATE conversations SET last_updated_us = last_updated_us - 1",
	    "UPDATE conversations SET last_updated_us = last_updated_us + 1",
	    "UPDATE tool_uses SET message = 99",
	    "UPDATE tool_uses SET number = 2",
	    "UPDATE conversations SET message_count = message_count + 1",
	};
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);
	struct sqlite3 *db = store_handle(store);
	const struct store_tool_use use = use_of("a", 1, "grep");
	bool seen[COUNT_OF(invariants)] = {false};

	add(store, "a");
	say(store, "a", 201, "x");
	say(store, "a", 202, "y");
	say(store, "a", 203, "z");
	assert_int_equal(store_tool_uses(store, &use, 1, NULL), STORE_OK);
	exec(db, "PRAGMA foreign_keys = OFF");
	exec(db, "CREATE TABLE m AS SELECT * FROM messages; DROP TABLE messages;"
		 "ALTER TABLE m RENAME TO messages");
	assert_null(invariant_broken(store));
	for (size_t i = 0; i < COUNT_OF(damages); i++) {
		bool any = false;

		exec(db, "BEGIN");
		exec(db, damages[i]);
		for (size_t j = 0; j < COUNT_OF(invariants); j++) {
			if (query_has_row(db, invariants[j].sql)) {
				seen[j] = true;
				any = true;
			}
		}
		if (!any)
			fail_msg("nobody sees: %s", damages[i]);
		exec(db, "ROLLBACK");
	}
	for (size_t j = 0; j < COUNT_OF(seen); j++)
		assert_true(seen[j]);
	store_close(store);
}

/* [B9] The common questions are answered by the index that was made for each, and sorted by none.
 */
static void test_questions_follow_indexes(void **state)
{
	static const struct {
		const char *sql;
		const char *index;
	} questions[] = {
	    {"SELECT content FROM messages WHERE conversation = 1 ORDER BY time_us DESC LIMIT 20",
	     "messages_by_time"},
	    {"SELECT content FROM messages WHERE role = 'assistant' ORDER BY time_us DESC LIMIT 20",
	     "messages_by_role"},
	    {"SELECT content FROM messages WHERE conversation = 1 AND role = 'user'"
	     " ORDER BY time_us DESC LIMIT 20",
	     "messages_of_users"},
	    {"SELECT max(duration_us) FROM tool_uses WHERE tool_name = 'grep' AND status = 'error'",
	     "tool_uses_by_tool"},
	    {"SELECT input FROM tool_uses WHERE status = 'success' AND duration_us > 9"
	     " ORDER BY duration_us DESC LIMIT 20",
	     "tool_uses_successful"},
	    {"SELECT title FROM conversations WHERE project_id = 'p'"
	     " ORDER BY last_updated_us DESC LIMIT 20",
	     "conversations_by_project"},
	};
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);

	for (size_t i = 0; i < COUNT_OF(questions); i++) {
		sqlite3_stmt *plan = NULL;
		char sql[512];
		char text[512] = "";

		snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", questions[i].sql);
		assert_int_equal(sqlite3_prepare_v2(store_handle(store), sql, -1, &plan, NULL),
				 SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW) {
			size_t used = strlen(text);

			snprintf(text + used, sizeof(text) - used, "%s; ",
				 (const char *)sqlite3_column_text(plan, 3));
		}
		sqlite3_finalize(plan);
		if (!strstr(text, questions[i].index) || strstr(text, "SCAN") ||
		    strstr(text, "TEMP B-TREE"))
			fail_msg("%s: %s", questions[i].sql, text);
	}
	store_close(store);
}

/* Reading 2,000 messages takes no more of SQLite's memory than reading 20. */
static void test_constant_memory(void **state)
{
	enum { MESSAGES = 2000, FEW = 20 };
	const struct folder *folder = folder_of(state);
	struct store *store = conv_open(folder->store);
	struct store_message batch[MESSAGES];
	struct seen seen = {0};
	sqlite3_int64 few;
	sqlite3_int64 many;

	add(store, "a");
	for (int i = 0; i < MESSAGES; i++)
		batch[i] = message("a", i, "a message of some length, as they are");
	assert_int_equal(store_messages(store, batch, MESSAGES, NULL), STORE_OK);
	assert_int_equal(store_messages_read(store, "a", 1, MESSAGES, visit, &seen, NULL, NULL),
			 STORE_OK);
	assert_int_equal(seen.count, MESSAGES);
	sqlite3_memory_highwater(1);
	assert_int_equal(store_messages_read(store, "a", 1, FEW, visit, &seen, NULL, NULL),
			 STORE_OK);
	few = sqlite3_memory_highwater(1);
	assert_int_equal(store_messages_read(store, "a", 1, MESSAGES, visit, &seen, NULL, NULL),
			 STORE_OK);
	many = sqlite3_memory_highwater(1);
	assert_true(few > 0);
	assert_true(many <= few + 4096);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_add_and_find),
	    TEST(test_messages),
	    TEST(test_batch_is_all_or_nothing),
	    TEST(test_read_on),
	    TEST(test_read_what_is_damaged),
	    TEST(test_tool_uses),
	    TEST(test_arguments),
	    TEST(test_versions),
	    TEST(test_invariants_see),
	    TEST(test_questions_follow_indexes),
	    TEST(test_constant_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
