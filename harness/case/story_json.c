/*
 * A story as JSON, and back: see story.h.
 *
 * One table for each struct names its members; writing and reading walk the same tables, so that a
 * member cannot be written and then forgotten by the reader. A text that is not UTF-8 loses the
 * bytes that are not: a story is for people.
 */
#include "harness/case/story.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/op.h"
#include "harness/case/json_text.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 1 << 20 };

enum member_type {
	MEMBER_END,
	MEMBER_TEXT,   /* NULL is null */
	MEMBER_NUMBER, /* uint64_t */
	MEMBER_NUMBER32,
	MEMBER_NUMBER16,
	MEMBER_BOOL,
	MEMBER_MATTERS, /* true, false or null */
	MEMBER_GRADE,
	MEMBER_ROLE,
	MEMBER_FATE,
	MEMBER_PRESENCE,
	MEMBER_KIND,  /* static word of op.h */
	MEMBER_INDEX, /* size_t, SIZE_MAX is null */
	MEMBER_PAIRS, /* kv_list */
	MEMBER_TEXTS, /* an array of char * */
	MEMBER_LIST,
};

struct member {
	enum member_type type;
	const char *key;
	size_t offset;
	size_t count, cap; /* MEMBER_LIST, MEMBER_TEXTS: offsets */
	size_t item_size;
	const struct member *members; /* MEMBER_LIST */
};

#define AT(type_, T, name)                                                                         \
	{                                                                                          \
		.type = (type_), .key = #name, .offset = offsetof(T, name)                         \
	}
#define TEXT(T, name)	  AT(MEMBER_TEXT, T, name)
#define NUMBER(T, name)	  AT(MEMBER_NUMBER, T, name)
#define NUMBER32(T, name) AT(MEMBER_NUMBER32, T, name)
#define NUMBER16(T, name) AT(MEMBER_NUMBER16, T, name)
#define BOOL(T, name)	  AT(MEMBER_BOOL, T, name)
#define INDEX(T, name)	  AT(MEMBER_INDEX, T, name)
#define LIST(T, name, one, members_)                                                               \
	{                                                                                          \
		.type = MEMBER_LIST, .key = #name, .offset = offsetof(T, name),                    \
		.count = offsetof(T, one##_count), .cap = offsetof(T, one##_cap),                  \
		.item_size = sizeof *((T *)NULL)->name, .members = (members_)                      \
	}
#define END                                                                                        \
	{                                                                                          \
		.type = MEMBER_END                                                                 \
	}

static const struct member file_members[] = {TEXT(struct story_file, path),
					     AT(MEMBER_ROLE, struct story_file, role), END};

static const struct member op_members[] = {NUMBER(struct story_op, position),
					   AT(MEMBER_KIND, struct story_op, kind),
					   INDEX(struct story_op, file),
					   NUMBER16(struct story_op, process),
					   NUMBER16(struct story_op, thread),
					   NUMBER16(struct story_op, connection),
					   NUMBER(struct story_op, offset),
					   NUMBER(struct story_op, size),
					   TEXT(struct story_op, words),
					   INDEX(struct story_op, transaction),
					   AT(MEMBER_FATE, struct story_op, fate),
					   NUMBER32(struct story_op, parts),
					   NUMBER32(struct story_op, parts_kept),
					   NUMBER(struct story_op, synced_by),
					   NUMBER(struct story_op, damaged_by),
					   BOOL(struct story_op, failed),
					   END};

static const struct member statement_members[] = {NUMBER(struct story_statement, position),
						  NUMBER16(struct story_statement, process),
						  NUMBER16(struct story_statement, connection),
						  TEXT(struct story_statement, source),
						  TEXT(struct story_statement, sql),
						  INDEX(struct story_statement, transaction),
						  NUMBER(struct story_statement, until),
						  BOOL(struct story_statement, setting),
						  END};

static const struct member transaction_members[] = {
    INDEX(struct story_transaction, number),
    NUMBER16(struct story_transaction, process),
    NUMBER16(struct story_transaction, connection),
    NUMBER(struct story_transaction, begin),
    NUMBER(struct story_transaction, first_write),
    NUMBER(struct story_transaction, end),
    NUMBER(struct story_transaction, ack),
    BOOL(struct story_transaction, committed),
    BOOL(struct story_transaction, acked),
    AT(MEMBER_PRESENCE, struct story_transaction, presence),
    TEXT(struct story_transaction, changes),
    BOOL(struct story_transaction, wrong),
    END};

static const struct member decision_members[] = {
    TEXT(struct story_decision, question), NUMBER32(struct story_decision, answer),
    NUMBER32(struct story_decision, of), TEXT(struct story_decision, words), END};

static const struct member row_members[] = {TEXT(struct story_row, where),
					    TEXT(struct story_row, expected),
					    TEXT(struct story_row, found), END};

static const struct member missing_members[] = {TEXT(struct story_missing, rule),
						TEXT(struct story_missing, message),
						TEXT(struct story_missing, target),
						BOOL(struct story_missing, directory),
						NUMBER(struct story_missing, after),
						NUMBER(struct story_missing, before),
						AT(MEMBER_MATTERS, struct story_missing, matters),
						BOOL(struct story_missing, together),
						END};

static const struct member fix_members[] = {
    TEXT(struct story_fix, what),    TEXT(struct story_fix, where), TEXT(struct story_fix, proof),
    TEXT(struct story_fix, command), BOOL(struct story_fix, fixed), END};

static const struct member fate_members[] = {NUMBER(struct story_state_fate, position),
					     AT(MEMBER_FATE, struct story_state_fate, fate), END};

static const struct member state_members[] = {TEXT(struct story_state, count),
					      AT(MEMBER_GRADE, struct story_state, grade),
					      TEXT(struct story_state, outcome),
					      TEXT(struct story_state, oracle),
					      BOOL(struct story_state, this_one),
					      LIST(struct story_state, fates, fate, fate_members),
					      END};

static const struct member line_members[] = {TEXT(struct story_line, text),
					     BOOL(struct story_line, involved), END};

static const struct member story_members[] = {
    TEXT(struct story, token),
    TEXT(struct story, id),
    TEXT(struct story, title),
    TEXT(struct story, model),
    TEXT(struct story, model_words),
    AT(MEMBER_PAIRS, struct story, config),
    TEXT(struct story, oracle),
    AT(MEMBER_GRADE, struct story, grade),
    TEXT(struct story, message),
    TEXT(struct story, verdict),
    TEXT(struct story, replay),
    TEXT(struct story, sqlite),
    TEXT(struct story, plugpull),
    LIST(struct story, files, file, file_members),
    LIST(struct story, ops, op, op_members),
    NUMBER(struct story, ops_left_out),
    LIST(struct story, statements, statement, statement_members),
    LIST(struct story, transactions, transaction, transaction_members),
    NUMBER(struct story, crash),
    BOOL(struct story, cut),
    NUMBER(struct story, cut_bytes),
    NUMBER(struct story, promise),
    NUMBER(struct story, again),
    TEXT(struct story, crash_words),
    LIST(struct story, decisions, decision, decision_members),
    {.type = MEMBER_TEXTS,
     .key = "recovery",
     .offset = offsetof(struct story, recovery),
     .count = offsetof(struct story, recovery_count),
     .cap = offsetof(struct story, recovery_cap),
     .item_size = sizeof(char *)},
    LIST(struct story, rows, row, row_members),
    NUMBER(struct story, rows_left_out),
    BOOL(struct story, show_data),
    TEXT(struct story, rows_against),
    LIST(struct story, missing, missing, missing_members),
    NUMBER(struct story, missing_left_out),
    TEXT(struct story, allowed),
    LIST(struct story, fixes, fix, fix_members),
    TEXT(struct story, fixes_words),
    LIST(struct story, states, state, state_members),
    TEXT(struct story, states_total),
    TEXT(struct story, states_shown),
    NUMBER(struct story, states_recoveries),
    NUMBER(struct story, states_left_out),
    TEXT(struct story, source_path),
    LIST(struct story, source, source, line_members),
    END};

static const char *const kind_words[OP_KIND_MAX + 1] = {
#define X(kind, number, word) [number] = (word),
    OP_KINDS(X)
#undef X
};

/* Objects of any type are moved by memcpy(), which no aliasing rule forbids. */
#define GET(T, base, offset_)                                                                      \
	({                                                                                         \
		T value_;                                                                          \
		memcpy(&value_, (const char *)(base) + (offset_), sizeof value_);                  \
		value_;                                                                            \
	})
#define PUT(base, offset_, value) memcpy((char *)(base) + (offset_), &(value), sizeof(value))

/* ---- writing */

static json_t *not_null(json_t *json)
{
	ASSERT(json != NULL); /* jansson fails only for want of memory here */
	return json;
}

static json_t *text_to_json(const char *text)
{
	return text == NULL ? json_null() : json_text_clean(text);
}

static json_t *word_to_json(const char *word)
{
	return word == NULL ? json_null() : not_null(json_string(word));
}

static json_t *pairs_to_json(const struct kv_list *pairs)
{
	json_t *object = not_null(json_object());

	for (size_t i = 0; i < pairs->count; i++) {
		json_t *key = text_to_json(pairs->items[i].key);
		int failed = json_object_set_new(object, json_string_value(key),
						 text_to_json(pairs->items[i].value));

		ASSERT(!failed);
		json_decref(key);
	}
	return object;
}

static json_t *object_to_json(const void *base, const struct member *members);

static json_t *list_to_json(const void *base, const struct member *m)
{
	json_t *array = not_null(json_array());
	const char *items = GET(const char *, base, m->offset);
	size_t count = GET(size_t, base, m->count);

	for (size_t i = 0; i < count; i++) {
		const char *item = items + i * m->item_size;
		int failed = json_array_append_new(
		    array, m->type == MEMBER_TEXTS ? text_to_json(GET(const char *, item, 0))
						   : object_to_json(item, m->members));

		ASSERT(!failed);
	}
	return array;
}

static json_t *member_to_json(const void *base, const struct member *m)
{
	switch (m->type) {
	case MEMBER_TEXT:
		return text_to_json(GET(const char *, base, m->offset));
	case MEMBER_NUMBER:
		return json_integer((json_int_t)GET(uint64_t, base, m->offset));
	case MEMBER_NUMBER32:
		return json_integer(GET(uint32_t, base, m->offset));
	case MEMBER_NUMBER16:
		return json_integer(GET(uint16_t, base, m->offset));
	case MEMBER_BOOL:
		return json_boolean(GET(bool, base, m->offset));
	case MEMBER_MATTERS: {
		enum story_matters matters = GET(enum story_matters, base, m->offset);

		return matters == STORY_MATTERS_UNKNOWN ? json_null()
							: json_boolean(matters == STORY_MATTERS);
	}
	case MEMBER_GRADE:
		return word_to_json(grade_text(GET(enum grade, base, m->offset)));
	case MEMBER_ROLE:
		return word_to_json(story_role_text(GET(enum story_role, base, m->offset)));
	case MEMBER_FATE:
		return word_to_json(story_fate_text(GET(enum story_fate, base, m->offset)));
	case MEMBER_PRESENCE:
		return word_to_json(story_presence_text(GET(enum story_presence, base, m->offset)));
	case MEMBER_KIND:
		return word_to_json(GET(const char *, base, m->offset));
	case MEMBER_INDEX: {
		size_t index = GET(size_t, base, m->offset);

		return index == SIZE_MAX ? json_null() : json_integer((json_int_t)index);
	}
	case MEMBER_PAIRS: {
		struct kv_list pairs = GET(struct kv_list, base, m->offset);

		return pairs_to_json(&pairs);
	}
	case MEMBER_TEXTS:
	case MEMBER_LIST:
		return list_to_json(base, m);
	case MEMBER_END:
	default:
		assert_fail(__FILE__, __LINE__, "a member has a type");
	}
}

static json_t *object_to_json(const void *base, const struct member *members)
{
	json_t *object = not_null(json_object());

	for (const struct member *m = members; m->type != MEMBER_END; m++) {
		int failed = json_object_set_new(object, m->key, not_null(member_to_json(base, m)));

		ASSERT(!failed);
	}
	return object;
}

json_t *story_to_json(const struct story *s)
{
	json_t *object = object_to_json(s, story_members);
	int failed = json_object_set_new(object, "format", json_integer(STORY_FORMAT));

	ASSERT(!failed);
	return object;
}

/* ---- reading */

static int number_from_json(const json_t *json, uint64_t max, uint64_t *ret, struct err *err)
{
	if (!json_is_integer(json) || json_integer_value(json) < 0 ||
	    (uint64_t)json_integer_value(json) > max)
		return err_set(err, ERR_INPUT, "a number from 0 on is expected");
	*ret = (uint64_t)json_integer_value(json);
	return 0;
}

/* The index of a word in a list of `count`, as `text_of` has them. */
static int word_from_json(const json_t *json, const char *(*text_of)(unsigned), unsigned count,
			  unsigned *ret, struct err *err)
{
	const char *word = json_string_value(json);

	for (unsigned i = 0; word != NULL && i < count; i++) {
		const char *known = text_of(i);

		if (known != NULL && strcmp(known, word) == 0) {
			*ret = i;
			return 0;
		}
	}
	return err_set(err, ERR_INPUT, "an unknown word");
}

static const char *role_of(unsigned i)
{
	return story_role_text((enum story_role)i);
}

static const char *fate_of(unsigned i)
{
	return story_fate_text((enum story_fate)i);
}

static const char *presence_of(unsigned i)
{
	return story_presence_text((enum story_presence)i);
}

static const char *kind_of(unsigned i)
{
	return kind_words[i];
}

static int pairs_from_json(const json_t *json, struct kv_list *ret, struct err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(json))
		return err_set(err, ERR_INPUT, "an object is expected");
	json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
		if (!json_is_string(value))
			return err_set(err, ERR_INPUT, "a string is expected");
		kv_set(ret, key, json_string_value(value));
	}
	return 0;
}

static int object_from_json(const json_t *json, void *base, const struct member *members,
			    struct err *err);

static int text_from_json(const json_t *json, char **ret, struct err *err)
{
	if (json_is_null(json))
		return 0;
	if (!json_is_string(json))
		return err_set(err, ERR_INPUT, "a string or null is expected");
	*ret = xstrdup(json_string_value(json));
	return 0;
}

static int list_from_json(const json_t *json, void *base, const struct member *m, struct err *err)
{
	size_t count = json_array_size(json);

	if (!json_is_array(json) || count > LIST_MAX)
		return err_set(err, ERR_INPUT, "an array of at most %d is expected", LIST_MAX);

	char *items = xcalloc(count + 1, m->item_size);

	PUT(base, m->offset, items);
	PUT(base, m->count, count);
	PUT(base, m->cap, count);
	for (size_t i = 0; i < count; i++) {
		const json_t *from = json_array_get(json, i);
		char *item = items + i * m->item_size, *text = NULL;
		int rc;

		if (m->type == MEMBER_TEXTS) {
			rc = text_from_json(from, &text, err);
			PUT(item, 0, text);
		} else {
			rc = object_from_json(from, item, m->members, err);
		}
		if (rc != 0)
			return err_context(err, "item %zu", i + 1);
	}
	return 0;
}

static int word_member_from_json(const json_t *json, void *base, const struct member *m,
				 struct err *err)
{
	unsigned at = 0;
	int rc;

	switch (m->type) {
	case MEMBER_ROLE:
		rc = word_from_json(json, role_of, STORY_OTHER + 1, &at, err);
		break;
	case MEMBER_FATE:
		rc = word_from_json(json, fate_of, STORY_NO_CHANGE + 1, &at, err);
		break;
	case MEMBER_PRESENCE:
		rc = word_from_json(json, presence_of, STORY_LATER + 1, &at, err);
		break;
	case MEMBER_KIND:
	default:
		rc = word_from_json(json, kind_of, OP_KIND_MAX + 1, &at, err);
		if (rc == 0)
			PUT(base, m->offset, kind_words[at]);
		return rc;
	}
	if (rc == 0)
		PUT(base, m->offset, at);
	return rc;
}

static int member_from_json(const json_t *json, void *base, const struct member *m, struct err *err)
{
	uint64_t number = 0;
	int rc = 0;

	switch (m->type) {
	case MEMBER_TEXT: {
		char *text = NULL;

		rc = text_from_json(json, &text, err);
		PUT(base, m->offset, text);
		return rc;
	}
	case MEMBER_NUMBER:
		rc = number_from_json(json, INT64_MAX, &number, err);
		PUT(base, m->offset, number);
		return rc;
	case MEMBER_NUMBER32: {
		rc = number_from_json(json, UINT32_MAX, &number, err);
		uint32_t value = (uint32_t)number;

		PUT(base, m->offset, value);
		return rc;
	}
	case MEMBER_NUMBER16: {
		rc = number_from_json(json, UINT16_MAX, &number, err);
		uint16_t value = (uint16_t)number;

		PUT(base, m->offset, value);
		return rc;
	}
	case MEMBER_BOOL: {
		bool value = json_is_true(json);

		PUT(base, m->offset, value);
		return json_is_boolean(json) ? 0 : err_set(err, ERR_INPUT, "true or false");
	}
	case MEMBER_MATTERS: {
		enum story_matters value = json_is_null(json)	? STORY_MATTERS_UNKNOWN
					   : json_is_true(json) ? STORY_MATTERS
								: STORY_MATTERS_NOT;

		PUT(base, m->offset, value);
		return json_is_null(json) || json_is_boolean(json)
			   ? 0
			   : err_set(err, ERR_INPUT, "true, false or null");
	}
	case MEMBER_GRADE: {
		enum grade grade = GRADE_NONE;

		if (!json_is_null(json) &&
		    (!json_is_string(json) || grade_parse(json_string_value(json), &grade) != 0))
			return err_set(err, ERR_INPUT, "a grade or null is expected");
		PUT(base, m->offset, grade);
		return 0;
	}
	case MEMBER_INDEX: {
		size_t index = SIZE_MAX;

		if (!json_is_null(json)) {
			rc = number_from_json(json, INT64_MAX, &number, err);
			index = number;
		}
		PUT(base, m->offset, index);
		return rc;
	}
	case MEMBER_PAIRS: {
		struct kv_list pairs = {0};

		rc = pairs_from_json(json, &pairs, err);
		PUT(base, m->offset, pairs);
		return rc;
	}
	case MEMBER_TEXTS:
	case MEMBER_LIST:
		return list_from_json(json, base, m, err);
	case MEMBER_ROLE:
	case MEMBER_FATE:
	case MEMBER_PRESENCE:
	case MEMBER_KIND:
		return word_member_from_json(json, base, m, err);
	case MEMBER_END:
	default:
		assert_fail(__FILE__, __LINE__, "a member has a type");
	}
}

static int object_from_json(const json_t *json, void *base, const struct member *members,
			    struct err *err)
{
	if (!json_is_object(json))
		return err_set(err, ERR_INPUT, "an object is expected");
	for (const struct member *m = members; m->type != MEMBER_END; m++) {
		int rc = member_from_json(json_object_get(json, m->key), base, m, err);

		if (rc != 0)
			return err_context(err, "'%s'", m->key);
	}
	return 0;
}

/* An index points at something, or nobody has to look. */
static int check_indexes(const struct story *s, struct err *err)
{
	for (size_t i = 0; i < s->op_count; i++) {
		const struct story_op *op = &s->ops[i];

		if ((op->file != SIZE_MAX && op->file >= s->file_count) ||
		    op->transaction > s->transaction_count)
			return err_set(err, ERR_INPUT, "'ops' item %zu: of nothing that there is",
				       i + 1);
	}
	for (size_t i = 0; i < s->statement_count; i++)
		if (s->statements[i].transaction > s->transaction_count)
			return err_set(err, ERR_INPUT,
				       "'statements' item %zu: of nothing that there is", i + 1);
	return 0;
}

int story_from_json(const json_t *json, struct story **ret_story, struct err *err)
{
	struct story *s = story_create();
	int rc = 0;

	if (json_integer_value(json_object_get(json, "format")) != STORY_FORMAT)
		rc = err_set(err, ERR_INPUT, "there is no such format");
	if (rc == 0)
		rc = object_from_json(json, s, story_members, err);
	if (rc == 0)
		rc = check_indexes(s, err);
	if (rc != 0) {
		story_free(s);
		return err_context(err, "story");
	}
	*ret_story = s;
	return 0;
}
