/*
 * A subject: lifetime, from a scenario, to and from JSON; see subject.h.
 *
 * One table names every list of a subject and the members of its items. Copying, writing, reading
 * and freeing all walk it, so that a list cannot be written and then forgotten by the reader.
 *
 * JSON, all keys but those that may be left out required, and no others allowed:
 *   id, title, database, model       string
 *   open, loads                      array of strings
 *   schema_versions                  array of integers
 *   attached, pragmas, invariants,   array of objects; their keys are in the table. Pragmas are no
 *   batches, orders, model_params    object of their own because their order has a meaning
 *   ack_lock                         boolean: promises come from the lock protocol
 *   ack                              "output" or "mark", with ack_lock false; left out where
 *                                    promises come from locks or are exact
 *   model_defined                    true; left out where the model is a preset
 *   unsynced_recovery                true; left out where that defect is not planted
 *   defect                           its name; left out where none is planted
 *   check                            string; left out where there is no such command
 *   seed                             string of decimal digits: JSON readers agree on 63 bits only
 * A string that is not UTF-8 (a path may hold any byte) is {"bytes": "<hex>"}; nothing is lost, and
 * each string has exactly one form.
 *
 * Not checked here: that the model, the pragmas or the SQL exist or make sense, and that the files
 * are in a trace. Whoever uses a subject finds that out and says so.
 */
#include "harness/case/subject.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/trace.h"
#include "harness/case/json_text.h"
#include "harness/drive/plant.h"
#include "harness/judge/observation.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE_FOLDER "/db/"
#define ACK_OUTPUT	"output"
#define ACK_MARK	"mark"

enum {
	LIST_MAX = 1024, /* items of each list but `open` */
	OPEN_MAX = 1 << 20,
	MEMBERS_MAX = 3,
};

/* ---- the table */

enum member_type { MEMBER_NONE, MEMBER_STRING, MEMBER_LINE, MEMBER_INT64 };

struct member {
	enum member_type type; /* MEMBER_NONE ends the members */
	const char *key;       /* NULL: the item is this member alone, not an object */
	size_t offset;
};

struct list_info {
	const char *key;
	size_t items, count, cap; /* offsets in struct subject */
	size_t item_size;
	size_t count_max;
	struct member members[MEMBERS_MAX + 1];
};

#define LIST(name, one, max, ...)                                                                  \
	{                                                                                          \
		.key = #name, .items = offsetof(struct subject, name),                             \
		.count = offsetof(struct subject, one##_count),                                    \
		.cap = offsetof(struct subject, one##_cap),                                        \
		.item_size = sizeof *((struct subject *)NULL)->name, .count_max = (max),           \
		.members = {__VA_ARGS__},                                                          \
	}
#define KV_LIST(name)                                                                              \
	{                                                                                          \
		.key = #name,                                                                      \
		.items = offsetof(struct subject, name) + offsetof(struct kv_list, items),         \
		.count = offsetof(struct subject, name) + offsetof(struct kv_list, count),         \
		.cap = offsetof(struct subject, name) + offsetof(struct kv_list, cap),             \
		.item_size = sizeof(struct kv), .count_max = LIST_MAX,                             \
		.members = {STRING(struct kv, key), STRING(struct kv, value)},                     \
	}
/* clang-format off */
#define STRING(type, name) {MEMBER_STRING, #name, offsetof(type, name)}
#define LINE(type, name) {MEMBER_LINE, #name, offsetof(type, name)}
#define BARE(type) {type, NULL, 0}
/* clang-format on */

/* The main database is one of the files that can be observed. */
static const struct list_info lists[] = {
    LIST(attached, attached, OBSERVED_FILES_MAX - 1, STRING(struct scenario_attach, name),
	 STRING(struct scenario_attach, file)),
    KV_LIST(pragmas),
    LIST(open, open, OPEN_MAX, BARE(MEMBER_STRING)),
    LIST(loads, load, LIST_MAX, BARE(MEMBER_STRING)),
    LIST(invariants, invariant, LIST_MAX, STRING(struct scenario_invariant, text),
	 STRING(struct scenario_invariant, sql), LINE(struct scenario_invariant, line)),
    LIST(batches, batch, LIST_MAX, STRING(struct scenario_batch, table),
	 STRING(struct scenario_batch, id_column), STRING(struct scenario_batch, count_column)),
    LIST(orders, order, LIST_MAX, STRING(struct scenario_order, table),
	 STRING(struct scenario_order, column)),
    LIST(schema_versions, schema_version, LIST_MAX, BARE(MEMBER_INT64)),
    KV_LIST(model_params),
};
enum { LISTS = sizeof lists / sizeof lists[0] };

static const struct string_info {
	const char *key;
	size_t offset;
	bool may_be_empty;
} strings[] = {
    {"id", offsetof(struct subject, id), false},
    {"title", offsetof(struct subject, title), true},
    {"database", offsetof(struct subject, database), false},
    {"model", offsetof(struct subject, model), false},
};
enum { STRINGS = sizeof strings / sizeof strings[0] };

/* Objects of any pointer type are moved by memcpy(), which no aliasing rule forbids. */
static void *pointer_get(const void *base, size_t offset)
{
	void *p;

	memcpy(&p, (const char *)base + offset, sizeof p);
	return p;
}

static void pointer_set(void *base, size_t offset, const void *p)
{
	memcpy((char *)base + offset, &p, sizeof p);
}

static size_t list_count(const struct subject *s, const struct list_info *info)
{
	size_t count;

	memcpy(&count, (const char *)s + info->count, sizeof count);
	return count;
}

static char *list_item(const struct subject *s, const struct list_info *info, size_t index)
{
	return (char *)pointer_get(s, info->items) + index * info->item_size;
}

/* Appends a zeroed item. */
static char *list_add(struct subject *s, const struct list_info *info)
{
	size_t count = list_count(s, info), cap;

	memcpy(&cap, (char *)s + info->cap, sizeof cap);
	pointer_set(s, info->items,
		    xgrow(pointer_get(s, info->items), count, &cap, info->item_size));
	memcpy((char *)s + info->cap, &cap, sizeof cap);
	count++;
	memcpy((char *)s + info->count, &count, sizeof count);
	return memset(list_item(s, info, count - 1), 0, info->item_size);
}

/* ---- lifetime */

struct subject *subject_create(void)
{
	return xcalloc(1, sizeof(struct subject));
}

static void list_release(struct subject *s, const struct list_info *info)
{
	size_t count = list_count(s, info);

	for (size_t i = 0; i < count; i++) {
		for (const struct member *m = info->members; m->type != MEMBER_NONE; m++) {
			if (m->type == MEMBER_STRING)
				free(pointer_get(list_item(s, info, i), m->offset));
		}
	}
	free(pointer_get(s, info->items));
}

void subject_free(struct subject *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < LISTS; i++)
		list_release(s, &lists[i]);
	for (size_t i = 0; i < STRINGS; i++)
		free(pointer_get(s, strings[i].offset));
	free(s->defect);
	free(s->check);
	free(s);
}

const char *subject_schema(const struct subject *s, size_t file)
{
	return file == 0 ? "main" : s->attached[file - 1].name;
}

/* Copies `count` items of another list that has the same items. */
static void list_copy(struct subject *s, const char *key, const void *items, size_t count)
{
	const struct list_info *info = lists;

	while (strcmp(info->key, key) != 0) {
		info++;
		ASSERT(info < lists + LISTS);
	}
	for (size_t i = 0; i < count; i++) {
		char *copy = list_add(s, info);

		memcpy(copy, (const char *)items + i * info->item_size, info->item_size);
		for (const struct member *m = info->members; m->type != MEMBER_NONE; m++) {
			if (m->type == MEMBER_STRING)
				pointer_set(copy, m->offset, xstrdup(pointer_get(copy, m->offset)));
		}
	}
}

void subject_add_invariants(struct subject *s, const struct scenario *from)
{
	for (size_t i = 0; i < from->open.count; i++)
		list_copy(s, "open", &from->open.items[i].sql, 1);
	list_copy(s, "loads", from->loads, from->load_count);
	list_copy(s, "invariants", from->invariants, from->invariant_count);
}

struct subject *subject_from_scenario(const struct scenario *s, const struct case_spec *spec,
				      uint64_t seed)
{
	struct subject *to = subject_create();

	to->id = xstrdup(spec->id);
	to->title = xstrdup(s->title);
	to->database = xstrdup(DATABASE_FOLDER "main.db");
	to->model = xstrdup(spec->model);
	to->model_defined = spec->model_defined;
	to->seed = seed;
	if (plant_in_run(s->plant))
		to->defect = xstrdup(s->plant);
	list_copy(to, "attached", s->attached, s->attached_count);
	for (size_t i = 0; i < to->attached_count; i++) {
		char *file = to->attached[i].file;

		to->attached[i].file = xasprintf(DATABASE_FOLDER "%s", file);
		free(file);
	}
	list_copy(to, "pragmas", spec->config.items, spec->config.count);
	list_copy(to, "model_params", spec->model_params.items, spec->model_params.count);
	subject_add_invariants(to, s);
	list_copy(to, "batches", s->batches, s->batch_count);
	list_copy(to, "orders", s->orders, s->order_count);
	list_copy(to, "schema_versions", s->schema_versions, s->schema_version_count);
	return to;
}

/* ---- writing */

static json_t *not_null(json_t *json)
{
	ASSERT(json != NULL); /* jansson fails only for want of memory here */
	return json;
}

static void set(json_t *object, const char *key, json_t *value)
{
	int failed = json_object_set_new(object, key, not_null(value));

	ASSERT(!failed);
}

static json_t *member_to_json(const char *item, const struct member *m)
{
	int line;
	int64_t number;

	switch (m->type) {
	case MEMBER_STRING:
		return json_text_write(pointer_get(item, m->offset));
	case MEMBER_LINE:
		memcpy(&line, item + m->offset, sizeof line);
		return json_integer(line);
	case MEMBER_INT64:
		memcpy(&number, item + m->offset, sizeof number);
		return json_integer(number);
	case MEMBER_NONE:
	default:
		assert_fail(__FILE__, __LINE__, "a member has a type");
	}
}

static json_t *item_to_json(const char *item, const struct list_info *info)
{
	if (info->members[0].key == NULL)
		return member_to_json(item, &info->members[0]);
	json_t *object = not_null(json_object());

	for (const struct member *m = info->members; m->type != MEMBER_NONE; m++)
		set(object, m->key, member_to_json(item, m));
	return object;
}

json_t *subject_to_json(const struct subject *s)
{
	json_t *object = not_null(json_object());
	char seed[32];

	for (size_t i = 0; i < STRINGS; i++)
		set(object, strings[i].key, json_text_write(pointer_get(s, strings[i].offset)));
	for (size_t i = 0; i < LISTS; i++) {
		json_t *array = not_null(json_array());
		size_t count = list_count(s, &lists[i]);

		for (size_t k = 0; k < count; k++) {
			json_t *item = item_to_json(list_item(s, &lists[i], k), &lists[i]);
			int failed = json_array_append_new(array, not_null(item));

			ASSERT(!failed);
		}
		set(object, lists[i].key, array);
	}
	set(object, "ack_lock", json_boolean(s->ack == HISTORY_ACK_LOCK));
	if (s->ack == HISTORY_ACK_OUTPUT || s->ack == HISTORY_ACK_MARK)
		set(object, "ack",
		    json_string(s->ack == HISTORY_ACK_OUTPUT ? ACK_OUTPUT : ACK_MARK));
	if (s->model_defined)
		set(object, "model_defined", json_true());
	if (s->unsynced_recovery)
		set(object, "unsynced_recovery", json_true());
	if (s->defect != NULL)
		set(object, "defect", json_text_write(s->defect));
	if (s->check != NULL)
		set(object, "check", json_text_write(s->check));
	(void)snprintf(seed, sizeof seed, "%" PRIu64, s->seed);
	set(object, "seed", json_string(seed));
	return object;
}

/* ---- reading */

static int member_from_json(const json_t *json, char *item, const struct member *m, struct err *err)
{
	if (m->type == MEMBER_STRING) {
		char *string = NULL;
		int rc = json_text_read(json, &string, err);

		if (rc == 0)
			pointer_set(item, m->offset, string);
		return rc;
	}
	if (!json_is_integer(json))
		return err_set(err, ERR_INPUT, "an integer is expected");
	int64_t number = json_integer_value(json);

	if (m->type == MEMBER_LINE) {
		if (number < 0 || number > INT_MAX)
			return err_set(err, ERR_INPUT, "not a line number");
		int line = (int)number;

		memcpy(item + m->offset, &line, sizeof line);
	} else {
		memcpy(item + m->offset, &number, sizeof number);
	}
	return 0;
}

static int item_from_json(const json_t *json, char *item, const struct list_info *info,
			  struct err *err)
{
	size_t members = 0;

	if (info->members[0].key == NULL)
		return member_from_json(json, item, &info->members[0], err);
	if (!json_is_object(json))
		return err_set(err, ERR_INPUT, "an object is expected");
	for (const struct member *m = info->members; m->type != MEMBER_NONE; m++) {
		int rc = member_from_json(json_object_get(json, m->key), item, m, err);

		if (rc != 0) {
			(void)err_context(err, "'%s'", m->key);
			return rc;
		}
		members++;
	}
	if (json_object_size(json) != members)
		return err_set(err, ERR_INPUT, "an unknown key");
	return 0;
}

static int list_from_json(const json_t *json, struct subject *s, const struct list_info *info,
			  struct err *err)
{
	if (!json_is_array(json))
		return err_set(err, ERR_INPUT, "'%s': an array is expected", info->key);
	size_t count = json_array_size(json);

	if (count > info->count_max)
		return err_set(err, ERR_INPUT, "'%s': %zu items, the most are %zu", info->key,
			       count, info->count_max);
	for (size_t i = 0; i < count; i++) {
		int rc = item_from_json(json_array_get(json, i), list_add(s, info), info, err);

		if (rc != 0) {
			(void)err_context(err, "'%s' item %zu", info->key, i + 1);
			return rc;
		}
	}
	return 0;
}

/* Decimal digits without a leading zero, so that a number has one form. */
static int seed_from_json(const json_t *json, uint64_t *ret_seed, struct err *err)
{
	const char *text = json_string_value(json);
	char again[32];

	if (text == NULL)
		return err_set(err, ERR_INPUT, "'seed': a string is expected");
	errno = 0;
	uint64_t seed = strtoull(text, NULL, 10);

	(void)snprintf(again, sizeof again, "%" PRIu64, seed);
	if (errno != 0 || strcmp(text, again) != 0)
		return err_set(err, ERR_INPUT, "'seed': not a number from 0 to 2^64 - 1");
	*ret_seed = seed;
	return 0;
}

/* Two keys, because programs of before the second one read the first. */
static int ack_from_json(const json_t *json, enum history_ack *ret_ack, struct err *err)
{
	const json_t *lock = json_object_get(json, "ack_lock");
	const json_t *ack = json_object_get(json, "ack");
	const char *word = json_string_value(ack);

	if (!json_is_boolean(lock))
		return err_set(err, ERR_INPUT, "'ack_lock': true or false is expected");
	if (ack == NULL) {
		*ret_ack = json_is_true(lock) ? HISTORY_ACK_LOCK : HISTORY_ACK_EXACT;
		return 0;
	}
	if (json_is_true(lock) || word == NULL ||
	    (strcmp(word, ACK_OUTPUT) != 0 && strcmp(word, ACK_MARK) != 0))
		return err_set(err, ERR_INPUT, "'ack': 'output' or 'mark' is expected, or nothing");
	*ret_ack = strcmp(word, ACK_OUTPUT) == 0 ? HISTORY_ACK_OUTPUT : HISTORY_ACK_MARK;
	return 0;
}

static int check_path(const char *path, const char *what, struct err *err)
{
	if (path[0] != '/' || strlen(path) > TRACE_NAME_MAX)
		return err_set(err, ERR_INPUT,
			       "'%s': an absolute path of at most %d bytes is expected", what,
			       TRACE_NAME_MAX);
	return 0;
}

static int strings_from_json(const json_t *json, struct subject *s, struct err *err)
{
	for (size_t i = 0; i < STRINGS; i++) {
		char *string = NULL;
		int rc = json_text_read(json_object_get(json, strings[i].key), &string, err);

		if (rc != 0) {
			(void)err_context(err, "'%s'", strings[i].key);
			return rc;
		}
		pointer_set(s, strings[i].offset, string);
		if (string[0] == '\0' && !strings[i].may_be_empty)
			return err_set(err, ERR_INPUT, "'%s' is empty", strings[i].key);
	}
	return 0;
}

int subject_from_json(const json_t *json, struct subject **ret_subject, struct err *err)
{
	struct subject *s = subject_create();
	const json_t *ack = json_object_get(json, "ack");
	const json_t *defined = json_object_get(json, "model_defined");
	const json_t *unsynced = json_object_get(json, "unsynced_recovery");
	const json_t *defect = json_object_get(json, "defect");
	const json_t *check = json_object_get(json, "check");
	int rc = 0;

	if (!json_is_object(json)) {
		rc = err_set(err, ERR_INPUT, "an object is expected");
		goto out;
	}
	rc = strings_from_json(json, s, err);
	for (size_t i = 0; rc == 0 && i < LISTS; i++)
		rc = list_from_json(json_object_get(json, lists[i].key), s, &lists[i], err);
	if (rc == 0)
		rc = seed_from_json(json_object_get(json, "seed"), &s->seed, err);
	if (rc == 0)
		rc = check_path(s->database, "database", err);
	for (size_t i = 0; rc == 0 && i < s->attached_count; i++)
		rc = check_path(s->attached[i].file, "attached", err);
	if (rc == 0)
		rc = ack_from_json(json, &s->ack, err);
	if (rc != 0)
		goto out;
	if ((defined != NULL && !json_is_true(defined)) ||
	    (unsynced != NULL && !json_is_true(unsynced))) {
		rc = err_set(err, ERR_INPUT,
			     "'model_defined', 'unsynced_recovery': true is expected, or nothing");
		goto out;
	}
	s->model_defined = defined != NULL;
	s->unsynced_recovery = unsynced != NULL;
	if (defect != NULL) {
		rc = json_text_read(defect, &s->defect, err);
		if (rc == 0 && !plant_in_run(s->defect))
			rc = err_set(err, ERR_INPUT, "'defect': no such defect");
		if (rc != 0)
			goto out;
	}
	if (check != NULL) {
		rc = json_text_read(check, &s->check, err);
		if (rc == 0 && s->check[0] == '\0')
			rc = err_set(err, ERR_INPUT, "it is empty");
		if (rc != 0) {
			(void)err_context(err, "'check'");
			goto out;
		}
	}
	if (json_object_size(json) != STRINGS + LISTS + 2u + (ack != NULL) + (defined != NULL) +
					  (unsynced != NULL) + (defect != NULL) + (check != NULL)) {
		rc = err_set(err, ERR_INPUT, "an unknown key");
		goto out;
	}
	*ret_subject = s;
	s = NULL;
out:
	if (rc != 0)
		(void)err_context(err, "subject");
	subject_free(s);
	return rc;
}
