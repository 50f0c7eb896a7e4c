/* See under_gdb.h. */
#include "harness/cli/under_gdb.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/stop.h"
#include "faultinject/trace_edit.h"
#include "harness/cli/command.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/plant.h"
#include "harness/drive/record.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNDER_GDB "PLUGPULL_UNDER_GDB"

enum { ARGUMENTS_MAX = 1 << 20 }; /* bytes of our own command line */

bool under_gdb(void)
{
	const char *set = getenv(UNDER_GDB);

	return set != NULL && strcmp(set, "1") == 0;
}

/* ---- starting gdb -------------------------------------------------------------------------- */

struct words {
	char **items; /* owned, and so is each */
	size_t count, cap;
};

static void add(struct words *w, char *word)
{
	w->items = xgrow(w->items, w->count, &w->cap, sizeof *w->items);
	w->items[w->count++] = word;
}

static void add_command(struct words *w, char *command)
{
	add(w, xstrdup("-ex"));
	add(w, command);
}

/* Our own arguments; the first is the program. */
static int add_arguments(struct words *w, struct err *err)
{
	char *text = xmalloc(ARGUMENTS_MAX + 1);
	char self[4096];
	ssize_t self_size = readlink("/proc/self/exe", self, sizeof self - 1);
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	int rc = 0;

	for (ssize_t n = 1; fd >= 0 && n > 0 && size<ARGUMENTS_MAX; size += n> 0 ? (size_t)n : 0)
		n = read(fd, text + size, ARGUMENTS_MAX - size);
	if (fd >= 0)
		(void)close(fd);
	if (self_size <= 0 || size == 0 || size == ARGUMENTS_MAX) {
		rc = err_set(err, ERR_HARNESS, "cannot tell this program's own arguments");
	} else {
		self[self_size] = '\0';
		text[size] = '\0';
		add(w, xstrdup(self));
		for (size_t at = strlen(text) + 1; at < size; at += strlen(text + at) + 1)
			add(w, xstrdup(text + at));
	}
	free(text);
	return rc;
}

/* Its *_judge() in harness/judge/; NULL: the history judges. Names are the case's word, which a
 * stranger may have written. */
static char *oracle_function(const char *oracle)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
	char *name;

	if (oracle[0] == '\0' || strlen(oracle) > 40 || oracle[strspn(oracle, letters)] != '\0')
		return NULL;
	name = xasprintf("%s_judge", oracle);
	for (char *p = name; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	return name;
}

int under_gdb_start(const struct case_file *c, struct err *err)
{
	struct words w = {0};
	char *judge = oracle_function(c->finding.oracle);
	bool check = check_is_oracle(c->finding.oracle);
	int rc = 0;

	add(&w, xstrdup("gdb"));
	add(&w, xstrdup("-q"));
	/* An oracle may have no function of its own. */
	add_command(&w, xstrdup("set breakpoint pending on"));
	if (c->source != NULL)
		add_command(&w, xstrdup("break plugpull_operation"));
	if (c->state.has_again)
		add_command(&w, xstrdup("break examiner_recover"));
	add_command(&w, xstrdup(check ? "break check_again" : "break examiner_examine"));
	if (!check)
		add_command(&w, xstrdup("break judge_observation"));
	if (!check && judge != NULL)
		add_command(&w, xasprintf("break %s", judge));
	add_command(&w, xstrdup("run"));
	add(&w, xstrdup("--args"));
	rc = add_arguments(&w, err);
	add(&w, NULL);
	free(judge);
	if (rc == 0) {
		(void)fflush(NULL);
		(void)setenv(UNDER_GDB, "1", 1);
		(void)execvp("gdb", w.items);
		rc = err_set(err, ERR_USAGE, "option --gdb: gdb cannot be started: %s%s",
			     strerror(errno), errno == ENOENT ? " (is it installed?)" : "");
	}
	for (size_t i = 0; i < w.count; i++)
		free(w.items[i]);
	free(w.items);
	return rc;
}

/* ---- under it ------------------------------------------------------------------------------ */

/* Statements and the producer's name are no part of what happened. */
static bool is_same(const struct trace *a, const struct trace *b)
{
	bool same = a->op_count == b->op_count && a->name_count == b->name_count &&
		    a->base_count == b->base_count;

	for (uint32_t n = 1; same && n <= a->name_count; n++)
		same = strcmp(a->names[n], b->names[n]) == 0;
	for (size_t i = 0; same && i < a->op_count; i++) {
		const struct op *x = &a->ops[i], *y = &b->ops[i];

		same = x->kind == y->kind && x->inode == y->inode && x->offset == y->offset &&
		       x->size == y->size && x->name == y->name && x->flags == y->flags &&
		       (x->data == NULL || x->size == 0 || memcmp(x->data, y->data, x->size) == 0);
	}
	return same;
}

static int record(const struct case_again *a, struct trace **ret_trace, struct err *err)
{
	char *skip = NULL;
	int rc = record_case(a->scenario, &a->cases.items[0], a->subject, ret_trace, &skip, err);

	if (rc == 0 && skip != NULL)
		rc = err_set(err, ERR_INPUT, "%s", skip);
	free(skip);
	return rc;
}

/* Records what the case was made of. A defect that was planted in the trace took operations away
 * when all was recorded: *ret_position is where the crash was before. Leaves the scenario as it
 * must be recorded to stop there. */
static int record_same(struct case_again *a, const struct case_file *c, uint64_t *ret_position,
		       struct err *err)
{
	char *plant = a->scenario->plant;
	struct trace *t = NULL, *planted = NULL;
	uint64_t *positions = NULL;
	int rc = 0;

	*ret_position = c->state.position;
	if (plant != NULL) {
		a->scenario->plant = NULL;
		rc = record(a, &t, err);
		planted = rc != 0 ? NULL : plant_in_trace(plant, t, &positions);
		/* One of the workload's, or of recovery. */
		if (planted == NULL)
			a->scenario->plant = plant;
		else
			free(plant);
	}
	if (planted != NULL) {
		trace_free(t);
		t = planted;
	} else if (rc == 0) {
		trace_free(t);
		t = NULL;
		rc = record(a, &t, err);
	}
	if (rc == 0 && !is_same(t, c->trace))
		rc = err_set(err, ERR_INPUT, "its scenario makes another trace now, with SQLite %s",
			     sqlite3_libversion());
	if (rc == 0 && planted != NULL)
		*ret_position = positions[c->state.position];
	trace_free(t);
	free(positions);
	return rc;
}

void under_gdb_record(const struct case_file *c)
{
	struct case_again again = {0};
	struct trace *t = NULL;
	struct err err = ERR_INIT;
	uint64_t position = 0;
	int rc = 0;

	if (c->source == NULL)
		rc = err_set(&err, ERR_INPUT, "the case does not say which scenario made it");
	else if (c->state.position == 0)
		rc = err_set(&err, ERR_INPUT, "it crashes before the first operation");
	/* Once to see whether it is the same, and once to stop. */
	if (rc == 0)
		rc = case_source_read(c->source, cli_vocabulary(), &again, &err);
	if (rc == 0)
		rc = record_same(&again, c, &position, &err);
	if (rc == 0) {
		stop_at(position);
		rc = record(&again, &t, &err);
		stop_at(0);
	}
	if (rc != 0)
		fprintf(stderr, "plugpull: stops at the recovery only: %s\n", err.message);
	trace_free(t);
	case_again_release(&again);
}
