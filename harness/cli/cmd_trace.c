/*
 * `plugpull trace show|stat FILE`: what a trace holds. A case file's trace is shown as well.
 * `plugpull trace import --strace FILE -o TRACE`: makes one of what strace wrote.
 */
#include "harness/cli/command.h"
#include "harness/cli/watched.h"

#include "faultinject/record/assemble.h"
#include "faultinject/record/strace.h"
#include "faultinject/trace.h"
#include "harness/case/case_file.h"
#include "harness/case/version.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	EXIT_NOTHING = 4,     /* docs/contract.md: nothing ran */
	HOLES_SHOWN_MAX = 10, /* lines of one import */
};

static const char *kind_word(unsigned kind)
{
	switch (kind) {
#define X(name, num, word)                                                                         \
	case name:                                                                                 \
		return word;
		OP_KINDS(X)
#undef X
	default:
		return "?";
	}
}

static void print_stat(const struct trace *t)
{
	size_t counts[OP_KIND_MAX + 1] = {0};
	uint64_t written = 0;

	for (size_t i = 0; i < t->op_count; i++) {
		counts[t->ops[i].kind]++;
		if (t->ops[i].kind == OP_WRITE)
			written += t->ops[i].size;
	}
	printf("producer            %s\n", t->producer);
	printf("sector size         %u bytes\n", t->device.sector_size_bytes);
	printf("characteristics     0x%x\n", t->device.characteristics);
	printf("files in the base   %zu\n", t->base_count);
	printf("names, inodes       %u, %u\n", t->name_count, t->inode_count);
	printf("operations          %zu\n", t->op_count);
	for (unsigned k = 1; k <= OP_KIND_MAX; k++)
		if (counts[k] > 0)
			printf("  %-17s %zu\n", kind_word(k), counts[k]);
	printf("bytes written       %" PRIu64 "\n", written);
	if (t->torn)
		printf("torn                yes, %" PRIu64 " bytes were cut\n", t->torn_size_bytes);
	else
		printf("torn                no\n");
}

/* ---- import ---- */

/* Maps a file that nobody is writing any more. */
static int map_file(const char *path, void **ret_map, size_t *ret_size, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *map = NULL;
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return err_set(err, ERR_INPUT, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0) {
		rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		rc = err_set(err, ERR_INPUT, "%s: is not a file", path);
	} else if (st.st_size > 0) {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	}
	(void)close(fd);
	if (rc == 0) {
		*ret_map = map;
		*ret_size = (size_t)st.st_size;
	}
	return rc;
}

/* A file that was removed in the end counts as well. */
static bool changes_files(const struct trace *t)
{
	for (size_t i = 0; i < t->op_count; i++)
		if (t->ops[i].kind == OP_WRITE || t->ops[i].kind == OP_TRUNCATE ||
		    t->ops[i].kind == OP_HOLE)
			return true;
	return false;
}

static void print_holes(const struct trace *t)
{
	size_t count = 0;

	for (size_t i = 0; i < t->op_count; i++) {
		const struct op *op = &t->ops[i];

		if (op->kind != OP_HOLE || count++ >= HOLES_SHOWN_MAX)
			continue;
		/* It may quote names of files from the text. */
		fprintf(stderr, "plugpull: hole: ");
		for (uint64_t k = 0; k < op->size; k++)
			fputc(op->data[k] >= ' ' && op->data[k] < 0x7f ? op->data[k] : '?', stderr);
		fputc('\n', stderr);
	}
	if (count > HOLES_SHOWN_MAX)
		fprintf(stderr, "plugpull: and %zu holes more (plugpull trace show)\n",
			count - HOLES_SHOWN_MAX);
	if (count > 0)
		fprintf(stderr, "plugpull: a trace with a hole is not graded\n");
}

static int import_strace(const char *path, struct trace **ret_trace,
			 struct assemble_report *ret_report, struct err *err)
{
	static const struct assemble_options how = {.producer =
							"plugpull " PLUGPULL_VERSION ", strace"};
	struct call_list calls = {0};
	void *map = NULL;
	size_t size = 0;
	int rc = map_file(path, &map, &size, err);

	if (rc != 0)
		return rc;
	rc = strace_read(map == NULL ? "" : map, size, &calls, err);
	if (rc == 0)
		rc = assemble(&calls, &how, ret_trace, ret_report, err);
	if (rc != 0)
		(void)err_context(err, "%s", path);
	call_list_release(&calls);
	if (map != NULL)
		(void)munmap(map, size);
	return rc;
}

static int import(const struct options *options)
{
	struct assemble_report report = {0};
	struct err err = ERR_INIT;
	struct trace *t = NULL;
	int code = 0, rc;

	if (options->arg_count > 1 || options->strace == NULL || options->output == NULL) {
		(void)err_set(&err, ERR_USAGE,
			      "trace: 'import' needs --strace FILE and -o TRACE, and nothing else");
		return cli_fail(&err);
	}
	rc = import_strace(options->strace, &t, &report, &err);
	if (rc == 0 && changes_files(t))
		rc = trace_save(t, options->output, &err);
	if (rc != 0) {
		code = cli_fail(&err);
	} else if (!changes_files(t)) {
		fprintf(stderr, "plugpull: %s: no SQLite database was written: there is no trace\n",
			options->strace);
		code = EXIT_NOTHING;
	} else {
		print_holes(t);
		cli_say_trace(options->output, t, &report);
		fputc('\n', stderr);
	}
	trace_free(t);
	return code;
}

/* ---- show, stat ---- */

static int look(const struct options *options, const char *what)
{
	struct err err = ERR_INIT;
	struct trace *t = NULL;
	struct case_file *c = NULL;

	if (options->strace != NULL || options->output != NULL)
		(void)err_set(&err, ERR_USAGE, "`trace %s` has no use for --%s", what,
			      options->strace != NULL ? "strace" : "output");
	else if (options->arg_count < 2)
		(void)err_set(&err, ERR_USAGE, "`trace %s` needs TRACE", what);
	if (err.code != 0 || cli_load_trace(options->args[1], &t, &c, &err) != 0)
		return cli_fail(&err);
	if (strcmp(what, "show") == 0)
		trace_print(t, false, stdout);
	else
		print_stat(t);
	if (t->torn)
		fprintf(stderr, "plugpull: %s: torn: its last %" PRIu64 " bytes were cut\n",
			options->args[1], t->torn_size_bytes);
	if (c != NULL)
		case_file_free(c);
	else
		trace_free(t);
	return 0;
}

int cmd_trace(const struct options *options)
{
	const char *what = options->args[0];
	struct err err = ERR_INIT;

	if (strcmp(what, "import") == 0)
		return import(options);
	if (strcmp(what, "show") == 0 || strcmp(what, "stat") == 0)
		return look(options, what);
	(void)err_set(&err, ERR_USAGE, "trace: '%s' is not one of show, stat, import", what);
	return cli_fail(&err);
}
