/* See case_sample.h. */
#include "harness/case/test/case_sample.h"

#include "faultinject/base/buf.h"

#include <string.h>

#define ADD(s, list, one)                                                                          \
	((s)->list = xgrow((s)->list, (s)->one##_count, &(s)->one##_cap, sizeof *(s)->list),       \
	 &(s)->list[(s)->one##_count++])

struct subject *sample_subject(void)
{
	struct subject *s = subject_create();

	s->id = xstrdup("bank/transfer@strict-posix[synchronous=full]");
	s->title = xstrdup("money is neither made nor lost: \"\xC3\xBC\" \x01");
	s->database = xstrdup("/db/main.db");
	s->model = xstrdup("strict-posix");
	s->seed = UINT64_MAX;
	s->ack = HISTORY_ACK_LOCK;
	*ADD(s, attached, attached) = (struct scenario_attach){xstrdup("aux"), xstrdup("/db/x.db")};
	kv_set(&s->pragmas, "page_size", "512");
	kv_set(&s->pragmas, "journal_mode", "wal");
	kv_set(&s->pragmas, "cache_size", "-8");
	*ADD(s, open, open) = xstrdup("PRAGMA foreign_keys = on;");
	*ADD(s, open, open) = xstrdup("CREATE TEMP VIEW v AS SELECT 1;");
	*ADD(s, loads, load) = xstrdup("./collate.so");
	*ADD(s, invariants, invariant) = (struct scenario_invariant){
	    xstrdup("the sum is constant"), xstrdup("SELECT 1 WHERE 0;"), 17};
	*ADD(s, batches, batch) =
	    (struct scenario_batch){xstrdup("event"), xstrdup("batch"), xstrdup("size")};
	*ADD(s, orders, order) = (struct scenario_order){xstrdup("event"), xstrdup("seq")};
	*ADD(s, schema_versions, schema_version) = INT64_MIN;
	*ADD(s, schema_versions, schema_version) = 3;
	kv_set(&s->model_params, "sector", "512");
	return s;
}

static struct trace *sample_trace(const char *producer)
{
	struct trace_device device = {4096, 0x1000};
	struct trace *t = trace_create(device, producer);
	uint32_t name = trace_name(t, "/db/main.db");
	struct op create = {.kind = OP_CREATE, .process = 1, .name = name};
	struct op write = {.kind = OP_WRITE, .process = 1, .offset = 512};
	struct op truncate = {.kind = OP_TRUNCATE, .process = 1, .size = 9};

	trace_add_base(t, trace_new_inode(t), trace_name(t, "/db/x.db"), "base", 4);
	create.inode = write.inode = truncate.inode = trace_new_inode(t);
	write.data = (const uint8_t *)"hello";
	write.size = SAMPLE_WRITE_SIZE;
	trace_append(t, &create);
	trace_append(t, &write);
	trace_append(t, &truncate);
	return t;
}

struct case_file *sample_case_with_producer(const char *producer)
{
	static const uint32_t answers[] = {0, 1, UINT32_MAX, 0};
	struct case_file *c = xcalloc(1, sizeof *c);

	c->subject = sample_subject();
	c->trace = sample_trace(producer);
	c->state.position = c->state.promise = SAMPLE_WRITE;
	c->state.has_cut = true;
	c->state.cut_bytes = 2;
	c->state.answers = xmalloc(sizeof answers);
	memcpy(c->state.answers, answers, sizeof answers);
	c->state.answer_count = sizeof answers / sizeof answers[0];
	c->finding.oracle = xstrdup("history");
	c->finding.grade = GRADE_TORN;
	c->finding.message = xstrdup("a transaction is there in part");
	c->plugpull_version = xstrdup("0.1.0");
	c->sqlite_version = xstrdup("3.40.1");
	return c;
}

struct case_file *sample_case(void)
{
	return sample_case_with_producer("plugpull test");
}

void set_string(char **string, const char *value)
{
	free(*string);
	*string = xstrdup(value);
}
