/* JUnit XML: its shape, and that XML readers accept whatever stands in a result. */
#include "reports/junit.h"

#include "reports/test/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static char *render(const struct result *r)
{
	struct buf out;

	buf_init(&out);
	junit_render(&out, r);
	(void)buf_str(&out);
	return (char *)out.data;
}

/* Feeds `text` to a command; whether it ended with 0. */
static bool piped(const char *command, const char *text)
{
	FILE *p = popen(command, "w");

	assert_non_null(p);
	(void)fwrite(text, 1, strlen(text), p);
	return pclose(p) == 0;
}

/* Both readers where they are installed; they disagree on little, and CI systems use both. */
static void well_formed(const char *text)
{
	if (system("command -v xmllint >/dev/null 2>&1") == 0)
		assert_true(piped("xmllint --noout -", text));
	else
		print_message("xmllint is not installed, not checked with it\n");
	if (system("command -v python3 >/dev/null 2>&1") == 0)
		assert_true(piped("python3 -c 'import sys, xml.etree.ElementTree as e; "
				  "e.fromstring(sys.stdin.buffer.read())'",
				  text));
	else
		print_message("python3 is not installed, not checked with it\n");
}

/* Every byte, with one case of each verdict. */
static void test_golden(void **state)
{
	static const char golden[] =
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<testsuites name=\"plugpull\" tests=\"6\" failures=\"2\" errors=\"1\" skipped=\"1\">\n"
	    "  <testsuite name=\"plugpull run\" tests=\"6\" failures=\"2\" errors=\"1\" "
	    "skipped=\"1\">\n"
	    "    <properties>\n"
	    "      <property name=\"plugpull\" value=\"0.1.0\"/>\n"
	    "      <property name=\"sqlite\" value=\"3.40.1\"/>\n"
	    "      <property name=\"sqlite_source_id\" value=\"2022-12-28\"/>\n"
	    "      <property name=\"seed\" value=\"1\"/>\n"
	    "      <property name=\"verdict\" value=\"error\"/>\n"
	    "    </properties>\n"
	    "    <testcase classname=\"store/archival\" name=\"strict-posix\" "
	    "file=\"s/store/archival.sql\">\n"
	    "      <system-out>exhaustive: 65 crash points, 3.1e9 states, 33427 recoveries\n"
	    "</system-out>\n"
	    "    </testcase>\n"
	    "    <testcase classname=\"bank\" name=\"strict-posix[synchronous=normal]\" "
	    "file=\"s/bank.sql\">\n"
	    "      <failure type=\"violated\" message=\"durable is required, found consistent; a "
	    "crash can lose up to 3 acknowledged commits\">durable is required, found consistent; "
	    "a "
	    "crash can lose up to 3 acknowledged commits\n"
	    "Commands are for the folder of the report.\n"
	    "history, consistent: 3 acknowledged commits are gone\n"
	    "  token   pp1-3f2a9c\n"
	    "  replay  plugpull replay cases/pp1-3f2a9c.ppcase\n"
	    "leftovers: a journal was left behind\n"
	    "</failure>\n"
	    "      <system-out>exhaustive: 65 crash points, 3.1e9 states, 33427 recoveries\n"
	    "</system-out>\n"
	    "    </testcase>\n"
	    "    <testcase classname=\"big\" name=\"strict-posix\">\n"
	    "      <failure type=\"inconclusive\" message=\"the budget of 60s was spent; durable "
	    "at "
	    "best so far\"/>\n"
	    "      <system-out>partial: 65 crash points, 3.1e9 states, 33427 recoveries\n"
	    "</system-out>\n"
	    "    </testcase>\n"
	    "    <testcase classname=\"bad\" name=\"strict-posix\">\n"
	    "      <error type=\"error\" message=\"bad.sql:7: no such table: t\"/>\n"
	    "    </testcase>\n"
	    "    <testcase classname=\"wal\" name=\"strict-posix\">\n"
	    "      <skipped message=\"this SQLite has no WAL\"/>\n"
	    "    </testcase>\n"
	    "    <testcase classname=\"controls/off\" name=\"strict-posix\">\n"
	    "      <system-out>exhaustive: 65 crash points, 3.1e9 states, 33427 recoveries\n"
	    "note: explored with sectors of 512 bytes\n"
	    "</system-out>\n"
	    "    </testcase>\n"
	    "  </testsuite>\n"
	    "</testsuites>\n";
	struct result r;

	(void)state;
	fixture(&r);
	r.cases[0].file = xstrdup("s/store/archival.sql");
	r.cases[1].file = xstrdup("s/bank.sql");
	char *text = render(&r);

	assert_string_equal(text, golden);
	well_formed(text);
	free(text);
	result_release(&r);
}

/* Whatever byte stands in a name or a message, XML readers accept the file. */
static void test_every_byte(void **state)
{
	struct result r;
	char bytes[300];
	size_t n = 0;

	(void)state;
	for (int b = 1; b < 256; b++)
		bytes[n++] = (char)b;
	/* Well-formed UTF-8 that XML forbids all the same: U+FFFE, U+FFFF. And the end of CDATA. */
	memcpy(bytes + n, "\xef\xbf\xbe\xef\xbf\xbf]]><!--&", 15);
	bytes[n + 15] = '\0';
	result_init(&r, "run", 1);
	r.sqlite_version = xstrdup(bytes);
	for (enum case_verdict v = CASE_HELD; v <= CASE_SKIPPED; v++) {
		struct case_result *c = fixture_case(&r, "a.sql", bytes, v, GRADE_TORN);

		replace(&c->scenario, bytes);
		replace(&c->reason, bytes);
		case_result_note(c, "%s", bytes);
		case_result_violation(c, bytes, GRADE_TORN, bytes, bytes);
	}
	char *text = render(&r);

	well_formed(text);
	for (const char *s = text; *s != '\0'; s++)
		assert_true((unsigned char)*s >= 0x20 || *s == '\n');
	assert_non_null(strstr(text, "&#9;"));
	assert_non_null(strstr(text, "\xef\xbf\xbd"));
	assert_null(strstr(text, "\xef\xbf\xbe"));
	assert_null(strstr(text, "]]>"));
	free(text);
	result_release(&r);
}

/* classname and name together are the case id, also where it does not have the usual form. */
static void test_names(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "kill", 1);
	struct case_result *c = fixture_case(&r, "a@b.sql", "m@2", CASE_HELD, GRADE_DURABLE);
	char *text = render(&r);

	assert_non_null(strstr(text, "classname=\"a@b\" name=\"m@2\""));
	free(text);
	replace(&c->id, "elsewhere");
	text = render(&r);
	assert_non_null(strstr(text, "classname=\"a@b\" name=\"elsewhere\""));
	free(text);
	replace(&c->id, NULL);
	replace(&c->scenario, NULL);
	text = render(&r);
	assert_non_null(strstr(text, "classname=\"\" name=\"\">"));
	free(text);
	result_release(&r);
}

/* GitLab drops a second test of the same classname and name: ids that differ only in bytes that XML
 * cannot hold, and in no other way, are still two tests. */
static void test_apart(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	fixture_case(&r, "a\xff.sql", "m", CASE_HELD, GRADE_DURABLE);
	fixture_case(&r, "a\xfe.sql", "m", CASE_HELD, GRADE_DURABLE);
	char *text = render(&r);
	const char *first = strstr(text, "<testcase"), *end = strchr(first, '>');
	const char *second = strstr(end, "<testcase");

	assert_non_null(second);
	assert_int_not_equal(strncmp(first, second, (size_t)(end - first)), 0);
	assert_non_null(strstr(text, "classname=\"a\xEF\xBF\xBD\" name=\"m "));
	well_formed(text);
	free(text);
	result_release(&r);
}

/* A finding that is waived says so, in a case that another one breaks. */
static void test_waived(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a.sql", "m", CASE_VIOLATED, GRADE_TORN);

	case_result_violation(c, "history", GRADE_TORN, "m", "pp1-1");
	result_violation_waive(&c->violations[0], "torn", "2026-01-31", "a <reason>", 1);
	case_result_violation(c, "leftovers", GRADE_NONE, "n", NULL);
	char *text = render(&r);

	assert_non_null(strstr(text, "history, torn: m\n  waived  until 2026-01-31: a "
				     "&lt;reason&gt;\n  token   pp1-1\n"));
	free(text);
	result_release(&r);
}

/* Seconds stand only with --timing, so that the same run gives the same bytes. */
static void test_timing(void **state)
{
	struct result r;

	(void)state;
	fixture(&r);
	char *text = render(&r);

	assert_null(strstr(text, "time="));
	free(text);
	r.timing = true;
	r.interrupted = true;
	text = render(&r);
	assert_non_null(strstr(text, " time=\"9.000\""));
	assert_non_null(strstr(text, " time=\"1.500\""));
	assert_non_null(strstr(text, "name=\"interrupted\" value=\"true\""));
	well_formed(text);
	free(text);
	result_release(&r);
}

/* Many violations are cut, and said; a huge result stays below what GitLab takes. */
static void test_limits(void **state)
{
	struct result r;
	char *message = xmalloc(1 << 20);

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a.sql", "m", CASE_VIOLATED, GRADE_TORN);

	for (int i = 0; i < JUNIT_VIOLATIONS_MAX + 5; i++)
		case_result_violation(c, "history", GRADE_TORN, "m", NULL);
	char *text = render(&r);

	assert_non_null(strstr(text, "\nand 5 violations more in result.json\n</failure>"));
	free(text);
	memset(message, 'x', (1 << 20) - 1);
	message[(1 << 20) - 1] = '\0';
	for (int i = 0; i < 60; i++) {
		c = fixture_case(&r, "b.sql", "m", CASE_VIOLATED, GRADE_TORN);
		case_result_violation(c, "history", GRADE_TORN, message, NULL);
	}
	text = render(&r);
	assert_true(strlen(text) < 30000000);
	assert_non_null(strstr(text, "\nand 1 violation more in result.json\n</failure>"));
	well_formed(text);
	free(text);
	free(message);
	result_release(&r);
	/* Notes count, too. */
	result_init(&r, "run", 1);
	for (int i = 0; i < 40000; i++) {
		c = fixture_case(&r, "b.sql", "m", CASE_INCONCLUSIVE, GRADE_TORN);
		case_result_note(c, "%01000d", i);
	}
	text = render(&r);
	assert_true(strlen(text) < 30000000);
	free(text);
	result_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden), cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_names),  cmocka_unit_test(test_timing),
	    cmocka_unit_test(test_apart),  cmocka_unit_test(test_waived),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests_name("junit", tests, NULL, NULL);
}
