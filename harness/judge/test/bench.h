/*
 * A bench for oracles: one judge, one observation made by hand, and what was found in it. Included
 * by one test program at a time.
 */
#ifndef JUDGE_TEST_BENCH_H
#define JUDGE_TEST_BENCH_H

#include "faultinject/base/buf.h"
#include "harness/judge/oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	ERROR = 1,
	BUSY = 5,
	IOERR_SHORT_READ = 10 | 2 << 8,
	CORRUPT = 11,
	NOTADB = 26,
	COLUMNS_MAX = 8,
};

/* One oracle in use besides "recovery" and "integrity", whose probe for main is the first. */
struct bench {
	struct judge *j;
	struct observation o;
	struct verdict found[JUDGE_VERDICTS_MAX];
	size_t count;
	enum grade grade;
	uint64_t lost;
};

enum { INTEGRITY = 0, FIRST = 1 };

static const char *const schemas[] = {"main", "side \"b\""};

/* Sets a probe's rows: cells row by row, "NULL" for an SQL NULL, and a NULL pointer at the end. */
static inline void answer(struct bench *b, size_t probe, size_t columns, ...)
{
	struct probe_result *r = &b->o.probes[probe];
	size_t count = 0, cap = 0;
	const char *cell;
	va_list ap;

	for (size_t i = 0; i < r->row_count * r->column_count; i++)
		free(r->cells[i]);
	free(r->cells);
	free(r->error);
	memset(r, 0, sizeof *r);
	va_start(ap, columns);
	while ((cell = va_arg(ap, const char *)) != NULL) {
		r->cells = xgrow(r->cells, count, &cap, sizeof *r->cells);
		r->cells[count++] = strcmp(cell, "NULL") == 0 ? NULL : xstrdup(cell);
	}
	va_end(ap);
	r->column_count = columns;
	r->row_count = count / columns;
}

/* An observation in which integrity_check is happy and all other queries return nothing. */
static inline void bench_reset(struct bench *b)
{
	size_t files = b->o.file_count;

	observation_release(&b->o);
	b->o.file_count = files;
	b->o.probe_count = judge_probes(b->j)->count;
	b->o.probes = xcalloc(b->o.probe_count, sizeof *b->o.probes);
	for (size_t i = 0; i < b->o.probe_count; i++)
		if (strcmp(judge_probes(b->j)->items[i].oracle, "integrity") == 0)
			answer(b, i, 1, "ok", NULL);
}

static inline void bench_init(struct bench *b, struct judge_config config)
{
	memset(b, 0, sizeof *b);
	if (config.schema_count == 0)
		config.schema_count = 1;
	config.schemas = schemas;
	b->j = judge_create(&config);
	b->o.file_count = config.schema_count;
	bench_reset(b);
}

static inline void bench_release(struct bench *b)
{
	observation_release(&b->o);
	judge_free(b->j);
}

static inline void fails(struct bench *b, size_t probe, int rc, const char *error)
{
	answer(b, probe, 1, NULL);
	b->o.probes[probe].rc = rc;
	b->o.probes[probe].error = xstrdup(error);
}

static inline void schema_is(struct bench *b, uint64_t value)
{
	b->o.files[0].schema.lo = value;
}

static inline void learn(struct bench *b)
{
	judge_learn(b->j, &b->o);
}

static inline void look(struct bench *b)
{
	b->count = judge_observation(b->j, NULL, 0, &b->o, b->found, JUDGE_VERDICTS_MAX, &b->grade,
				     &b->lost);
}

static inline void expect_held(struct bench *b)
{
	look(b);
	if (b->count != 0)
		fail_msg("%s: %s", b->found[0].oracle, b->found[0].message);
	assert_int_equal(b->grade, GRADE_DURABLE);
	assert_int_equal(b->lost, 0);
}

/* Exactly one finding, with these words. */
static inline void expect_found(struct bench *b, const char *oracle, enum grade grade,
				const char *words)
{
	look(b);
	assert_int_equal(b->count, 1);
	assert_string_equal(b->found[0].oracle, oracle);
	assert_int_equal(b->found[0].grade, grade);
	assert_int_equal(b->grade, grade);
	if (strstr(b->found[0].message, words) == NULL)
		fail_msg("'%s' does not say '%s'", b->found[0].message, words);
}

#endif
