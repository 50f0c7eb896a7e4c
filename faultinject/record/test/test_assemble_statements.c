/* Whose a statement is, in a trace of real processes (assemble_statements.c), and when the log has
 * none of it (log.h). */
#include "faultinject/record/assemble.h"
#include "faultinject/record/log.h"
#include "faultinject/record/log_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { A = 0xa, B = 0xb }; /* addresses of connections */

static struct call *call(struct call_list *l, enum call_kind kind, uint64_t ino, const char *path)
{
	struct call *c = call_list_add(l);

	*c = (struct call){.kind = kind,
			   .pid = 100,
			   .tid = 100,
			   .dev = 1,
			   .ino = ino,
			   .path = path,
			   .begin = l->count - 1};
	return c;
}

static struct call *run(struct call_list *l, uint64_t connection, const char *sql)
{
	struct call *c = call(l, CALL_STATEMENT, 0, NULL);

	c->dev = 0;
	c->offset = connection;
	c->data = (const uint8_t *)sql;
	c->data_size = strlen(sql);
	return c;
}

static struct call *change(struct call_list *l, uint64_t ino)
{
	struct call *c = call(l, CALL_WRITE, ino, NULL);

	c->data = (const uint8_t *)"x";
	c->data_size = 1;
	return c;
}

static void look(struct call_list *l, uint64_t ino)
{
	struct call *c = call(l, CALL_LOCK, ino, NULL);

	c->flags = CALL_SHARED;
	c->offset = 0x40000002;
	c->length = 510;
}

static void begin(struct call_list *l)
{
	memset(l, 0, sizeof *l);
	(void)call(l, CALL_OPEN, 1, "/d/a");
	(void)call(l, CALL_OPEN, 2, "/d/b");
}

/* "position.thread.file SQL", a line each; the file is that of a connection's operations. */
static void expect(struct call_list *l, const char *expected)
{
	struct assemble_options o = {.producer = "test"};
	struct assemble_report report;
	struct err err = ERR_INIT;
	struct trace *t = NULL;
	char text[2000] = "";

	if (assemble(l, &o, &t, &report, &err) != 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < t->statement_count; i++) {
		const struct trace_statement *st = &t->statements[i];
		size_t n = strlen(text);
		uint64_t p = 1;

		while (p <= t->op_count &&
		       (trace_at(t, p)->connection != st->connection || trace_at(t, p)->inode == 0))
			p++;
		(void)snprintf(text + n, sizeof text - n, "%u.%u.%u %s\n", (unsigned)st->position,
			       st->thread, p > t->op_count ? 0 : trace_at(t, p)->inode, st->sql);
	}
	assert_string_equal(text, expected);
	trace_free(t);
	call_list_release(l);
}

/* A statement stands before its operations and has their connection; one without any has that of
 * its address; another thread's operations are not its own. */
static void test_changes(void **state)
{
	struct call_list l;

	(void)state;
	begin(&l);
	(void)run(&l, A, "early");
	(void)run(&l, A, "one");
	(void)change(&l, 1);
	(void)run(&l, B, "two");
	change(&l, 1)->tid = 101;
	(void)change(&l, 2);
	(void)run(&l, A, "late");
	expect(&l, "2.1.1 early\n2.1.1 one\n3.1.2 two\n5.1.1 late\n");
}

/* What SQLite looks at between statements, to open and to prepare, is none of a writer's; a
 * reader is known by it. */
static void test_locks(void **state)
{
	struct call_list l;

	(void)state;
	begin(&l);
	(void)run(&l, A, "write");
	(void)change(&l, 1);
	(void)run(&l, A, "nothing");
	look(&l, 2); /* B prepares */
	(void)run(&l, B, "read");
	look(&l, 2);
	expect(&l, "2.1.1 write\n3.1.1 nothing\n4.1.2 read\n");
}

/* A connection that did nothing to a recorded file is not there, nor is a process. */
static void test_left_out(void **state)
{
	struct call_list l;

	(void)state;
	begin(&l);
	(void)run(&l, B, "memory");
	(void)run(&l, A, "one");
	(void)change(&l, 1);
	run(&l, A, "of another process")->pid = 200;
	expect(&l, "2.1.1 one\n");
}

/* A statement that is run again is noted once, until anything else is recorded; its text is cut. */
static void test_log(void **state)
{
	char folder[] = "/tmp/test-statements-XXXXXX", path[64], text[5000], sizes[200] = "";
	static struct reclog log;
	struct reclog_said last = {0}, other = {0};
	struct call_list l = {0};
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/log", folder);
	assert_int_equal(reclog_create(&log, path, 0), 0);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (int i = 0; i < 3; i++)
		reclog_append_statement(&log, &last, 0, 0, A, "ab");
	reclog_append_statement(&log, &last, 0, 0, B, "ab");
	reclog_append_statement(&log, &last, 0, 0, B, "abc");
	reclog_append_statement(&log, &last, 0, 0, B, "abd");
	reclog_append_statement(&log, &other, 0, 0, B, "abd");
	reclog_append_statement(&log, &last, 0, 0, B, "abd");
	for (int i = 0; i < 2; i++)
		reclog_append_statement(&log, &last, 0, 0, A, text);
	assert_int_equal(log_read(path, &l, &err), 0);
	for (size_t i = 0; i < l.count; i++) {
		size_t n = strlen(sizes);

		assert_int_equal(l.items[i].kind, CALL_STATEMENT);
		(void)snprintf(sizes + n, sizeof sizes - n, "%zu%s ", l.items[i].data_size,
			       l.items[i].offset == A ? "A" : "B");
	}
	assert_string_equal(sizes, "2A 2B 3B 3B 3B 3B 4096A ");
	call_list_release(&l);
	reclog_detach(&log);
	(void)unlink(path);
	(void)rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_locks),
	    cmocka_unit_test(test_left_out),
	    cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
