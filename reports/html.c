/*
 * The HTML page; see html.h. Here: the template filled in, and the bounds. What a reader without
 * scripts sees is html_plain.c.
 */
#include "reports/html.h"

#include "faultinject/base/assert.h"
#include "harness/case/result_json.h"
#include "harness/case/story.h"
#include "reports/html_assets.h"
#include "reports/html_hash.h"
#include "reports/html_plain.h"
#include "reports/words.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* ---- JSON ---- */

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

/* What the words_*() functions made, which is UTF-8 on one line. */
static json_t *words(struct buf *text)
{
	return not_null(json_string(buf_str(text)));
}

/* A command line may hold any byte that an argument can. */
static json_t *json_text(const char *text)
{
	struct buf clean;

	buf_init(&clean);
	words_clean(&clean, text);
	json_t *json = words(&clean);
	buf_release(&clean);
	return json;
}

/* A '<' could end the element that the JSON stands in; inside a string this is the same. */
static int append_escaped(const char *data, size_t size, void *out)
{
	for (const char *end = data + size, *found; data < end; data = found + 1) {
		found = memchr(data, '<', (size_t)(end - data));
		buf_append(out, data, (size_t)((found == NULL ? end : found) - data));
		if (found == NULL)
			break;
		put(out, "\\u003c");
	}
	return 0;
}

static void dump(struct buf *out, const json_t *json)
{
	/* ASCII, so that no text in another direction, and no byte order mark, stands in the file.
	 */
	int failed = json_dump_callback(json, append_escaped, out,
					JSON_SORT_KEYS | JSON_COMPACT | JSON_ENSURE_ASCII |
					    JSON_REAL_PRECISION(6));

	ASSERT(!failed);
}

static int add_size(const char *data, size_t size, void *sum)
{
	(void)data;
	*(size_t *)sum += size;
	return 0;
}

static size_t size_of(const json_t *json)
{
	size_t size = 0;

	(void)json_dump_callback(json, add_size, &size, JSON_COMPACT | JSON_ENSURE_ASCII);
	return size;
}

/* What the page says of a case beside its JSON. */
static json_t *case_words(const struct case_result *c, size_t index)
{
	json_t *object = not_null(json_object());
	struct buf text;

	buf_init(&text);
	set(object, "index", json_integer((json_int_t)index));
	words_sentence(&text, c);
	set(object, "sentence", words(&text));
	buf_clear(&text);
	words_coverage(&text, c);
	set(object, "coverage", words(&text));
	set(object, "extent", json_string(words_extent(c)));
	buf_clear(&text);
	words_clean(&text, c->title);
	set(object, "title", c->title == NULL ? json_null() : words(&text));
	buf_clear(&text);
	words_clean(&text, c->file);
	set(object, "file", c->file == NULL ? json_null() : words(&text));
	buf_release(&text);
	return object;
}

static bool is_good(const struct case_result *c)
{
	return c->verdict == CASE_HELD || c->verdict == CASE_SKIPPED;
}

/* {"result", "words", "counts", "seed", "cases_left_out"}; words[i] is about result.cases[i]. Where
 * not all cases fit, those that are not held come first. */
static json_t *page_data(const struct result *r, json_t *result)
{
	json_t *object = not_null(json_object()), *list = not_null(json_array());
	json_t *cases = not_null(json_array()), *all = json_object_get(result, "cases");
	bool *kept = xcalloc(r->case_count + 1, sizeof *kept);
	size_t size = 0, left_out = 0;
	struct buf counts, seed;

	ASSERT(json_array_size(all) == r->case_count);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < r->case_count; i++) {
			if (is_good(&r->cases[i]) != (pass == 1))
				continue;
			size += size_of(json_array_get(all, i));
			kept[i] = size <= HTML_CASES_SIZE_MAX;
			left_out += !kept[i];
		}
	}
	for (size_t i = 0; i < r->case_count; i++) {
		if (!kept[i])
			continue;
		int failed = json_array_append(cases, json_array_get(all, i));

		failed |= json_array_append_new(list, case_words(&r->cases[i], i));
		ASSERT(!failed);
	}
	set(result, "cases", cases);
	buf_init(&counts);
	buf_init(&seed);
	words_counts(&counts, r);
	set(object, "again", r->again == NULL ? json_null() : json_text(r->again));
	set(object, "again_program",
	    r->again_program == NULL ? json_null() : json_text(r->again_program));
	set(object, "counts", words(&counts));
	/* A number of JavaScript is exact up to 2^53 only. */
	buf_printf(&seed, "%" PRIu64, r->seed);
	set(object, "seed", words(&seed));
	set(object, "words", list);
	set(object, "cases_left_out", json_integer((json_int_t)left_out));
	set(object, "result", json_incref(result));
	buf_release(&counts);
	buf_release(&seed);
	free(kept);
	return object;
}

static int put_data(struct buf *out, const struct result *r, struct err *err)
{
	char *text = NULL;
	size_t size;
	int rc = result_json(r, &text, &size, err);

	if (rc != 0)
		return rc;
	json_t *result = not_null(json_loadb(text, size, 0, NULL));
	json_t *data = page_data(r, result);

	put(out, "<script type=\"application/json\" id=\"data\">");
	dump(out, data);
	put(out, "</script>\n");
	json_decref(data);
	json_decref(result);
	free(text);
	return 0;
}

/* ---- stories ---- */

/* Appends the story unless the page would be too large with it. */
static bool put_story(struct buf *out, size_t start, size_t reserve, const struct story *story,
		      size_t case_index, size_t violation_index)
{
	size_t before = out->size;
	json_t *json = not_null(story_to_json(story));

	buf_printf(out, "<script type=\"application/json\" id=\"story-%zu-%zu\">", case_index,
		   violation_index);
	dump(out, json);
	put(out, "</script>\n");
	json_decref(json);
	if (out->size - start + reserve <= HTML_SIZE_MAX)
		return true;
	out->size = before;
	return false;
}

/* The n-th violation of each case, then the next. `reserve` bytes of the page are still to come. */
static void put_stories(struct buf *out, size_t start, size_t reserve, const struct result *r)
{
	size_t most = 0, left_out = 0;

	for (size_t i = 0; i < r->case_count; i++)
		if (r->cases[i].violation_count > most)
			most = r->cases[i].violation_count;
	for (size_t v = 0; v < most; v++) {
		for (int pass = 0; pass < 2; pass++) {
			for (size_t i = 0; i < r->case_count; i++) {
				const struct case_result *c = &r->cases[i];

				if (is_good(c) != (pass == 1) || v >= c->violation_count ||
				    c->violations[v].story == NULL)
					continue;
				if (left_out > 0 ||
				    !put_story(out, start, reserve, c->violations[v].story, i, v))
					left_out++;
			}
		}
	}
	buf_printf(out,
		   "<script type=\"application/json\" id=\"stories\">{\"left_out\":%zu}</script>\n",
		   left_out);
}

/* ---- the template ---- */

static void put_asset(struct buf *out, struct html_asset asset)
{
	buf_append(out, asset.data, asset.size);
}

static void put_policy(struct buf *out)
{
	struct html_asset style = html_asset_style(), boot = html_asset_boot();
	struct html_asset script = html_asset_script();

	put(out, "default-src 'none'; style-src ");
	html_hash_source(out, style.data, style.size);
	put(out, "; script-src ");
	html_hash_source(out, boot.data, boot.size);
	put(out, " ");
	html_hash_source(out, script.data, script.size);
	put(out, "; img-src data:; base-uri 'none'; form-action 'none'");
}

/* What stands behind `asset` in the page, for certain: the script, and the end of the template. */
static size_t rest_size(struct html_asset page)
{
	return html_asset_script().size + page.size + 1000;
}

int html_render(struct buf *out, const struct result *r, struct err *err)
{
	struct html_asset page = html_asset_page();
	const char *at = page.data, *end = page.data + page.size, *open;
	size_t start = out->size;
	int rc = 0;

	while ((open = memmem(at, (size_t)(end - at), "{{", 2)) != NULL) {
		const char *close = memmem(open, (size_t)(end - open), "}}", 2);

		ASSERT(close != NULL);
		buf_append(out, at, (size_t)(open - at));
		char *name = strndup(open + 2, (size_t)(close - open - 2));

		ASSERT(name != NULL);
		at = close + 2;
		if (strcmp(name, "policy") == 0)
			put_policy(out);
		else if (strcmp(name, "title") == 0)
			html_plain_title(out, r);
		else if (strcmp(name, "style") == 0)
			put_asset(out, html_asset_style());
		else if (strcmp(name, "boot") == 0)
			put_asset(out, html_asset_boot());
		else if (strcmp(name, "plain") == 0)
			html_plain_render(out, r);
		else if (strcmp(name, "data") == 0)
			rc = put_data(out, r, err);
		else if (strcmp(name, "stories") == 0)
			put_stories(out, start, rest_size(page), r);
		else {
			ASSERT(strcmp(name, "script") == 0);
			put_asset(out, html_asset_script());
		}
		free(name);
		if (rc != 0) {
			out->size = start;
			return rc;
		}
	}
	buf_append(out, at, (size_t)(end - at));
	return 0;
}
