/*
 * Case files as bytes, and tokens: see case_file.h. All integers are little endian.
 *
 *      0   8  magic "pp-case\n"
 *      8   4  format version, CASE_FORMAT
 *     12   4  zero
 *     16   8  size of the JSON, bytes (j)
 *     24   8  size of the trace, bytes (t)
 *     32   j  JSON, UTF-8, compact, keys sorted
 *   32+j   t  the trace, as trace_encode() writes it
 * 32+j+t  16  checksum of everything before: XXH3 128, low half first
 *
 * JSON, no other keys allowed:
 *   subject   as subject_to_json() writes it
 *   state     {"position": N, "cut_bytes": N or null, "answers": [N, ...]}, and where the disk lags
 *             behind the crash "promise": N, its position; with crashes during recovery "depth":
 *             2, and for a second crash "again": {"position": N, "cut_bytes": N or null}; where
 *             the sectors of one read were decided together "representative": true
 *   finding   {"oracle": TEXT, "grade": a word or null, "message": TEXT}
 *   versions  {"plugpull": TEXT, "sqlite": TEXT}
 *   scenario  as case_source_to_json() writes it; left out where there is none
 *
 * Rules:
 *   C1  A token is "pp1-" and 32 hex digits: the hash of the subject, the state, the finding's
 *       oracle and grade (as JSON) and of the trace without its producer and its statements. What
 *       says who found it, in which words, and what the trace came from is left out, so that the
 *       same finding has the same token everywhere.
 *   C2  The format is judged before the checksum: a later format may have it elsewhere.
 *   C3  Nothing is allocated for a size that the input does not back, and JSON is counted before it
 *       is parsed, because a parser spends up to forty times what it reads.
 *
 * Not done here: files (case_folder.c), whether the answers fit the questions (the replay finds
 * out), whether the model or an extension exists, and compression.
 */
#include "harness/case/case_file.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "harness/case/case_file_internal.h"
#include "harness/case/json_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[8] = {'p', 'p', '-', 'c', 'a', 's', 'e', '\n'};

enum {
	HEADER_SIZE = CASE_FILE_HEADER_SIZE,
	CHECKSUM_SIZE = 16,
	JSON_SIZE_MAX = 64 << 20,
	JSON_CONTAINERS_MAX = 1 << 16, /* arrays and objects */
	JSON_VALUES_MAX = 1 << 22,     /* separators between values */
};
#define TRACE_SIZE_MAX ((uint64_t)8 << 30) /* a case is encoded and decoded in memory */
#define DUMP_FLAGS     (JSON_COMPACT | JSON_SORT_KEYS)

void case_file_free(struct case_file *c)
{
	if (c == NULL)
		return;
	subject_free(c->subject);
	trace_free(c->trace);
	case_source_free(c->source);
	free(c->state.answers);
	free(c->finding.oracle);
	free(c->finding.message);
	free(c->plugpull_version);
	free(c->sqlite_version);
	free(c);
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

static json_t *state_to_json(const struct case_state *state)
{
	json_t *object = not_null(json_object());
	json_t *answers = not_null(json_array());

	for (size_t i = 0; i < state->answer_count; i++) {
		int failed = json_array_append_new(answers, json_integer(state->answers[i]));

		ASSERT(!failed);
	}
	set(object, "answers", answers);
	set(object, "position", json_integer((json_int_t)state->position));
	if (state->depth == 2)
		set(object, "depth", json_integer(2));
	if (state->has_again) {
		json_t *again = not_null(json_object());

		set(again, "position", json_integer((json_int_t)state->again_position));
		set(again, "cut_bytes",
		    state->again_has_cut ? json_integer((json_int_t)state->again_cut_bytes)
					 : json_null());
		set(object, "again", again);
	}
	if (state->representative)
		set(object, "representative", json_true());
	if (state->promise != state->position)
		set(object, "promise", json_integer((json_int_t)state->promise));
	set(object, "cut_bytes",
	    state->has_cut ? json_integer((json_int_t)state->cut_bytes) : json_null());
	return object;
}

/* Appends the JSON; `identity` is what the token stands for (C1). */
static void put_json(const struct case_file *c, bool identity, struct buf *out)
{
	json_t *root = not_null(json_object());
	json_t *finding = not_null(json_object());
	const char *grade = grade_text(c->finding.grade);

	set(finding, "oracle", json_text_clean(c->finding.oracle));
	set(finding, "grade", grade == NULL ? json_null() : json_string(grade));
	if (!identity) {
		json_t *versions = not_null(json_object());

		set(finding, "message", json_text_clean(c->finding.message));
		set(versions, "plugpull", json_text_clean(c->plugpull_version));
		set(versions, "sqlite", json_text_clean(c->sqlite_version));
		set(root, "versions", versions);
		if (c->source != NULL)
			set(root, "scenario", case_source_to_json(c->source));
	}
	set(root, "subject", subject_to_json(c->subject));
	set(root, "state", state_to_json(&c->state));
	set(root, "finding", finding);

	char *dump = json_dumps(root, DUMP_FLAGS);

	ASSERT(dump != NULL);
	buf_append(out, dump, strlen(dump));
	free(dump);
	json_decref(root);
}

void case_file_token(const struct case_file *c, char ret_token[CASE_TOKEN_SIZE])
{
	struct trace anonymous = *c->trace; /* borrows everything; encoding only reads it */
	char nobody[] = "";
	struct buf bytes = {0};

	anonymous.producer = nobody;
	anonymous.statement_count = 0;
	put_json(c, true, &bytes);
	trace_encode(&anonymous, &bytes);

	struct digest hash = hash128(bytes.data, bytes.size);

	(void)snprintf(ret_token, CASE_TOKEN_SIZE, CASE_TOKEN_PREFIX "%016" PRIx64 "%016" PRIx64,
		       hash.hi, hash.lo);
	buf_release(&bytes);
}

static void set_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void case_file_encode(const struct case_file *c, struct buf *ret)
{
	size_t start = ret->size;

	buf_append(ret, magic, sizeof magic);
	buf_put_u32(ret, CASE_FORMAT);
	buf_put_u32(ret, 0);
	buf_put_u64(ret, 0);
	buf_put_u64(ret, 0);
	put_json(c, false, ret);

	size_t json_end = ret->size;

	trace_encode(c->trace, ret);
	set_u64(ret->data + start + 16, json_end - start - HEADER_SIZE);
	set_u64(ret->data + start + 24, ret->size - json_end);

	struct digest hash = hash128(ret->data + start, ret->size - start);

	buf_put_u64(ret, hash.lo);
	buf_put_u64(ret, hash.hi);
}

/* ---- reading */

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

struct header {
	size_t json_size, trace_size;
};

/* C2. Needs only the header, or all that there is of it. */
static int read_header(const uint8_t *data, size_t size, struct header *ret, struct err *err)
{
	size_t known = size < sizeof magic ? size : sizeof magic;

	if (known == 0 || memcmp(data, magic, known) != 0)
		return err_set(err, ERR_INPUT, "not a case file");
	if (size < HEADER_SIZE)
		return err_set(err, ERR_INPUT, "damaged: the file ends inside its header");
	uint32_t format = get_u32(data + 8);
	uint64_t json_size = get_u64(data + 16), trace_size = get_u64(data + 24);

	if (format > CASE_FORMAT)
		return err_set(err, ERR_INPUT,
			       "format %" PRIu32 " is newer than this program reads", format);
	if (format != CASE_FORMAT || get_u32(data + 12) != 0)
		return err_set(err, ERR_INPUT, "damaged: the header makes no sense");
	if (json_size > JSON_SIZE_MAX || trace_size > TRACE_SIZE_MAX)
		return err_set(err, ERR_INPUT, "damaged, or larger than a case can be");
	*ret = (struct header){(size_t)json_size, (size_t)trace_size};
	return 0;
}

int case_file_whole_size(const void *data, size_t size, size_t *ret_size, struct err *err)
{
	struct header header;
	int rc = read_header(data, size, &header, err);

	if (rc == 0)
		*ret_size = HEADER_SIZE + header.json_size + header.trace_size + CHECKSUM_SIZE;
	return rc;
}

/* C3: counts what a parser would allocate for. Text that is no JSON may be counted wrong; it is
 * then refused by one of the two. */
static int check_json_bounds(const char *json, size_t size, struct err *err)
{
	size_t containers = 0, separators = 0;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		char ch = json[i];

		if (in_string) {
			if (ch == '\\')
				i++;
			else if (ch == '"')
				in_string = false;
		} else if (ch == '"') {
			in_string = true;
		} else if (ch == '[' || ch == '{') {
			containers++;
		} else if (ch == ',' || ch == ':') {
			separators++;
		}
	}
	if (containers > JSON_CONTAINERS_MAX || separators > JSON_VALUES_MAX)
		return err_set(err, ERR_INPUT, "its JSON has more values than a case can have");
	return 0;
}

static int need_text(const json_t *object, const char *key, char **ret, struct err *err)
{
	const char *value = json_string_value(json_object_get(object, key));

	if (value == NULL)
		return err_set(err, ERR_INPUT, "'%s': a string is expected", key);
	*ret = xstrdup(value);
	return 0;
}

static int need_keys(const json_t *object, size_t count, struct err *err)
{
	if (json_object_size(object) != count)
		return err_set(err, ERR_INPUT, "a missing or an unknown key");
	return 0;
}

static int read_answers(const json_t *array, struct case_state *state, struct err *err)
{
	if (!json_is_array(array))
		return err_set(err, ERR_INPUT, "'answers': an array is expected");
	size_t count = json_array_size(array);

	if (count > CASE_ANSWERS_MAX)
		return err_set(err, ERR_INPUT, "'answers': %zu of them, the most are %d", count,
			       CASE_ANSWERS_MAX);
	state->answers = xcalloc(count, sizeof *state->answers);
	for (size_t i = 0; i < count; i++) {
		const json_t *answer = json_array_get(array, i);
		json_int_t value = json_integer_value(answer);

		if (!json_is_integer(answer) || value < 0 || value > UINT32_MAX)
			return err_set(err, ERR_INPUT, "'answers': number %zu is no answer", i + 1);
		state->answers[i] = (uint32_t)value;
	}
	state->answer_count = count;
	return 0;
}

/* "position" and "cut_bytes" of an object. */
static int read_place(const json_t *json, uint64_t *ret_position, bool *ret_has_cut,
		      uint64_t *ret_cut_bytes, struct err *err)
{
	const json_t *position = json_object_get(json, "position");
	const json_t *cut = json_object_get(json, "cut_bytes");

	if (!json_is_integer(position) || json_integer_value(position) < 0)
		return err_set(err, ERR_INPUT, "'position': a number is expected");
	if (!json_is_null(cut) && (!json_is_integer(cut) || json_integer_value(cut) < 0))
		return err_set(err, ERR_INPUT, "'cut_bytes': a number or null is expected");
	*ret_position = (uint64_t)json_integer_value(position);
	*ret_has_cut = !json_is_null(cut);
	*ret_cut_bytes = *ret_has_cut ? (uint64_t)json_integer_value(cut) : 0;
	return 0;
}

static int read_state(const json_t *json, struct case_state *state, struct err *err)
{
	const json_t *promise = json_object_get(json, "promise");
	const json_t *depth = json_object_get(json, "depth");
	const json_t *again = json_object_get(json, "again");
	const json_t *representative = json_object_get(json, "representative");
	size_t keys =
	    3u + (promise != NULL) + (depth != NULL) + (again != NULL) + (representative != NULL);
	int rc = need_keys(json, keys, err);

	if (rc == 0)
		rc = read_place(json, &state->position, &state->has_cut, &state->cut_bytes, err);
	if (rc != 0)
		return rc;
	if (depth != NULL && (!json_is_integer(depth) || json_integer_value(depth) != 2))
		return err_set(err, ERR_INPUT, "'depth': 2 is expected, or nothing");
	state->depth = depth == NULL ? 1 : 2;
	if (representative != NULL && !json_is_true(representative))
		return err_set(err, ERR_INPUT, "'representative': true is expected, or nothing");
	state->representative = representative != NULL;
	if (again != NULL && depth == NULL)
		return err_set(err, ERR_INPUT, "'again' needs 'depth'");
	state->has_again = again != NULL;
	if (again != NULL && (rc = need_keys(again, 2, err)) == 0)
		rc = read_place(again, &state->again_position, &state->again_has_cut,
				&state->again_cut_bytes, err);
	if (rc != 0) {
		if (again != NULL)
			(void)err_context(err, "'again'");
		return rc;
	}
	if (promise != NULL && (!json_is_integer(promise) ||
				json_integer_value(promise) <= (json_int_t)state->position))
		return err_set(err, ERR_INPUT,
			       "'promise': a number is expected, after the position");
	state->promise = promise == NULL ? state->position : (uint64_t)json_integer_value(promise);
	return read_answers(json_object_get(json, "answers"), state, err);
}

static int read_finding(const json_t *json, struct case_finding *finding, struct err *err)
{
	const json_t *grade = json_object_get(json, "grade");
	int rc = need_keys(json, 3, err);

	if (rc == 0)
		rc = need_text(json, "oracle", &finding->oracle, err);
	if (rc == 0)
		rc = need_text(json, "message", &finding->message, err);
	if (rc != 0)
		return rc;
	if (finding->oracle[0] == '\0')
		return err_set(err, ERR_INPUT, "'oracle' is empty");
	finding->grade = GRADE_NONE;
	if (json_is_null(grade))
		return 0;
	if (!json_is_string(grade) || grade_parse(json_string_value(grade), &finding->grade) != 0)
		return err_set(err, ERR_INPUT, "'grade': a grade or null is expected");
	return 0;
}

static int read_versions(const json_t *json, struct case_file *c, struct err *err)
{
	int rc = need_keys(json, 2, err);

	if (rc == 0)
		rc = need_text(json, "plugpull", &c->plugpull_version, err);
	if (rc == 0)
		rc = need_text(json, "sqlite", &c->sqlite_version, err);
	return rc;
}

static int read_json(const char *data, size_t size, struct case_file *c, struct err *err)
{
	json_error_t why;
	json_t *root = NULL;
	int rc = check_json_bounds(data, size, err);

	if (rc != 0)
		return rc;
	root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &why);
	if (root == NULL)
		return err_set(err, ERR_INPUT, "its JSON is malformed at byte %d", why.position);
	const json_t *source = json_object_get(root, "scenario");
	rc = need_keys(root, 4u + (source != NULL), err);
	if (rc == 0)
		rc = subject_from_json(json_object_get(root, "subject"), &c->subject, err);
	if (rc == 0 && (rc = read_state(json_object_get(root, "state"), &c->state, err)) != 0)
		(void)err_context(err, "state");
	if (rc == 0 && (rc = read_finding(json_object_get(root, "finding"), &c->finding, err)) != 0)
		(void)err_context(err, "finding");
	if (rc == 0 && (rc = read_versions(json_object_get(root, "versions"), c, err)) != 0)
		(void)err_context(err, "versions");
	if (rc == 0 && source != NULL)
		rc = case_source_from_json(source, &c->source, err);
	json_decref(root);
	return rc;
}

static int check_state(const struct case_state *state, const struct trace *t, struct err *err)
{
	if (state->position > t->op_count)
		return err_set(err, ERR_INPUT,
			       "state: position %" PRIu64 " of a trace of %zu operations",
			       state->position, t->op_count);
	if (state->promise > t->op_count)
		return err_set(err, ERR_INPUT,
			       "state: promise %" PRIu64 " of a trace of %zu operations",
			       state->promise, t->op_count);
	if (!state->has_cut)
		return 0;
	if (state->position == 0 || trace_at(t, state->position)->kind != OP_WRITE)
		return err_set(err, ERR_INPUT, "state: only a write can be cut");
	if (state->cut_bytes > trace_at(t, state->position)->size)
		return err_set(err, ERR_INPUT, "state: a write is cut beyond its end");
	return 0;
}

int case_file_decode(const void *data, size_t size, struct case_file **ret_case, struct err *err)
{
	const uint8_t *bytes = data;
	struct case_file *c = NULL;
	struct header header;
	int rc = read_header(bytes, size, &header, err);

	if (rc != 0)
		return rc;
	if (size - HEADER_SIZE != header.json_size + header.trace_size + CHECKSUM_SIZE)
		return err_set(err, ERR_INPUT, "damaged: it is %zu bytes long, and says %zu", size,
			       HEADER_SIZE + header.json_size + header.trace_size + CHECKSUM_SIZE);

	const uint8_t *json = bytes + HEADER_SIZE, *trace = json + header.json_size;
	const uint8_t *end = trace + header.trace_size;
	struct digest said = {get_u64(end), get_u64(end + 8)};

	if (!digest_equal(hash128(bytes, size - CHECKSUM_SIZE), said))
		return err_set(err, ERR_INPUT, "damaged: its checksum is wrong");
	c = xcalloc(1, sizeof *c);
	rc = trace_decode(trace, header.trace_size, &c->trace, err);
	if (rc != 0) {
		(void)err_context(err, "trace");
		goto out;
	}
	rc = read_json((const char *)json, header.json_size, c, err);
	if (rc == 0)
		rc = check_state(&c->state, c->trace, err);
	if (rc != 0)
		goto out;
	*ret_case = c;
	c = NULL;
out:
	case_file_free(c);
	return rc;
}
