/*
 * Where the trace of a case came from, if that was a scenario: its text, and what the case made of
 * it. With it a case can be recorded again, changed or not, without the file that it came from.
 * It stands in a case file beside what is judged, and is no part of its token: what was found is
 * the same, however it came about.
 *
 * Everything is owned by the struct.
 */
#ifndef CASE_CASE_SOURCE_H
#define CASE_CASE_SOURCE_H

#include "faultinject/base/err.h"
#include "harness/case/subject.h"
#include "harness/scenario/scenario.h"

#include <jansson.h>

enum { CASE_SOURCE_SET_MAX = 256 };

struct case_source {
	char *path; /* of the scenario, as it was given */
	char *text;
	char *id;	    /* of the case */
	char *model;	    /* name */
	struct kv_list set; /* as --set has it: pragmas, model.X, workload.X */
	uint64_t seed;
};

struct case_source *case_source_create(const struct scenario *s, const struct case_spec *spec,
				       uint64_t seed);
void case_source_free(struct case_source *c); /* accepts NULL */

json_t *case_source_to_json(const struct case_source *c);
int case_source_from_json(const json_t *json, struct case_source **ret_source, struct err *err);

/* A source, read: what record_case() (harness/drive/record.h) needs. */
struct case_again {
	struct scenario *scenario; /* owned */
	struct case_list cases;	   /* of one case */
	struct subject *subject;   /* owned; its id is the source's */
};

/* Reads the text again. ERR_INPUT with path:line where it is no scenario any more, or one of other
 * cases. */
int case_source_read(const struct case_source *c, const struct scenario_vocabulary *vocabulary,
		     struct case_again *ret, struct err *err);
void case_again_release(struct case_again *a); /* accepts a zeroed one */

#endif
