/*
 * store.conversations: conversations that many take part in at once (store/conversation.h): batches
 * of messages with their tool uses through the queue, several in flight, readers and analytics
 * beside the writer, migrations half way.
 *
 * A batch is one command: some messages of one conversation, and a tool use for every second one.
 * Positions are given by the worker, so that what an I/O error has failed can be said again: what
 * is there already is a duplicate, and kept.
 *
 * The analytics are what an observer of such a service asks: joins and aggregates over everything,
 * on a reader of the pool. In a recording they run between two rounds, under `kill` on a thread of
 * their own all the time.
 */
#include "harness/drive/workload_service.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 100, ID_SIZE = 48, CONVERSATIONS_MAX = 1000, ATTEMPTS = 3, LATEST = 5 };

static const struct workload_param params[] = {
    {"conversations", 1, CONVERSATIONS_MAX, 2, "conversations of a worker", 4},
    {"messages", 1, 1000000, 6, "messages of each", 20},
    {"batch", 1, BATCH_MAX, 2, "messages in a command", 0},
    {"in_flight", 1, WORKLOAD_IN_FLIGHT_MAX, 3, "commands that wait for a result at once", 8},
    {"payload", 1, 65536, 80, "bytes of a message", 0},
    {"migrate", 0, 1, 1, "1: the newer program takes over half way; 0: it runs from the start", 0},
    WORKLOAD_WAL_BYTES,
    WORKLOAD_FAIL_SYNC,
};

static const char *const defects[] = {"count-later"};

struct talk;

struct conversation {
	char id[ID_SIZE];
	int64_t last; /* position of the last message */
};

struct batch {
	struct workload_operation base;
	struct talk *talk;
	struct conversation *conversation;
	int64_t first; /* position; 0: the conversation itself */
	size_t count;
};

struct talk {
	struct workload_service w;
	struct conversation *conversations;
	size_t conversation_count, batch_count, in_flight;
	size_t payload_bytes;
	struct batch *batches;
	pthread_t observer;
	bool observed; /* the thread was started */
	atomic_bool end;
	struct err observed_err;
};

/* ---- what a command does ------------------------------------------------------------------- */

/* Text that is a function of conversation and position. */
static void fill(char *text, size_t bytes, const struct conversation *c, int64_t position)
{
	int n = snprintf(text, bytes + 1, "%s, message %lld. ", c->id, (long long)position);

	for (size_t i = (size_t)n; i < bytes; i++)
		text[i] = text[i % (size_t)n];
	text[bytes] = '\0';
}

static enum store_code open_conversation(struct store *store, const struct batch *b,
					 struct store_error *e)
{
	struct store_conversation row = {
	    .conversation_id = b->conversation->id,
	    .project_id = "project",
	    .title = "a conversation",
	};
	enum store_code code = store_conversation_add(store, &row, e);

	return code == STORE_ERR_EXISTS ? STORE_OK : code;
}

static enum store_code say(struct store *store, void *ctx, struct store_error *e)
{
	static const enum store_role roles[] = {STORE_ROLE_USER, STORE_ROLE_ASSISTANT};
	const struct batch *b = ctx;
	struct store_message messages[BATCH_MAX];
	struct store_tool_use uses[BATCH_MAX];
	size_t stride = b->talk->payload_bytes + ID_SIZE + 40, use_count = 0;
	enum store_code code;
	char *texts;

	if (b->first == 0)
		return open_conversation(store, b, e);
	texts = xcalloc(b->count, stride);
	for (size_t i = 0; i < b->count; i++) {
		int64_t position = b->first + (int64_t)i;
		char *text = texts + i * stride;
		fill(text, b->talk->payload_bytes, b->conversation, position);
		messages[i] = (struct store_message){
		    .conversation_id = b->conversation->id,
		    .position = position,
		    .role = roles[position % 2 == 0],
		    .content = text,
		    .time_us = position * 1000,
		};
		if (position % 2 == 0)
			uses[use_count++] = (struct store_tool_use){
			    .conversation_id = b->conversation->id,
			    .position = position,
			    .number = 1,
			    .tool_name = position % 4 == 0 ? "search" : "edit",
			    .status = position % 6 == 0 ? STORE_TOOL_ERROR : STORE_TOOL_SUCCESS,
			    .duration_us = position,
			    .input = "{}",
			    .output = text,
			};
	}
	code = store_messages(store, messages, b->count, e);
	if (code == STORE_OK && use_count > 0)
		code = store_tool_uses(store, uses, use_count, e);
	free(texts);
	/* A batch is there whole or not at all, so its first message stands for all. */
	return code == STORE_ERR_DUPLICATE && b->talk->w.may_fail ? STORE_OK : code;
}

/* The defect "count-later": a message is added, and counted by the next transaction. */
static int count_later(struct talk *t, struct err *err)
{
	static const char sql[] =
	    "INSERT INTO messages (conversation, position, role, time_us, content) "
	    "SELECT conversation, message_count + 1, 'user', 0, 'late' FROM conversations;"
	    "UPDATE conversations SET message_count = message_count + 1";
	return workload_run_sql(t->w.env, sql, err);
}

/* ---- readers beside the writer ------------------------------------------------------------- */

struct latest {
	const struct talk *talk;
	const struct conversation *conversation;
	int64_t expected; /* position */
	bool wrong;
};

static bool look(void *ctx, const struct store_message *message)
{
	struct latest *l = ctx;
	size_t bytes = l->talk->payload_bytes;
	char *text = xcalloc(bytes + ID_SIZE + 40, 1);

	fill(text, bytes, l->conversation, l->expected);
	l->wrong =
	    l->wrong || message->position != l->expected || strcmp(message->content, text) != 0;
	l->expected++;
	free(text);
	return true;
}

/* What the reader sees must hold together at any moment. */
static int observe(struct talk *t, struct store *reader, struct err *err)
{
	static const char *const questions[] = {
	    "SELECT count(*) FROM messages JOIN conversations USING (conversation) "
	    "GROUP BY project_id, role ORDER BY count(*) DESC",
	    "SELECT tool_name, count(*), avg(duration_us), max(length(output)) FROM tool_uses "
	    "JOIN messages USING (message) WHERE status = 'success' GROUP BY tool_name",
	    "SELECT conversation_id, last_updated_us FROM conversations "
	    "WHERE project_id = 'project' ORDER BY last_updated_us DESC LIMIT 10",
	};
	struct sqlite3 *db = store_handle(reader);
	struct latest l = {.talk = t, .conversation = &t->conversations[0]};
	int64_t number = 0, count = 0;
	struct store_error e;
	enum store_code code;
	int rc = 0;

	for (size_t i = 0; i < sizeof questions / sizeof questions[0] && rc == 0; i++)
		rc = workload_query_number(db, questions[i], NULL, &number, err);
	/* Messages and uses of a batch come together. */
	if (rc == 0)
		rc = workload_query_number(
		    db,
		    "SELECT count(*) FROM messages LEFT JOIN tool_uses USING (message) "
		    "WHERE position % 2 = 0 AND tool_name IS NULL",
		    NULL, &number, err);
	if (rc == 0 && number != 0)
		rc = err_set(err, ERR_SQLITE, "store: a reader sees half of a batch");
	if (rc == 0)
		rc = workload_query_number(db,
					   "SELECT count(*) FROM messages JOIN conversations "
					   "USING (conversation) WHERE conversation_id = ?1",
					   l.conversation->id, &count, err);
	if (rc != 0 || count == 0)
		return rc;
	l.expected = count > LATEST ? count - LATEST : 1;
	code =
	    store_messages_read(reader, l.conversation->id, l.expected, LATEST, look, &l, NULL, &e);
	if (code != STORE_OK)
		return workload_store_failed(code, &e, err);
	return l.wrong ? err_set(err, ERR_SQLITE, "store: a reader sees another message") : 0;
}

static int observe_once(struct talk *t, struct err *err)
{
	struct store *reader = NULL;
	int rc = workload_service_reader(&t->w, &reader, err);

	if (rc != 0)
		return rc;
	rc = observe(t, reader, err);
	workload_service_give(&t->w, reader);
	return rc;
}

static void *observe_all_the_time(void *ctx)
{
	struct talk *t = ctx;

	while (!atomic_load(&t->end) && t->observed_err.code == 0)
		(void)observe_once(t, &t->observed_err);
	return NULL;
}

static int observer_start(struct talk *t, struct err *err)
{
	if (!t->w.env->threads)
		return 0;
	atomic_store(&t->end, false);
	if (pthread_create(&t->observer, NULL, observe_all_the_time, t) != 0)
		return err_set(err, ERR_NOMEM, "cannot start a thread");
	t->observed = true;
	return 0;
}

static int observer_stop(struct talk *t, struct err *err)
{
	if (!t->observed)
		return 0;
	atomic_store(&t->end, true);
	(void)pthread_join(t->observer, NULL);
	t->observed = false;
	if (t->observed_err.code == 0)
		return 0;
	return err_set(err, t->observed_err.code, "%s", t->observed_err.message);
}

/* ---- rounds -------------------------------------------------------------------------------- */

static int run_round(struct talk *t, size_t count, struct err *err)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		bool kept = true;
		int rc = 0;
		for (size_t i = 0; i < count && rc == 0; i++)
			if (attempt == 0 || t->batches[i].base.code != STORE_OK)
				rc = workload_service_submit(&t->w, &t->batches[i].base, err);
		if (rc == 0)
			rc = workload_service_settle(&t->w, err);
		if (rc != 0)
			return rc;
		for (size_t i = 0; i < count; i++)
			kept = kept && t->batches[i].base.code == STORE_OK;
		if (kept)
			return t->observed ? 0 : observe_once(t, err);
	}
	return err_set(err, ERR_SQLITE, "store: after %d attempts a batch still fails", ATTEMPTS);
}

static void prepare(struct talk *t, struct batch *b, struct conversation *c, size_t count)
{
	*b = (struct batch){
	    .base = {.work = say, .context = b},
	    .talk = t,
	    .conversation = c,
	    .first = count == 0 ? 0 : c->last + 1,
	    .count = count,
	};
	c->last += (int64_t)count;
	if (count > 0)
		(void)snprintf(b->base.ack, sizeof b->base.ack, "%s %lld", c->id,
			       (long long)c->last);
}

/* `messages` more in every conversation, the conversations in turn; 0: the conversations. */
static int talk_on(struct talk *t, int64_t messages, struct err *err)
{
	const struct workload_env *env = t->w.env;
	int64_t batches = (messages + (int64_t)t->batch_count - 1) / (int64_t)t->batch_count;
	int64_t left = (messages == 0 ? 1 : batches) * (int64_t)t->conversation_count;
	size_t n = 0;
	int rc = 0;

	for (int64_t i = 0; i < left && rc == 0; i++) {
		struct conversation *c = &t->conversations[i % (int64_t)t->conversation_count];
		if (n == 0 && env->stop != NULL && env->stop(env->ctx))
			return 0;
		prepare(t, &t->batches[n++], c, messages == 0 ? 0 : t->batch_count);
		if (n == t->in_flight || i + 1 == left) {
			rc = run_round(t, n, err);
			n = 0;
		}
	}
	return rc;
}

/* A worker that was killed goes on behind the last message that is there. */
static int find_place(struct talk *t, struct err *err)
{
	struct store *reader = NULL;
	int rc = workload_service_reader(&t->w, &reader, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < t->conversation_count && rc == 0; i++)
		rc = workload_query_number(
		    store_handle(reader),
		    "SELECT max(position) FROM messages JOIN conversations USING (conversation) "
		    "WHERE conversation_id = ?1",
		    t->conversations[i].id, &t->conversations[i].last, err);
	workload_service_give(&t->w, reader);
	return rc;
}

/* From opening to closing, as the program that knows so many migrations. */
static int session(struct talk *t, size_t migration_count, int64_t messages,
		   const struct store_service_options *base, struct err *err)
{
	int rc = workload_service_open(&t->w, migration_count, base, err);

	if (rc == 0)
		rc = find_place(t, err);
	if (rc == 0)
		rc = talk_on(t, 0, err);
	if (rc == 0)
		rc = observer_start(t, err);
	if (rc == 0)
		rc = talk_on(t, messages, err);
	if (rc == 0)
		rc = observer_stop(t, err);
	else
		(void)observer_stop(t, NULL);
	if (rc == 0)
		rc = workload_service_close(&t->w, err);
	return rc;
}

static int conversations_run(const struct workload_env *env, struct err *err)
{
	const struct workload *w = &workload_conversations;
	int64_t messages = workload_param(w, env->params, "messages");
	struct talk t = {
	    .conversation_count = (size_t)workload_param(w, env->params, "conversations"),
	    .batch_count = (size_t)workload_param(w, env->params, "batch"),
	    .in_flight = (size_t)workload_param(w, env->params, "in_flight"),
	    .payload_bytes = (size_t)workload_param(w, env->params, "payload"),
	};
	struct store_service_options base = {
	    .queue_count_max = WORKLOAD_IN_FLIGHT_MAX,
	    .wal_bytes_max = (uint64_t)workload_param(w, env->params, "wal_bytes"),
	};
	int rc = workload_store_usable(err);

	if (rc != 0)
		return rc;
	workload_service_init(&t.w, env, STORE_SCHEMA_CONVERSATIONS,
			      workload_param(w, env->params, "fail_sync"));
	t.batches = xcalloc(t.in_flight, sizeof *t.batches);
	t.conversations = xcalloc(t.conversation_count, sizeof *t.conversations);
	for (size_t i = 0; i < t.conversation_count; i++)
		(void)snprintf(t.conversations[i].id, ID_SIZE, "worker-%u/%zu", env->worker, i);
	if (workload_param(w, env->params, "migrate") == 1) {
		/* Two migrations are to come. */
		rc = session(&t, t.w.migration_count - 2, messages / 2, &base, err);
		messages -= messages / 2;
	}
	if (rc == 0)
		rc = session(&t, t.w.migration_count, messages, &base, err);
	if (rc == 0 && workload_planted(env, "count-later"))
		rc = count_later(&t, err);
	workload_service_release(&t.w);
	free(t.batches);
	free(t.conversations);
	return rc;
}

const struct workload workload_conversations = {
    .name = "store.conversations",
    .summary = "messages with tool uses, several batches in flight, readers and migrations beside",
    .params = params,
    .param_count = sizeof params / sizeof params[0],
    .defects = defects,
    .defect_count = sizeof defects / sizeof defects[0],
    .promise_sql = "SELECT conversation_id, count(*), min(position), max(position) FROM messages "
		   "JOIN conversations USING (conversation) GROUP BY 1 ORDER BY 1",
    .run = conversations_run,
};
