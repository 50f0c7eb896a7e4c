/* test_store_workflow.c: executions, steps and artifacts: batches, limits, reading. */
#include <sys/mman.h>

#include "store/test/store_test.h"

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct store *open_workflow(const char *path, size_t version)
{
	struct store_options options = {.schema = STORE_SCHEMA_WORKFLOW};

	if (version > 0) {
		options.migrations = store_migrations(STORE_SCHEMA_WORKFLOW, NULL);
		options.migration_count = version;
	}
	return open_with(path, &options);
}

static struct store_execution an_execution(const char *id)
{
	return (struct store_execution){
	    .execution_id = id,
	    .name = "build",
	    .command = "make all",
	    .working_directory = "/src",
	    .status = STORE_STATUS_RUNNING,
	    .created_us = 1000,
	    .current_step_index = -1,
	};
}

static struct store_step a_step(const char *execution_id, int64_t index)
{
	return (struct store_step){
	    .execution_id = execution_id,
	    .step_index = index,
	    .name = "compile",
	    .status = STORE_STATUS_PENDING,
	};
}

static struct store_artifact an_artifact(const char *execution_id, const char *name)
{
	return (struct store_artifact){
	    .execution_id = execution_id,
	    .name = name,
	    .path = "/out/a",
	    .size_bytes = 5,
	    .media_type = "text/plain",
	    .created_us = 7,
	};
}

static void assert_code(enum store_code got, enum store_code wanted, const struct store_error *err)
{
	if (got != wanted)
		fail_msg("%s, not %s: %s", store_code_name(got), store_code_name(wanted),
			 err->message);
	if (wanted != STORE_OK)
		assert_int_equal(err->code, wanted);
}

static int64_t count_of(struct store *store, const char *table)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	return query_int(store_handle(store), sql);
}

static void assert_rows(struct store *store, int64_t executions, int64_t steps, int64_t artifacts)
{
	assert_int_equal(count_of(store, "executions"), executions);
	assert_int_equal(count_of(store, "steps"), steps);
	assert_int_equal(count_of(store, "artifacts"), artifacts);
}

/* ---- what is saved is what is read ---- */

struct seen {
	size_t count;
	size_t stop_after;
	char text[512];
};

static bool see_execution(void *context, const struct store_execution_row *row)
{
	struct seen *seen = context;
	const struct store_execution *e = &row->execution;

	snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text),
		 "%s|%s|%s|%s|%s|%d %d|%s|%" PRId64 " %" PRId64 " %" PRId64 "|%s|%s|%s|%s|%" PRId64
		 " %" PRId64 " %" PRId64 "|%" PRId64 "\n",
		 e->execution_id, e->name, e->command, e->working_directory,
		 store_status_text(e->status), e->has_exit_code, e->exit_code,
		 e->error_message ? e->error_message : "-", e->created_us, e->started_us,
		 e->completed_us, e->environment ? e->environment : "-",
		 e->user_name ? e->user_name : "-", e->tags ? e->tags : "-",
		 e->metadata ? e->metadata : "-", e->total_steps, e->completed_steps,
		 e->current_step_index, row->step_count);
	return ++seen->count != seen->stop_after;
}

static bool see_id(void *context, const struct store_execution_row *row)
{
	struct seen *seen = context;

	strncat(seen->text, row->execution.execution_id, sizeof(seen->text) - 1);
	strncat(seen->text, " ", 2);
	return ++seen->count != seen->stop_after;
}

static bool see_step(void *context, const struct store_step_row *row)
{
	struct seen *seen = context;
	const struct store_step *s = &row->step;

	snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text),
		 "%" PRId64 "|%s|%" PRId64 "|%s|%s|%d %d|%s|%" PRId64 " %" PRId64 "|%s\n",
		 row->step_id, s->execution_id, s->step_index, s->name,
		 store_status_text(s->status), s->has_exit_code, s->exit_code,
		 s->error_message ? s->error_message : "-", s->started_us, s->completed_us,
		 s->metadata ? s->metadata : "-");
	return ++seen->count != seen->stop_after;
}

static bool see_artifact(void *context, const struct store_artifact *a)
{
	struct seen *seen = context;

	snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text),
		 "%s|%s|%s|%" PRId64 "|%s|%" PRId64 "\n", a->execution_id, a->name, a->path,
		 a->size_bytes, a->media_type, a->created_us);
	return ++seen->count != seen->stop_after;
}

/* Every field comes back, absent ones as absent, and a step knows its number. [D2] */
static void test_fields_come_back(void **state)
{
	struct store *store = open_workflow(folder_of(state)->store, 0);
	struct store_execution executions[2] = {an_execution("full"), an_execution("bare")};
	struct store_step steps[2] = {a_step("full", 4), a_step("full", 2)};
	struct store_artifact artifact = an_artifact("full", "log.txt");
	struct store_workflow_batch batch = {
	    .executions = executions,
	    .execution_count = 2,
	    .steps = steps,
	    .step_count = 2,
	    .artifacts = &artifact,
	    .artifact_count = 1,
	};
	int64_t ids[2] = {0, 0};
	struct store_error err = {0};
	struct seen seen = {0};

	executions[0].has_exit_code = true;
	executions[0].exit_code = -3;
	executions[0].error_message = "";
	executions[0].started_us = 1001;
	executions[0].completed_us = 1002;
	executions[0].environment = "{\"A\":1}";
	executions[0].user_name = "jo";
	executions[0].tags = "[]";
	executions[0].metadata = "\xc3\xa9";
	executions[0].status = STORE_STATUS_FAILED;
	executions[0].total_steps = 3;
	executions[0].completed_steps = 2;
	executions[0].current_step_index = 1;
	steps[0].has_exit_code = true;
	steps[0].error_message = "e";
	steps[0].started_us = 5;
	steps[0].completed_us = 6;
	steps[0].metadata = "m";
	steps[0].status = STORE_STATUS_SKIPPED;
	batch.ret_step_ids = ids;
	assert_code(store_workflow(store, &batch, &err), STORE_OK, &err);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], 2);
	assert_code(store_execution_find(store, "full", see_execution, &seen, &err), STORE_OK,
		    &err);
	assert_code(store_execution_find(store, "bare", see_execution, &seen, &err), STORE_OK,
		    &err);
	assert_string_equal(seen.text,
			    "full|build|make all|/src|failed|1 -3||1000 1001 1002|{\"A\":1}|jo|[]|"
			    "\xc3\xa9|3 2 1|2\n"
			    "bare|build|make all|/src|running|0 0|-|1000 0 0|-|-|-|-|0 0 -1|0\n");
	assert_int_equal(query_int(store_handle(store),
				   "SELECT started_us IS NULL AND completed_us IS NULL AND"
				   " exit_code IS NULL FROM executions WHERE execution_id = "
				   "'bare'"),
			 1);
	memset(&seen, 0, sizeof(seen));
	assert_code(store_steps_of(store, "full", see_step, &seen, &err), STORE_OK, &err);
	assert_string_equal(seen.text, "2|full|2|compile|pending|0 0|-|0 0|-\n"
				       "1|full|4|compile|skipped|1 0|e|5 6|m\n");
	memset(&seen, 0, sizeof(seen));
	assert_code(store_artifacts_of(store, "full", see_artifact, &seen, &err), STORE_OK, &err);
	assert_string_equal(seen.text, "full|log.txt|/out/a|5|text/plain|7\n");
	store_close(store);
}

/* Saving again replaces every field and keeps the row: seq, step_id, and what refers to them. [D2]
 */
static void test_saving_again_keeps_the_row(void **state)
{
	struct store *store = open_workflow(folder_of(state)->store, 0);
	struct store_execution executions[2] = {an_execution("a"), an_execution("b")};
	struct store_step step = a_step("a", 0);
	struct store_artifact artifact = an_artifact("a", "x");
	struct store_error err = {0};
	int64_t first = 0, second = 0;

	executions[0].error_message = "was there";
	assert_code(store_executions(store, executions, 2, &err), STORE_OK, &err);
	assert_code(store_steps(store, &step, 1, &first, &err), STORE_OK, &err);
	assert_code(store_artifacts(store, &artifact, 1, &err), STORE_OK, &err);
	executions[0].error_message = NULL;
	executions[0].status = STORE_STATUS_COMPLETED;
	step.name = "link";
	artifact.size_bytes = 6;
	assert_code(store_executions(store, executions, 1, &err), STORE_OK, &err);
	assert_code(store_steps(store, &step, 1, &second, &err), STORE_OK, &err);
	assert_code(store_artifacts(store, &artifact, 1, &err), STORE_OK, &err);
	assert_int_equal(first, second);
	assert_rows(store, 2, 1, 1);
	assert_query_text(store_handle(store),
			  "SELECT seq || status || coalesce(error_message, '-') || step_count"
			  " FROM executions WHERE execution_id = 'a'",
			  "1completed-1");
	assert_query_text(store_handle(store), "SELECT name FROM steps", "link");
	assert_int_equal(query_int(store_handle(store), "SELECT size_bytes FROM artifacts"), 6);

	/* Of two in one batch the later counts. */
	executions[1] = executions[0];
	executions[1].name = "later";
	assert_code(store_executions(store, executions, 2, &err), STORE_OK, &err);
	assert_query_text(store_handle(store),
			  "SELECT name FROM executions WHERE execution_id = 'a'", "later");
	store_close(store);
}

/* ---- all or nothing ---- */

/* A bad row of any kind, anywhere in a batch of all three kinds, leaves nothing of it; the error
 * has the row's index and kind, and the caller's array of numbers stays. [D2] */
static void test_batch_is_all_or_nothing(void **state)
{
	struct store *store = open_workflow(folder_of(state)->store, 0);

	for (unsigned kind = 0; kind < 5; kind++) {
		static const char *const names[] = {"execution 1 of", "step 2 of", "artifact 1 of",
						    "step 2 of", "artifact 1 of"};
		static const size_t indexes[] = {1, 2, 1, 2, 1};
		struct store_execution executions[2] = {an_execution("a"), an_execution("b")};
		struct store_step steps[3] = {a_step("a", 0), a_step("b", 1), a_step("a", 2)};
		struct store_artifact artifacts[2] = {an_artifact("a", "x"), an_artifact("b", "y")};
		int64_t ids[3] = {-1, -1, -1};
		const struct store_workflow_batch batch = {executions, 2,	  steps, 3,
							   ids,	       artifacts, 2};
		struct store_error err = {0};

		if (kind == 0)
			executions[1].name = NULL;
		else if (kind == 1)
			steps[2].step_index = -1;
		else if (kind == 2)
			artifacts[1].size_bytes = -1;
		else if (kind == 3)
			steps[2].execution_id = "nobody";
		else
			artifacts[1].execution_id = "nobody";
		assert_code(store_workflow(store, &batch, &err),
			    kind < 3 ? STORE_ERR_INVALID : STORE_ERR_NOT_FOUND, &err);
		assert_int_equal(err.index, indexes[kind]);
		if (!strstr(err.message, names[kind]) ||
		    !strstr(err.message, folder_of(state)->store))
			fail_msg("%s", err.message);
		assert_int_equal(ids[0], -1);
		assert_rows(store, 0, 0, 0);
	}
	store_close(store);
}

static enum store_code work_of_two(struct store *store, void *context, struct store_error *err)
{
	struct store_execution execution = an_execution("kept");
	struct store_step step = a_step("nobody", 0);
	enum store_code code = store_executions(store, &execution, 1, err);

	(void)context;
	if (code != STORE_OK)
		return code;
	/* Leaves nothing, and the rest can go on. */
	return store_steps(store, &step, 1, NULL, NULL) == STORE_ERR_NOT_FOUND ? STORE_OK
									       : STORE_ERR_INVALID;
}

/* Inside a transaction a batch that fails leaves nothing of its own, and only that. [D2] */
static void test_part_of_a_transaction(void **state)
{
	struct store *store = open_workflow(folder_of(state)->store, 0);
	struct store_error err = {0};

	assert_code(store_transaction(store, work_of_two, NULL, &err), STORE_OK, &err);
	assert_rows(store, 1, 0, 0);
	store_close(store);
}

/* ---- limits ---- */

/* 1 GB of 'x' without a NUL that costs 1 MB. */
#define LONG_BYTES ((size_t)1 << 30)
#define LONG_CHUNK ((size_t)1 << 20)

static char *long_text(void)
{
	char *text = mmap(NULL, LONG_BYTES + 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	FILE *file = tmpfile();
	char *chunk = malloc(LONG_CHUNK);

	assert_ptr_not_equal(text, MAP_FAILED);
	assert_non_null(file);
	assert_non_null(chunk);
	memset(chunk, 'x', LONG_CHUNK);
	assert_int_equal(fwrite(chunk, 1, LONG_CHUNK, file), LONG_CHUNK);
	assert_int_equal(fflush(file), 0);
	for (size_t at = 0; at < LONG_BYTES; at += LONG_CHUNK)
		assert_ptr_equal(mmap(text + at, LONG_CHUNK, PROT_READ, MAP_PRIVATE | MAP_FIXED,
				      fileno(file), 0),
				 text + at);
	fclose(file);
	free(chunk);
	return text;
}

/* A text of exactly so many bytes, which the caller frees. */
static char *text_of(size_t size)
{
	char *text = malloc(size + 1);

	assert_non_null(text);
	memset(text, 'y', size);
	text[size] = '\0';
	return text;
}

/* A text field of a row: where it is, its limit, and whether it may be NULL or empty. */
struct limit {
	const char **field;
	const char *name;
	size_t bytes_max;
	bool null_allowed, empty_allowed;
};

/* Saves the rows, whichever is meant, with each bad and each extreme value of the field. */
static void assert_limit(struct store *store, const struct store_workflow_batch *batch,
			 const struct limit *limit, const char *gigabyte)
{
	const char *const before = *limit->field;
	struct store_error err = {0};
	char *longest = text_of(limit->bytes_max);
	char *longer = text_of(limit->bytes_max + 1);
	const struct {
		const char *text;
		bool allowed;
	} tries[] = {
	    {NULL, limit->null_allowed},
	    {"", limit->empty_allowed},
	    {"\xff", false},
	    {"a\xc0\x80", false},
	    {longest, true},
	    {longer, false},
	    {gigabyte, false},
	};

	for (size_t i = 0; i < ARRAY_COUNT(tries); i++) {
		enum store_code code;

		*limit->field = tries[i].text;
		code = store_workflow(store, batch, &err);
		if (code != (tries[i].allowed ? STORE_OK : STORE_ERR_INVALID))
			fail_msg("%s, value %zu: %s %s", limit->name, i, store_code_name(code),
				 err.message);
		if (code == STORE_ERR_INVALID && !strstr(err.message, limit->name))
			fail_msg("%s is not in '%s'", limit->name, err.message);
	}
	*limit->field = before;
	free(longest);
	free(longer);
}

/* Every text has a defined answer to NULL, empty, invalid UTF-8, the longest, one byte more, and
 * 1 GB; every number to values out of its range. [D2] */
static void test_limits(void **state)
{
	struct store *store = open_workflow(folder_of(state)->store, 0);
	struct store_execution e = an_execution("e");
	struct store_step s = a_step("e", 0);
	struct store_artifact a = an_artifact("e", "a");
	const struct store_workflow_batch executions = {.executions = &e, .execution_count = 1};
	const struct store_workflow_batch steps = {.steps = &s, .step_count = 1};
	const struct store_workflow_batch artifacts = {.artifacts = &a, .artifact_count = 1};
	const size_t text = STORE_WORKFLOW_TEXT_BYTES_MAX;
	const size_t name = STORE_WORKFLOW_NAME_BYTES_MAX;
	const size_t path = STORE_WORKFLOW_PATH_BYTES_MAX;
	const struct limit of_execution[] = {
	    {&e.execution_id, "execution_id", STORE_ID_BYTES_MAX, false, false},
	    {&e.name, "name", name, false, false},
	    {&e.command, "command", text, false, true},
	    {&e.working_directory, "working_directory", path, false, true},
	    {&e.error_message, "error_message", text, true, true},
	    {&e.environment, "environment", text, true, true},
	    {&e.user_name, "user_name", name, true, true},
	    {&e.tags, "tags", text, true, true},
	    {&e.metadata, "metadata", text, true, true},
	};
	const struct limit of_step[] = {
	    {&s.execution_id, "execution_id", STORE_ID_BYTES_MAX, false, false},
	    {&s.name, "name", name, false, false},
	    {&s.error_message, "error_message", text, true, true},
	    {&s.metadata, "metadata", text, true, true},
	};
	const struct limit of_artifact[] = {
	    {&a.execution_id, "execution_id", STORE_ID_BYTES_MAX, false, false},
	    {&a.name, "name", name, false, false},
	    {&a.path, "path", path, false, false},
	    {&a.media_type, "media_type", STORE_WORKFLOW_MEDIA_BYTES_MAX, false, true},
	};
	struct store_error err = {0};
	char *gigabyte = long_text();

	/* The execution with the longest id is there when it is the steps' turn. */
	assert_code(store_executions(store, &e, 1, &err), STORE_OK, &err);
	for (size_t i = 0; i < ARRAY_COUNT(of_execution); i++)
		assert_limit(store, &executions, &of_execution[i], gigabyte);
	for (size_t i = 0; i < ARRAY_COUNT(of_step); i++)
		assert_limit(store, &steps, &of_step[i], gigabyte);
	for (size_t i = 0; i < ARRAY_COUNT(of_artifact); i++)
		assert_limit(store, &artifacts, &of_artifact[i], gigabyte);
	munmap(gigabyte, LONG_BYTES + 4096);

	e.status = (enum store_status)(STORE_STATUS_SKIPPED + 1);
	assert_code(store_executions(store, &e, 1, &err), STORE_ERR_INVALID, &err);
	e = an_execution("e");
	e.current_step_index = -2;
	assert_code(store_executions(store, &e, 1, &err), STORE_ERR_INVALID, &err);
	e = an_execution("e");
	e.total_steps = -1;
	assert_code(store_executions(store, &e, 1, &err), STORE_ERR_INVALID, &err);
	e = an_execution("e");
	e.completed_steps = -1;
	assert_code(store_executions(store, &e, 1, &err), STORE_ERR_INVALID, &err);
	s.status = (enum store_status)99;
	assert_code(store_steps(store, &s, 1, NULL, &err), STORE_ERR_INVALID, &err);
	store_close(store);
}

/* Handles, batches and visitors that are NULL, a batch that is too large, one that is empty, and a
 * store of another schema. */
static void test_arguments(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_workflow(folder->store, 0);
	struct store_execution *many = calloc(STORE_WORKFLOW_COUNT_MAX, sizeof(*many));
	struct store_step step = a_step("many", 0);
	struct store_workflow_batch batch = {0};
	struct store_error err = {0};
	struct store_step_log log;
	struct seen seen = {0};
	void *text;
	size_t bytes;

	assert_code(store_workflow(NULL, &batch, &err), STORE_ERR_INVALID, &err);
	assert_code(store_workflow(store, NULL, &err), STORE_ERR_INVALID, &err);
	assert_code(store_workflow(store, NULL, NULL), STORE_ERR_INVALID, &err);
	assert_code(store_workflow(store, &batch, &err), STORE_OK, &err);
	assert_code(store_executions(store, NULL, 0, &err), STORE_OK, &err);
	assert_code(store_executions(store, NULL, 1, &err), STORE_ERR_INVALID, &err);
	assert_code(store_steps(store, NULL, 1, NULL, &err), STORE_ERR_INVALID, &err);
	assert_code(store_artifacts(store, NULL, 1, &err), STORE_ERR_INVALID, &err);
	assert_code(store_execution_find(store, "a", NULL, NULL, &err), STORE_ERR_INVALID, &err);
	assert_code(store_execution_find(store, "", see_id, &seen, &err), STORE_ERR_INVALID, &err);
	assert_code(store_execution_find(store, "a", see_id, &seen, &err), STORE_ERR_NOT_FOUND,
		    &err);
	assert_code(
	    store_executions_by_status(store, (enum store_status)77, 0, 1, see_id, &seen, &err),
	    STORE_ERR_INVALID, &err);
	assert_code(store_steps_of(store, NULL, see_step, &seen, &err), STORE_ERR_INVALID, &err);
	assert_code(store_steps_of(store, "a", see_step, &seen, &err), STORE_OK, &err);
	assert_code(store_step_log_find(store, 1, NULL, &err), STORE_ERR_INVALID, &err);
	assert_code(store_step_log_find(store, 1, &log, &err), STORE_ERR_NOT_FOUND, &err);
	assert_code(store_log_read(store, NULL, 1, NULL, &text, &bytes, &err), STORE_ERR_INVALID,
		    &err);
	assert_code(store_log_read(NULL, "x", 1, NULL, &text, &bytes, &err), STORE_ERR_INVALID,
		    &err);
	assert_code(store_logs_sweep(store, NULL, NULL, &err), STORE_ERR_INVALID, &err);
	assert_int_equal(seen.count, 0);
	assert_null(store_status_text((enum store_status)77));

	/* As many rows as there may be, and one more of another kind. */
	assert_non_null(many);
	for (size_t i = 0; i < STORE_WORKFLOW_COUNT_MAX; i++)
		many[i] = an_execution("many");
	batch.executions = many;
	batch.execution_count = STORE_WORKFLOW_COUNT_MAX;
	batch.steps = &step;
	batch.step_count = 1;
	assert_code(store_workflow(store, &batch, &err), STORE_ERR_INVALID, &err);
	assert_rows(store, 0, 0, 0);
	batch.step_count = 0;
	assert_code(store_workflow(store, &batch, &err), STORE_OK, &err);
	assert_rows(store, 1, 0, 0);
	free(many);
	store_close(store);

	folder_empty(folder);
	store = open_with(folder->store, NULL);
	assert_code(store_workflow(store, &batch, &err), STORE_ERR_INVALID, &err);
	assert_code(store_steps_of(store, "a", see_step, &seen, &err), STORE_ERR_INVALID, &err);
	store_close(store);
}

/* ---- reading ---- */

/* By time and by status: bounds included, ordered by time, stopped when the visitor has enough. */
static void test_listing(void **state)
{
	struct store *store = open_workflow(folder_of(state)->store, 0);
	static const char *const ids[] = {"t5", "t1", "t3", "t9", "t3b"};
	static const int64_t times[] = {5, 1, 3, 9, 3};
	struct store_error err = {0};
	struct seen seen = {0};

	for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
		struct store_execution e = an_execution(ids[i]);

		e.created_us = times[i];
		e.status = i % 2 == 0 ? STORE_STATUS_COMPLETED : STORE_STATUS_FAILED;
		assert_code(store_executions(store, &e, 1, &err), STORE_OK, &err);
	}
	assert_code(store_executions_by_time(store, 3, 5, see_id, &seen, &err), STORE_OK, &err);
	assert_string_equal(seen.text, "t3 t3b t5 ");
	memset(&seen, 0, sizeof(seen));
	assert_code(store_executions_by_status(store, STORE_STATUS_FAILED, INT64_MIN, INT64_MAX,
					       see_id, &seen, &err),
		    STORE_OK, &err);
	assert_string_equal(seen.text, "t1 t9 ");
	memset(&seen, 0, sizeof(seen));
	seen.stop_after = 2;
	assert_code(store_executions_by_time(store, INT64_MIN, INT64_MAX, see_id, &seen, &err),
		    STORE_OK, &err);
	assert_string_equal(seen.text, "t1 t3 ");
	memset(&seen, 0, sizeof(seen));
	assert_code(store_executions_by_time(store, 6, 2, see_id, &seen, &err), STORE_OK, &err);
	assert_int_equal(seen.count, 0);
	store_close(store);
}

/* A value that the library does not write is reported, and not taken for another. */
static void test_foreign_values(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_workflow(folder->store, 0);
	struct store_execution e = an_execution("a");
	struct store_error err = {0};
	struct seen seen = {0};

	assert_code(store_executions(store, &e, 1, &err), STORE_OK, &err);
	/* The tables know the same statuses as the library. */
	for (unsigned i = 0; store_status_text((enum store_status)i); i++) {
		e.status = (enum store_status)i;
		assert_code(store_executions(store, &e, 1, &err), STORE_OK, &err);
	}
	assert_int_equal(sqlite3_exec(store_handle(store), "UPDATE executions SET status = 'odd'",
				      NULL, NULL, NULL),
			 SQLITE_CONSTRAINT_CHECK);
	exec(store_handle(store),
	     "PRAGMA ignore_check_constraints = ON; UPDATE executions SET status = 'odd'");
	assert_code(store_execution_find(store, "a", see_id, &seen, &err), STORE_ERR_CORRUPT, &err);
	assert_int_equal(seen.count, 0);
	store_close(store);
}

/* ---- migrations ---- */

/* A populated store of version 1 comes to the last version with its rows; step_count is right for
 * old rows and for new ones, whoever adds or deletes steps. [A2] */
static void test_migrates_populated(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_execution executions[2] = {an_execution("a"), an_execution("b")};
	struct store_step steps[3] = {a_step("a", 0), a_step("a", 1), a_step("a", 2)};
	struct store_error err = {0};
	struct seen seen = {0};
	struct store *store;
	int64_t id = 0;
	size_t last = 0;

	store = open_workflow(folder->store, 1);
	assert_code(store_executions(store, executions, 2, &err), STORE_OK, &err);
	assert_code(store_steps(store, steps, 2, NULL, &err), STORE_OK, &err);
	/* This version counts without the column, and has no logs. */
	assert_code(store_execution_find(store, "a", see_execution, &seen, &err), STORE_OK, &err);
	assert_non_null(strstr(seen.text, "|2\n"));
	assert_code(store_logs_sweep(store, folder->path, NULL, &err), STORE_ERR_INVALID, &err);
	store_close(store);

	assert_non_null(store_migrations(STORE_SCHEMA_WORKFLOW, &last));
	assert_true(last >= 3);
	store = open_workflow(folder->store, 2);
	store_close(store);
	store = open_workflow(folder->store, 0);
	assert_int_equal(store_schema_version(store), last);
	assert_rows(store, 2, 2, 0);
	assert_int_equal(query_int(store_handle(store), "SELECT sum(step_count) FROM executions"),
			 2);
	assert_code(store_steps(store, &steps[1], 2, NULL, &err), STORE_OK, &err);
	assert_int_equal(query_int(store_handle(store), "SELECT sum(step_count) FROM executions"),
			 3);
	exec(store_handle(store), "UPDATE steps SET execution_id = 'b' WHERE step_index = 2;"
				  "DELETE FROM steps WHERE step_index = 1");
	memset(&seen, 0, sizeof(seen));
	assert_code(store_execution_find(store, "a", see_execution, &seen, &err), STORE_OK, &err);
	assert_code(store_execution_find(store, "b", see_execution, &seen, &err), STORE_OK, &err);
	assert_int_equal(query_int(store_handle(store),
				   "SELECT step_count FROM executions WHERE execution_id = 'a'"),
			 1);
	assert_int_equal(query_int(store_handle(store),
				   "SELECT step_count FROM executions WHERE execution_id = 'b'"),
			 1);
	/* A number is not used twice, also when its step is gone. */
	exec(store_handle(store), "DELETE FROM steps");
	assert_code(store_steps(store, steps, 1, &id, &err), STORE_OK, &err);
	assert_int_equal(id, 4);
	store_close(store);
}

/* ---- through a service ---- */

struct save {
	char id[32];
	unsigned results;
	enum store_code code;
};

static enum store_code save_work(struct store *store, void *context, struct store_error *err)
{
	const struct save *save = context;
	const struct store_execution e = an_execution(save->id);
	const struct store_step step = a_step(save->id, 0);
	const struct store_artifact artifact = an_artifact(save->id, "a");
	const struct store_workflow_batch batch = {
	    .executions = &e,
	    .execution_count = 1,
	    .steps = &step,
	    .step_count = 1,
	    .artifacts = &artifact,
	    .artifact_count = 1,
	};

	return store_workflow(store, &batch, err);
}

static void save_done(void *context, enum store_code code, const struct store_error *err)
{
	struct save *save = context;

	(void)err;
	save->code = code;
	save->results++;
}

static struct store_service *open_service(const struct folder *folder, bool manual)
{
	const struct store_service_options options = {
	    .store = {.schema = STORE_SCHEMA_WORKFLOW, .clock_us = clock_fixed},
	    .manual = manual,
	};
	struct store_service *service = NULL;
	struct store_error err = {0};

	assert_code(store_service_open(folder->store, &options, &service, &err), STORE_OK, &err);
	return service;
}

#define IN_FLIGHT 500

/* Five hundred saves in flight at once: each gets one result, all are stored, in few commits. [D2]
 */
static void test_five_hundred_in_flight(void **state)
{
	const struct folder *folder = folder_of(state);
	struct save *saves = calloc(IN_FLIGHT, sizeof(*saves));
	struct store_service *service = open_service(folder, true);
	struct store_service_state what;
	struct store_error err = {0};
	struct store *store;

	assert_non_null(saves);
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		const struct store_command command = {save_work, save_done, &saves[i]};

		snprintf(saves[i].id, sizeof(saves[i].id), "e%zu", i);
		if (i == 77)
			saves[i].id[0] = '\xff';
		assert_code(store_service_submit(service, &command, &err), STORE_OK, &err);
	}
	store_service_state(service, &what);
	assert_int_equal(what.queue_count, IN_FLIGHT);
	assert_int_equal(saves[0].results, 0);
	assert_code(store_service_writer_step(service, NULL, &err), STORE_OK, &err);
	store_service_state(service, &what);
	assert_int_equal(what.groups_committed, 1);
	assert_code(store_service_close(service, &err), STORE_OK, &err);
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		assert_int_equal(saves[i].results, 1);
		assert_int_equal(saves[i].code, i == 77 ? STORE_ERR_INVALID : STORE_OK);
	}
	store = open_workflow(folder->store, 0);
	assert_rows(store, IN_FLIGHT - 1, IN_FLIGHT - 1, IN_FLIGHT - 1);
	store_close(store);
	free(saves);
}

/* Saves in the buffer are not stored and have no result until there are 50 of them, or the service
 * is closed. [D1] */
static void test_buffered(void **state)
{
	const struct folder *folder = folder_of(state);
	struct save saves[53] = {0};
	struct store_service *service = open_service(folder, true);
	struct store_error err = {0};
	struct store *store;

	for (size_t i = 0; i < ARRAY_COUNT(saves); i++) {
		const struct store_command command = {save_work, save_done, &saves[i]};

		snprintf(saves[i].id, sizeof(saves[i].id), "e%zu", i);
		assert_code(store_service_buffer(service, &command, &err), STORE_OK, &err);
		assert_code(store_service_flush_step(service, NULL, &err), STORE_OK, &err);
		assert_code(store_service_writer_step(service, NULL, &err), STORE_OK, &err);
		assert_int_equal(saves[0].results, i >= 49);
	}
	store = open_workflow(folder->store, 0);
	assert_rows(store, 50, 50, 50);
	assert_int_equal(saves[49].results, 1);
	assert_int_equal(saves[50].results, 0);
	assert_code(store_service_close(service, &err), STORE_OK, &err);
	assert_int_equal(saves[52].results, 1);
	assert_rows(store, 53, 53, 53);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_fields_come_back),
	    TEST(test_saving_again_keeps_the_row),
	    TEST(test_batch_is_all_or_nothing),
	    TEST(test_part_of_a_transaction),
	    TEST(test_limits),
	    TEST(test_arguments),
	    TEST(test_listing),
	    TEST(test_foreign_values),
	    TEST(test_migrates_populated),
	    TEST(test_five_hundred_in_flight),
	    TEST(test_buffered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
