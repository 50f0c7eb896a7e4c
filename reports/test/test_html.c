/*
 * The HTML page: that nothing in the data can become part of the page, that the policy names what
 * is in it, its bounds, and that the same result gives the same bytes. What it looks like and does
 * is tested in a browser (browser/); `test_html DIR` writes the pages for that.
 */
#include "reports/html.h"

#include "harness/case/result_json.h"
#include "harness/case/story.h"
#include "reports/html_hash.h"
#include "reports/test/fixture.h"
#include "reports/test/stories.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char hostile[] =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" onclick='alert(3)' & <!-- "
    "]]> \xE2\x80\xAE evil \xE2\x80\xA8 {{policy}} javascript:alert(4) %00 ${x} `y`";

static char *render(const struct result *r)
{
	struct err err = ERR_INIT;
	struct buf out;

	buf_init(&out);
	assert_int_equal(html_render(&out, r, &err), 0);
	(void)buf_str(&out);
	return (char *)out.data;
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		n++;
	return n;
}

/* What stands between two texts, behind `from`; the caller frees it. */
static char *between(const char *from, const char *open, const char *close)
{
	const char *begin = strstr(from, open);

	assert_non_null(begin);
	begin += strlen(open);
	const char *end = strstr(begin, close);

	assert_non_null(end);
	return strndup(begin, (size_t)(end - begin));
}

static json_t *parse(const char *page, const char *id)
{
	char *open = xasprintf("<script type=\"application/json\" id=\"%s\">", id);
	char *text = between(page, open, "</script>");
	json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	free(text);
	free(open);
	return json;
}

/* SHA-256 of the examples of FIPS 180-4 and of every length around the end of a block. */
static void test_hash(void **state)
{
	static const char *const known[][2] = {
	    {"", "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"},
	    {"abc", "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='"},
	    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	     "'sha256-JI1qYdIGOLjlwCaTDD5gOaM85Flk/yFn9uzt1BnbBsE='"},
	};
	struct buf source, all;
	char letters[130];

	(void)state;
	buf_init(&source);
	buf_init(&all);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		buf_clear(&source);
		html_hash_source(&source, known[i][0], strlen(known[i][0]));
		assert_string_equal(buf_str(&source), known[i][1]);
	}
	memset(letters, 'a', sizeof letters);
	/* As Python's hashlib has it: the hash of the sources of 0, 1, ... 129 letters. */
	for (size_t n = 0; n < sizeof letters; n++)
		html_hash_source(&all, letters, n);
	buf_clear(&source);
	html_hash_source(&source, all.data, all.size);
	assert_string_equal(buf_str(&source),
			    "'sha256-JewtPb87VUq6gibeIec0P9c/OuNIF2aN6cCVxunpFKs='");
	buf_release(&source);
	buf_release(&all);
}

/* The policy allows the style and the two scripts that are in the page, by their hash, and nothing
 * else. */
static void test_policy(void **state)
{
	static const char *const elements[][2] = {{"<style>", "</style>"},
						  {"<script>", "</script>"}};
	struct result r;
	struct buf source;

	(void)state;
	stories_run(&r);
	char *page = render(&r);
	char *policy = between(page, "\"Content-Security-Policy\" content=\"", "\"");

	assert_int_equal(strncmp(policy, "default-src 'none'; ", 20), 0);
	assert_null(strstr(policy, "unsafe"));
	assert_null(strchr(policy, '*'));
	assert_null(strstr(policy, "http"));
	assert_non_null(strstr(policy, "base-uri 'none'"));
	assert_non_null(strstr(policy, "form-action 'none'"));
	assert_int_equal(count(policy, "'sha256-"), 3);
	buf_init(&source);
	for (size_t i = 0; i < 2; i++) {
		for (const char *at = page; (at = strstr(at, elements[i][0])) != NULL; at++) {
			char *text = between(at, elements[i][0], elements[i][1]);

			buf_clear(&source);
			html_hash_source(&source, text, strlen(text));
			assert_non_null(strstr(policy, buf_str(&source)));
			free(text);
		}
	}
	assert_int_equal(count(page, "<style>"), 1);
	assert_int_equal(count(page, "<script>"), 2);
	/* Nothing that would be fetched. */
	assert_null(strstr(page, " src="));
	assert_null(strstr(page, "@import"));
	assert_int_equal(count(page, "<link"), 1);
	assert_non_null(strstr(page, "<link rel=\"icon\" href=\"data:"));
	buf_release(&source);
	free(policy);
	free(page);
	result_release(&r);
}

/* However a text looks, it adds no element and no attribute to the page. */
static void test_hostile(void **state)
{
	struct result r, harmless;

	(void)state;
	stories_hostile(&harmless, "text");
	char *expected = render(&harmless);

	stories_hostile(&r, hostile);
	char *page = render(&r);

	assert_int_equal(count(page, "<"), count(expected, "<"));
	assert_int_equal(count(page, "<script"), count(expected, "<script"));
	assert_null(strstr(page, "<img"));
	assert_null(strstr(page, "<!--"));
	/* In the table for readers without scripts quotes are escaped, too. */
	char *plain = between(page, "<div id=\"plain\">", "</div>");

	assert_non_null(strstr(plain, "&lt;/script&gt;"));
	assert_null(strstr(plain, "\" onclick"));
	assert_non_null(strstr(plain, "{{policy}}"));
	assert_null(strstr(plain, "\xE2\x80\xAE"));
	/* What the scripts read is the text as it is. */
	json_t *data = parse(page, "data");
	const json_t *cases = json_object_get(json_object_get(data, "result"), "cases");
	json_t *story = parse(page, "story-6-0");

	assert_string_equal(json_string_value(json_object_get(json_array_get(cases, 6), "reason")),
			    hostile);
	assert_string_equal(json_string_value(json_object_get(story, "message")), hostile);
	json_decref(story);
	json_decref(data);
	free(plain);
	free(page);
	free(expected);
	result_release(&r);
	result_release(&harmless);
}

/* The page carries the result itself, each story once, and words for each case. */
static void test_data(void **state)
{
	struct err err = ERR_INIT;
	struct result r;
	char *text;
	size_t size;

	(void)state;
	stories_run(&r);
	char *page = render(&r);
	json_t *data = parse(page, "data");

	assert_int_equal(result_json(&r, &text, &size, &err), 0);
	json_t *result = json_loads(text, 0, NULL);

	assert_true(json_equal(json_object_get(data, "result"), result));
	assert_int_equal(json_array_size(json_object_get(data, "words")), r.case_count);
	for (size_t i = 0; i < r.case_count; i++) {
		for (size_t v = 0; v < r.cases[i].violation_count; v++) {
			char *id = xasprintf("story-%zu-%zu", i, v);
			char *quoted = xasprintf("id=\"%s\"", id);
			const struct story *story = r.cases[i].violations[v].story;

			assert_int_equal(count(page, quoted), story != NULL);
			if (story != NULL) {
				json_t *there = parse(page, id), *expected = story_to_json(story);

				assert_true(json_equal(there, expected));
				json_decref(there);
				json_decref(expected);
			}
			free(quoted);
			free(id);
		}
	}
	json_decref(result);
	json_decref(data);
	free(text);
	free(page);
	result_release(&r);
}

/* The same result gives the same bytes, wherever they are put. */
static void test_deterministic(void **state)
{
	struct err err = ERR_INIT;
	struct result r, again;
	struct buf out;

	(void)state;
	stories_run(&r);
	stories_run(&again);
	char *page = render(&r);

	buf_init(&out);
	buf_printf(&out, "before");
	assert_int_equal(html_render(&out, &again, &err), 0);
	assert_string_equal(buf_str(&out) + 6, page);
	buf_release(&out);
	free(page);
	result_release(&r);
	result_release(&again);
}

/* A run of nothing is a page, too. */
static void test_empty(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	char *page = render(&r);

	assert_non_null(strstr(page, "<title>plugpull run: inconclusive</title>"));
	assert_non_null(strstr(page, "no case ran"));
	free(page);
	result_release(&r);
}

/* Without scripts there are the verdict, a row for each case, and the command for each violation.
 */
static void test_plain(void **state)
{
	struct result r;

	(void)state;
	fixture(&r);
	char *page = render(&r), *plain = between(page, "<div id=\"plain\">", "</div>");

	assert_non_null(strstr(plain, "<h1>plugpull run: error</h1>"));
	assert_int_equal(count(plain, "<tr>"), 1 + r.case_count);
	assert_non_null(strstr(plain, "<code>plugpull replay cases/pp1-3f2a9c.ppcase</code>"));
	assert_non_null(strstr(plain, "durable is required, found consistent"));
	/* The control that holds by being corrupt is no violation. */
	assert_null(strstr(plain, "pp1-0ff"));
	free(plain);
	free(page);
	result_release(&r);
}

static struct story *large_story(size_t size)
{
	struct story *s = story_create();

	s->message = xmalloc(size + 1);
	memset(s->message, 'x', size);
	s->message[size] = '\0';
	return s;
}

/* Stories that do not fit are left out and counted, those of held cases and second ones first, and
 * the page keeps to its size. */
static void test_stories_bound(void **state)
{
	enum { STORY_SIZE = 5 << 19, CASES = 9 };
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	for (unsigned i = 0; i < CASES; i++) {
		char *variant = xasprintf("m%u", i);
		struct case_result *c = fixture_case(
		    &r, "x.sql", variant, i == 0 ? CASE_HELD : CASE_VIOLATED, GRADE_TORN);

		for (unsigned v = 0; v < 2; v++) {
			case_result_violation(c, "history", GRADE_TORN, "gone", "pp1-1");
			c->violations[v].story = large_story(STORY_SIZE);
		}
		free(variant);
	}
	char *page = render(&r);
	json_t *left = parse(page, "stories");

	assert_true(strlen(page) <= HTML_SIZE_MAX);
	assert_true(strlen(page) > HTML_SIZE_MAX - 2 * STORY_SIZE);
	/* 12 fit: the first of all nine, then the second of three that are violated. */
	assert_int_equal(json_integer_value(json_object_get(left, "left_out")), 2 * CASES - 12);
	assert_non_null(strstr(page, "id=\"story-0-0\""));
	assert_null(strstr(page, "id=\"story-0-1\""));
	assert_non_null(strstr(page, "id=\"story-3-1\""));
	assert_null(strstr(page, "id=\"story-4-1\""));
	json_decref(left);
	free(page);
	result_release(&r);
}

/* So are cases, those that held first. */
static void test_cases_bound(void **state)
{
	enum { REASON_SIZE = 3 << 19, CASES = 8 };
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	for (unsigned i = 0; i < CASES; i++) {
		char *variant = xasprintf("m%u", i);
		struct case_result *c = fixture_case(&r, "x.sql", variant,
						     i < 4 ? CASE_HELD : CASE_VIOLATED, GRADE_TORN);

		c->reason = xmalloc(REASON_SIZE + 1);
		memset(c->reason, 'x', REASON_SIZE);
		c->reason[REASON_SIZE] = '\0';
		free(variant);
	}
	char *page = render(&r);
	json_t *data = parse(page, "data"), *words = json_object_get(data, "words");

	assert_int_equal(json_integer_value(json_object_get(data, "cases_left_out")), 3);
	assert_int_equal(json_array_size(words), 5);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(words, 1), "index")), 4);
	json_decref(data);
	free(page);
	result_release(&r);
}

/* A result that is no JSON is an error, and nothing is left of the page. */
static void test_error(void **state)
{
	struct err err = ERR_INIT;
	struct result r;
	struct buf out;

	(void)state;
	fixture(&r);
	r.cases[0].recoveries = UINT64_MAX;
	buf_init(&out);
	buf_printf(&out, "before");
	assert_int_equal(html_render(&out, &r, &err), ERR_LIMIT);
	assert_string_equal(buf_str(&out), "before");
	buf_release(&out);
	result_release(&r);
}

/* ---- pages for the browser ---- */

static int write_page(const char *dir, const char *name, struct result *r)
{
	char *path = xasprintf("%s/%s.html", dir, name), *page = render(r);
	FILE *f = fopen(path, "w");
	int failed = f == NULL || fputs(page, f) < 0;

	failed |= f != NULL && fclose(f) != 0;
	free(page);
	free(path);
	result_release(r);
	return failed;
}

static int write_pages(const char *dir)
{
	struct result r;
	struct buf text;
	int failed = 0;

	stories_run(&r);
	failed |= write_page(dir, "run", &r);
	fixture(&r);
	r.interrupted = true;
	failed |= write_page(dir, "plain", &r);
	result_init(&r, "run", UINT64_C(9223372036854775807));
	fixture_case(&r, "store/archival.sql", "strict-posix", CASE_HELD, GRADE_DURABLE);
	failed |= write_page(dir, "held", &r);
	stories_hostile(&r, hostile);
	failed |= write_page(dir, "hostile", &r);
	buf_init(&text);
	while (text.size < 10000)
		buf_printf(&text, "a%zu<b>", text.size);
	stories_hostile(&r, buf_str(&text));
	failed |= write_page(dir, "long", &r);
	buf_release(&text);
	stories_single(&r, stories_many(5000));
	failed |= write_page(dir, "ops5000", &r);
	stories_single(&r, stories_many(STORY_OPS_MAX));
	failed |= write_page(dir, "ops20000", &r);
	return failed;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hash),	  cmocka_unit_test(test_policy),
	    cmocka_unit_test(test_hostile),	  cmocka_unit_test(test_data),
	    cmocka_unit_test(test_deterministic), cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_plain),	  cmocka_unit_test(test_stories_bound),
	    cmocka_unit_test(test_cases_bound),	  cmocka_unit_test(test_error),
	};

	if (argc == 2)
		return write_pages(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
