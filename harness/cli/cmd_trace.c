/* `plugpull trace show|stat FILE`: what a trace holds. A case file's trace is shown as well. */
#include "harness/cli/command.h"

#include "faultinject/trace.h"
#include "harness/case/case_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int cmd_trace(const struct options *options)
{
	const char *what = options->args[0];
	struct err err = ERR_INIT;
	struct trace *t = NULL;
	struct case_file *c = NULL;

	if (strcmp(what, "show") != 0 && strcmp(what, "stat") != 0) {
		(void)err_set(&err, ERR_USAGE, "trace: '%s' is not one of show, stat", what);
		return cli_fail(&err);
	}
	if (cli_load_trace(options->args[1], &t, &c, &err) != 0)
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
