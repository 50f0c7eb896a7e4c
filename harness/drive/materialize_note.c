/*
 * See materialize_internal.h: where each file of a materialized state lies, and README.txt.
 *
 * The note names no path of this machine and no time, so that the same case makes the same folder.
 * Names and messages come from traces of strangers: they are shown on one line, and quoted for the
 * shell in commands.
 */
#include "harness/drive/materialize_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/format/journal.h"
#include "harness/drive/check_gate.h"
#include "reports/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- places -------------------------------------------------------------------------------- */

/* Can a file lie where the path says, below any folder, and be named in a line of text? */
static bool is_fit(const char *path)
{
	struct buf clean;
	bool fit = path[0] == '/' && strlen(path) <= MATERIALIZE_PATH_MAX;

	for (const char *part = path; fit && *part == '/';) {
		size_t n = strcspn(++part, "/");

		fit = n > 0 && n <= MATERIALIZE_PART_MAX && !(n == 1 && part[0] == '.') &&
		      !(n == 2 && part[0] == '.' && part[1] == '.');
		part += n;
	}
	buf_init(&clean);
	words_clean(&clean, path);
	fit = fit && strcmp(buf_str(&clean), path) == 0;
	buf_release(&clean);
	return fit;
}

/* Is it a path, or a folder of one? */
static bool is_taken(const struct materializing *w, const char *path)
{
	size_t size = strlen(path);

	for (size_t i = 0; i < w->count; i++)
		if (strncmp(w->paths[i], path, size) == 0 &&
		    (w->paths[i][size] == '\0' || w->paths[i][size] == '/'))
			return true;
	return false;
}

void materialize_places(struct materializing *w)
{
	size_t odd = 0, conflict_count;
	struct state_conflict *conflicts =
	    state_files_conflicts((const char *const *)w->paths, w->count, &conflict_count);

	w->files = xcalloc(w->count + 1, sizeof *w->files);
	for (size_t i = 0; i < w->count; i++)
		if (is_fit(w->paths[i]))
			w->files[i] = xstrdup(w->paths[i] + 1);
	for (size_t i = 0; i < conflict_count; i++) {
		free(w->files[conflicts[i].file]);
		w->files[conflicts[i].file] = NULL;
	}
	for (size_t i = 0; i < w->count; i++) {
		while (w->files[i] == NULL) {
			char *path = xasprintf("/plugpull-file-%zu", ++odd);

			if (!is_taken(w, path))
				w->files[i] = xstrdup(path + 1);
			free(path);
		}
	}
	free(conflicts);
}

/* ---- the note ------------------------------------------------------------------------------ */

static void put_clean(struct buf *out, const char *text)
{
	words_clean(out, text);
}

/* The place of a path of the trace, or NULL. */
static const char *place_of(const struct materializing *w, const char *path)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->paths[i], path) == 0)
			return w->files[i];
	return NULL;
}

static bool is_present(const struct materializing *w, enum materialized which, size_t i)
{
	const struct materialized_state *s = &w->states[which];

	return s->is_there && i < s->files.count && s->files.items[i].present;
}

static void put_op(const struct trace *t, uint64_t position, struct buf *out)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (f == NULL)
		return;
	trace_print_op(t, position, false, f);
	(void)fclose(f);
	text[strcspn(text, "\n")] = '\0';
	put_clean(out, text);
	free(text);
}

static void put_case(const struct materializing *w, struct buf *out)
{
	const struct case_file *c = w->m->c;
	char token[CASE_TOKEN_SIZE];

	case_file_token(c, token);
	buf_printf(out, "A crash state, in files.\n\ncase      ");
	put_clean(out, c->subject->id);
	if (c->subject->title != NULL && c->subject->title[0] != '\0') {
		buf_printf(out, "\nshows     ");
		put_clean(out, c->subject->title);
	}
	buf_printf(out, "\ndisk      ");
	put_clean(out, c->subject->model);
	buf_printf(out, "\ncrash     after operation %" PRIu64 " of %zu%s", c->state.position,
		   c->trace->op_count, c->state.has_cut ? ", which was cut" : "");
	if (c->state.has_cut)
		buf_printf(out, " after %" PRIu64 " bytes", c->state.cut_bytes);
	buf_printf(out, "\n");
	/* Locks say nothing about it. */
	uint64_t p = c->state.position;
	while (p > 0 &&
	       (trace_at(c->trace, p)->kind == OP_LOCK || trace_at(c->trace, p)->kind == OP_UNLOCK))
		p--;
	if (p > 0) {
		buf_printf(out, "          ");
		put_op(c->trace, p, out);
		buf_printf(out, "\n");
	}
	if (c->state.has_again)
		buf_printf(out,
			   "          and again after operation %" PRIu64 " of the recovery%s\n",
			   c->state.again_position, c->state.again_has_cut ? " (cut)" : "");
	buf_printf(out, "finding   %s (%s): ", c->finding.oracle, grade_text(c->finding.grade));
	put_clean(out, c->finding.message);
	buf_printf(out, "\nnow       ");
	if (w->m->again)
		buf_printf(out, "found again");
	else
		buf_printf(out, "not found again: ");
	if (!w->m->again)
		put_clean(out, w->m->found);
	buf_printf(out, "\nagain     plugpull replay %s\n          plugpull replay %s.ppcase\n\n",
		   token, token);
}

static void put_folders(const struct materializing *w, struct buf *out)
{
	const struct case_file *c = w->m->c;
	bool check = check_is_oracle(c->finding.oracle);
	bool again = c->state.has_again && !w->first_died;

	buf_printf(out, "before/    the files exactly as the %scrash left them",
		   again ? "second " : "");
	if (check)
		buf_printf(out, ", and as the command of --check was shown them.\n");
	else if (w->left_open == 0)
		buf_printf(out, ".\n           Recovery asked about all of them.\n");
	else
		buf_printf(out,
			   ".\n           %" PRIu64 " thing%s recovery never asked about %s as new "
			   "as can be: any other\n           choice there comes to the same "
			   "finding.\n",
			   w->left_open, w->left_open == 1 ? "" : "s",
			   w->left_open == 1 ? "is" : "are");
	if (w->first_died)
		buf_printf(out, "           Recovery did not live until the second crash: this is "
				"after the first one.\n");
	if (w->states[MATERIALIZED_AFTER].is_there)
		buf_printf(
		    out,
		    "after/     what SQLite made of them: opened, recovered as far as it could, "
		    "with the program's\n           own pragmas; closed without a "
		    "checkpoint\n");
	else if (check)
		buf_printf(out, "           There is no after/: no recovery was made.\n");
	else
		buf_printf(out,
			   "           There is no after/: the process that recovered them and "
			   "looked at them died, or did\n           not end.\n");
	buf_printf(out,
		   "expected/  what the processes saw after operation %" PRIu64
		   ", with all that had been promised\n           by then; transactions may be "
		   "under way in it\n\n",
		   c->state.promise);
}

static void put_files(const struct materializing *w, struct buf *out)
{
	buf_printf(out,
		   "A file lies where its path in the trace says, below each of these: "
		   "before/db/main.db was\n/db/main.db. Bytes of each (-: there is none):\n\n%12s "
		   "%12s %12s  file\n",
		   "before", "after", "expected");
	for (size_t i = 0; i < w->count; i++) {
		bool shown = false;

		for (int s = 0; s < MATERIALIZED_STATES; s++)
			shown = shown || is_present(w, (enum materialized)s, i);
		if (!shown)
			continue;
		for (int s = 0; s < MATERIALIZED_STATES; s++) {
			const struct state_files *files = &w->states[s].files;

			if (!is_present(w, (enum materialized)s, i))
				buf_printf(out, "%12s ", "-");
			else if (files->items[i].same_as != NULL)
				buf_printf(out, "%12s ", "link");
			else
				buf_printf(out, "%12" PRIu64 " ", files->items[i].size);
		}
		buf_printf(out, " ");
		put_clean(out, w->files[i]);
		if (strcmp(w->paths[i] + 1, w->files[i]) != 0) {
			buf_printf(out, "  (in the trace: ");
			put_clean(out, w->paths[i]);
			buf_printf(out, ")");
		}
		buf_printf(out, "\n");
	}
}

/* Journals of one transaction over several databases name each other by paths of the recording. */
static void put_super_journals(const struct materializing *w, struct buf *out)
{
	const struct state_files *files = &w->states[MATERIALIZED_BEFORE].files;
	static const char suffix[] = "-journal";

	for (size_t i = 0; i < files->count; i++) {
		const struct laid_file *f = &files->items[i];
		size_t length = strlen(w->paths[i]), n = strlen(suffix), name_size;
		const uint8_t *name;

		if (!f->present || f->same_as != NULL || length < n ||
		    strcmp(w->paths[i] + length - n, suffix) != 0 ||
		    !journal_super_name(f->data, f->size, &name, &name_size))
			continue;
		char *text = xasprintf("%.*s", (int)name_size, (const char *)name);
		buf_printf(out, "\nbefore/");
		put_clean(out, w->files[i]);
		buf_printf(out, "\nnames the super-journal ");
		put_clean(out, text);
		buf_printf(out,
			   ", a path of the recording. Opened\nfrom here, SQLite does not find it "
			   "there and takes the journal for a stale one: what\nrecovery made of it "
			   "is in after/ only.\n");
		free(text);
	}
}

static void put_check(const struct materializing *w, const char *folder, const char *place,
		      struct buf *out)
{
	char *path = xasprintf("%s/%s", folder, place);

	(void)w;
	buf_printf(out, "    sqlite3 ");
	buf_put_word(out, path);
	buf_printf(out, " 'PRAGMA integrity_check'\n");
	free(path);
}

static void put_commands(const struct materializing *w, struct buf *out)
{
	const struct subject *s = w->m->c->subject;
	bool recovered = w->states[MATERIALIZED_AFTER].is_there;

	buf_printf(out,
		   "\nWhat to look at. Opening a database with sqlite3 recovers it, and so "
		   "changes the files:\nwork on a copy.\n\n    mkdir look && cp -r before %s"
		   "expected look/ && cd look\n",
		   recovered ? "after " : "");
	for (size_t i = 0; i < 1 + s->attached_count; i++) {
		const char *path = i == 0 ? s->database : s->attached[i - 1].file;
		const char *place = place_of(w, path);

		if (place == NULL)
			continue;
		buf_printf(out, "\n");
		if (recovered)
			put_check(w, "after", place, out);
		put_check(w, "before", place, out);
		for (int k = 0; k < 2; k++) {
			const char *folder = k == 1 ? "expected" : recovered ? "after" : "before";
			char *file = xasprintf("%s/%s", folder, place);

			buf_printf(out, "    sqlite3 ");
			buf_put_word(out, file);
			buf_printf(out, " .dump > %zu-%s.sql\n", i + 1, folder);
			free(file);
		}
		buf_printf(out, "    diff %zu-%s.sql %zu-expected.sql\n", i + 1,
			   recovered ? "after" : "before", i + 1);
	}
}

void materialize_note(const struct materializing *w, struct buf *out)
{
	put_case(w, out);
	put_folders(w, out);
	put_files(w, out);
	put_super_journals(w, out);
	put_commands(w, out);
}
