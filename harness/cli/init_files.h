/*
 * The files that `plugpull init` writes, as texts. docs/ci.md shows the two for CI;
 * reports/test/gate_test.py runs their steps.
 */
#ifndef CLI_INIT_FILES_H
#define CLI_INIT_FILES_H

struct init_file {
	const char *name; /* from the project's folder */
	const char *what; /* in a few words */
	const char *text;
};

enum { INIT_FILE_COUNT = 3 };

extern const struct init_file init_files[INIT_FILE_COUNT];

#endif
