/*
 * `plugpull shrink CASE`: the smallest case that fails in the same way, as a case file of its own.
 * Exit 0 when it is minimal, 4 when it is smaller and may not be, 1 when the case does not fail any
 * more.
 */
#include "harness/cli/command.h"
#include "harness/cli/trusted.h"

#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/gate.h"
#include "harness/drive/own_check.h"
#include "harness/drive/watch.h"
#include "harness/drive/workers.h"
#include "harness/shrink/shrink.h"
#include "reports/file.h"
#include "reports/terminal.h"
#include "reports/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	TELLING_MAX = 5, /* of the things that are left, how many are shown without -v */
	PROGRESS_NS = 100 * 1000 * 1000,
	EXIT_GONE = 1,
	EXIT_OPEN = 4,
	EXIT_INTERRUPTED = 130,
};

struct view {
	const struct options *options;
	bool tty, drawn;
	uint64_t shown_ns;
};

static void clear(struct view *v)
{
	if (v->drawn)
		fputs("\r\033[K", stderr);
	v->drawn = false;
}

static void show_progress(void *ctx, const char *doing, uint64_t attempts, uint64_t recoveries)
{
	struct view *v = ctx;
	uint64_t now = gate_now_ns();

	if (!v->tty || v->options->quiet || now - v->shown_ns < PROGRESS_NS)
		return;
	v->shown_ns = now;
	v->drawn = true;
	fprintf(stderr, "\r\033[Kshrinking %s: %" PRIu64 " attempts, %" PRIu64 " recoveries", doing,
		attempts, recoveries);
	(void)fflush(stderr);
}

/* ---- the result, for people */

static void put_change(struct buf *b, const char *name, uint64_t before, uint64_t after)
{
	buf_printf(b, "  %-12s %" PRIu64 " -> %" PRIu64 "\n", name, before, after);
}

static void put_counts(struct buf *b, const struct shrink_result *r)
{
	if (r->found->source != NULL) {
		put_change(b, "statements", r->before.statements, r->after.statements);
		put_change(b, "clients", r->before.clients, r->after.clients);
	}
	put_change(b, "commits", r->before.commits, r->after.commits);
	put_change(b, "operations", r->before.operations, r->after.operations);
	put_change(b, "crash after", r->before.crash, r->after.crash);
	put_change(b, "losses", r->before.lost, r->after.lost);
}

/* The text line by line, harmless to a terminal, and still what can be saved and run. */
static void put_scenario(struct buf *b, const struct case_file *c)
{
	const char *text = c->source->text;

	buf_printf(b, "scenario\n");
	while (*text != '\0') {
		size_t size = strcspn(text, "\n");
		char *line = xasprintf("%.*s", (int)size, text);

		buf_printf(b, "  ");
		words_clean(b, line);
		buf_printf(b, "\n");
		free(line);
		text += size + (text[size] == '\n');
	}
}

enum { RANKS = 5 };

/* What is told first: what passes, then what fails in another way. What cannot be run is no news,
 * and a value that could be no smaller the least. */
static int rank(const struct shrink_without *w)
{
	static const int ranks[] = {[ATTEMPT_PASSES] = 0,
				    [ATTEMPT_SAME] = 0,
				    [ATTEMPT_DIFFERS] = 1,
				    [ATTEMPT_OPEN] = 2,
				    [ATTEMPT_INVALID] = 3};

	return strstr(w->what, " in line ") != NULL ? RANKS - 1 : ranks[w->outcome];
}

static void put_without(struct buf *b, const struct shrink_result *r, bool all)
{
	size_t shown = 0, max = all ? r->without_count : TELLING_MAX;

	for (int k = 0; k < RANKS; k++)
		for (size_t i = 0; i < r->without_count && shown < max; i++) {
			const struct shrink_without *w = &r->without[i];

			if (rank(w) != k)
				continue;
			buf_printf(b, strncmp(w->what, "with ", 5) == 0 ? "  " : "  without ");
			words_clean(b, w->what);
			buf_printf(b, ": ");
			struct buf say = {0};
			shrink_without_say(w, &say);
			words_clean(b, buf_str(&say));
			buf_release(&say);
			buf_printf(b, "\n");
			shown++;
		}
	if (shown < r->without_count + r->without_more)
		buf_printf(b, "  and %" PRIu64 " more%s\n",
			   (uint64_t)(r->without_count - shown) + r->without_more,
			   all ? "" : " (-v)");
}

/* What was tried: no more is promised than that. */
static const char *minimal_words(const struct case_file *c)
{
	if (check_is_oracle(c->finding.oracle))
		return "without any one of the lost writes that are left it passes, or fails in\n"
		       "              another way; nothing else was tried";
	if (c->source == NULL)
		return "without any one of the lost writes that are left, with an earlier crash, "
		       "or\n"
		       "              with a later beginning, it passes, or fails in another way";
	return "without any one of the statements, clients, settings, rows, numbers and lost\n"
	       "              writes that are left, or with an earlier crash, it passes, or fails "
	       "in another way";
}

static const char *verdict_words(const struct shrink_result *r)
{
	switch (r->end) {
	case SHRINK_MINIMAL:
		return minimal_words(r->found);
	case SHRINK_OPEN:
		return "nothing more could be taken away; not all of it could be covered";
	case SHRINK_SPENT:
		return "budget spent";
	case SHRINK_INTERRUPTED:
		return "interrupted";
	case SHRINK_GONE:
		break;
	}
	return "the finding is gone";
}

static void put_result(struct buf *b, const struct options *o, const struct shrink_result *r,
		       double seconds)
{
	struct terminal_style style = {.color = options_use_color(o, STDOUT_FILENO)};
	const struct case_file *c = r->found;
	const char *grade = grade_text(c->finding.grade);

	buf_printf(b, "case      ");
	words_clean(b, c->subject->id);
	buf_printf(b, "\nfails     oracle %s%s%s: ", c->finding.oracle,
		   grade == NULL ? "" : ", grade ", grade == NULL ? "" : grade);
	words_clean(b, c->finding.message);
	buf_printf(b, "\n");
	put_counts(b, r);
	if (r->note != NULL) {
		buf_printf(b, "note      ");
		words_clean(b, r->note);
		buf_printf(b, "\n");
	}
	if (c->source != NULL)
		put_scenario(b, c);
	terminal_word(b, r->end == SHRINK_MINIMAL ? "minimal" : "not minimal",
		      r->end == SHRINK_MINIMAL ? CASE_HELD : CASE_INCONCLUSIVE, &style);
	buf_printf(b, "%s\n", verdict_words(r));
	if (r->end == SHRINK_MINIMAL || r->end == SHRINK_OPEN)
		put_without(b, r, o->verbose);
	if (c->source != NULL) {
		buf_printf(b, "  plugpull run %s%s", c->source->path,
			   c->state.depth == 2 ? " --depth 2" : "");
		if (c->subject->seed != 1)
			buf_printf(b, " --seed %" PRIu64, c->subject->seed);
		buf_printf(b, "\n");
	}
	buf_printf(b, "  plugpull replay %s\n  plugpull explain %s\n", r->token, r->token);
	if (seconds >= 0)
		buf_printf(b, "  %.1f s\n", seconds);
}

static void print(const struct options *o, const struct shrink_result *r, double seconds)
{
	struct buf b = {0};

	if (r->end == SHRINK_GONE) {
		buf_printf(&b, "%s does not fail any more: there is nothing to shrink", r->from);
		if (r->note != NULL) {
			buf_printf(&b, " (");
			words_clean(&b, r->note);
			buf_printf(&b, ")");
		}
		buf_printf(&b, "\n");
	} else if (o->quiet)
		buf_printf(&b, "%s\n", r->token);
	else
		put_result(&b, o, r, seconds);
	(void)fwrite(b.data, 1, b.size, stdout);
	buf_release(&b);
}

/* ---- the command */

static int write_json(const struct options *o, const struct shrink_result *r, double seconds,
		      struct err *err)
{
	struct buf b = {0};
	int rc = 0;

	shrink_json(r, seconds, &b);
	if (strcmp(o->json, "-") != 0)
		rc = file_write(o->json, (const char *)b.data, b.size, err);
	else if (fwrite(b.data, 1, b.size, stdout) != b.size || fflush(stdout) != 0)
		rc = err_set(err, ERR_IO, "cannot write to standard output: %s", strerror(errno));
	buf_release(&b);
	return rc;
}

static int exit_code(enum shrink_end end)
{
	switch (end) {
	case SHRINK_MINIMAL:
		return 0;
	case SHRINK_OPEN:
	case SHRINK_SPENT:
		return EXIT_OPEN;
	case SHRINK_INTERRUPTED:
		return EXIT_INTERRUPTED;
	case SHRINK_GONE:
		break;
	}
	return EXIT_GONE;
}

/* The scenario stands beside the case, so that what is said of its lines can be looked up, and it
 * can be run. Its name comes from the case that was shrunk, which is known while it becomes
 * smaller. */
static int shrink(const struct options *o, const struct case_file *c, struct view *view,
		  struct shrink_result *ret, struct err *err)
{
	char token[CASE_TOKEN_SIZE];

	case_file_token(c, token);
	char *path = xasprintf("%s/%s.shrunk.sql", CASES_DIRECTORY, token);
	struct shrink_options options = {
	    .jobs = o->jobs != 0 ? o->jobs : workers_standard(),
	    .recoveries_max = o->has_budget ? o->budget_recoveries : SHRINK_RECOVERIES_STANDARD,
	    .show_data = o->show_data,
	    .vocabulary = cli_vocabulary(),
	    .path = path,
	    .interrupted = cli_interrupted,
	    .progress = show_progress,
	    .ctx = view};

	if (o->budget_seconds > 0)
		options.deadline_ns = gate_now_ns() + o->budget_seconds * 1000000000u;
	int rc = shrink_case(c, &options, ret, err);
	clear(view);
	if (rc == 0 && ret->found != NULL) {
		char *there = xasprintf("%s/%s.ppcase", CASES_DIRECTORY, ret->token);

		/* One of which nothing was taken away keeps the scenario that it came from. */
		if (strcmp(ret->token, token) != 0 || access(there, F_OK) != 0)
			rc = case_file_save(ret->found, CASES_DIRECTORY, err);
		if (rc != 0)
			(void)err_context(err, "case file");
		free(there);
		if (rc == 0 && ret->found->source != NULL)
			rc = file_write(path, ret->found->source->text,
					strlen(ret->found->source->text), err);
	}
	free(path);
	return rc;
}

/* Its check is a function of somebody's test, and not in the case. */
static int refuse_own_check(const struct case_file *c)
{
	char token[CASE_TOKEN_SIZE];

	case_file_token(c, token);
	fprintf(stderr,
		"plugpull: only the test that found it can ask its check again: run it with "
		"PLUGPULL_TOKEN=%s\n",
		token);
	return EXIT_OPEN;
}

int cmd_shrink(const struct options *o)
{
	struct view view = {.options = o, .tty = isatty(STDERR_FILENO) == 1};
	struct shrink_result result = {0};
	struct case_file *c = NULL;
	struct err err = ERR_INIT;
	uint64_t begin = gate_now_ns();

	cli_catch_interrupts();
	int rc = cli_check_outputs(o, &err);
	if (rc == 0)
		rc = case_file_load(o->args[0], CASES_DIRECTORY, &c, &err);
	if (rc == 0 && own_check_is_oracle(c->finding.oracle)) {
		int refused = refuse_own_check(c);

		case_file_free(c);
		return refused;
	}
	if (rc == 0)
		rc = cli_trust_case(o->args[0], c, &err);
	if (rc == 0)
		rc = cli_trust_source(o->args[0], c, &err);
	if (rc == 0)
		rc = fi_vfs_register(&err);
	if (rc == 0)
		rc = shrink(o, c, &view, &result, &err);
	double seconds = o->timing ? (double)(gate_now_ns() - begin) / 1e9 : -1;
	if (rc == 0 && !cli_json_on_stdout(o))
		print(o, &result, seconds);
	if (rc == 0 && o->json != NULL)
		rc = write_json(o, &result, seconds, &err);
	int code = rc != 0 ? cli_fail(&err) : exit_code(result.end);
	shrink_result_release(&result);
	case_file_free(c);
	return code;
}
