/*
 * One case with something in every field, for the tests of this folder.
 */
#ifndef CASE_TEST_CASE_SAMPLE_H
#define CASE_TEST_CASE_SAMPLE_H

#include "harness/case/case_file.h"

enum {
	SAMPLE_CREATE = 1, /* position of an operation that is no write */
	SAMPLE_WRITE = 2,  /* position of a write of SAMPLE_WRITE_SIZE bytes */
	SAMPLE_OPS = 3,
	SAMPLE_WRITE_SIZE = 5,
};

/* The caller owns the results. */
struct subject *sample_subject(void);
struct case_file *sample_case(void);
struct case_file *sample_case_with_producer(const char *producer);

/* Replaces an owned string by a copy. */
void set_string(char **string, const char *value);

#endif
