/*
 * What allows a finding: the PRAGMA that the program was seen to run, the setting of the scenario,
 * or the disk.
 *
 * What is said of SQLite's settings is from its documentation:
 *   https://www.sqlite.org/pragma.html#pragma_synchronous, #pragma_journal_mode
 *   https://www.sqlite.org/wal.html, "Performance Considerations"
 * and, of the record count of a journal at NORMAL, pager.c, syncJournal() (docs/lint.md,
 * records-before-count).
 */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"
#include "harness/drive/check_gate.h"
#include "harness/explain/fixes_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- settings ------------------------------------------------------------------------------ */

static const char *pragma_of(const struct telling *t, const char *key)
{
	const struct kv_list *list = &t->c->subject->pragmas;

	for (size_t i = 0; i < list->count; i++)
		if (strcasecmp(list->items[i].key, key) == 0)
			return list->items[i].value;
	return NULL;
}

static bool lint_says(const struct telling *t, enum lint_rule rule)
{
	for (size_t i = 0; i < t->lint.count; i++)
		if (t->lint.findings[i].rule == rule)
			return true;
	return false;
}

static void allow(struct telling *t, const char *key)
{
	if (t->allowing_count < 2)
		t->allowing[t->allowing_count++] = key;
}

/* ---- what the program was seen to run ------------------------------------------------------ */

/* What a level of PRAGMA synchronous does that this trace shows. NULL: it is not what allows it. */
static const char *level_words(const struct telling *t, int level)
{
	if (level == 0)
		return "OFF never syncs: after a power failure any part of what was written may be "
		       "missing, and the database may be corrupt";
	if (level == 1 && lint_says(t, LINT_COMMIT_BEFORE_ACK))
		return "In WAL mode NORMAL syncs the log before a checkpoint, not at each commit: "
		       "the database stays sound, and the last commits can be lost; FULL syncs the "
		       "log at each commit";
	if (level == 1 && lint_says(t, LINT_RECORDS_BEFORE_COUNT) && t->s->grade < GRADE_CONSISTENT)
		return "NORMAL makes the journal's record count and its records durable in one "
		       "sync, in either order; FULL syncs the records first";
	if (level < 3 && lint_says(t, LINT_JOURNAL_END_BEFORE_ACK))
		return "Only EXTRA syncs the directory after a journal is deleted, and only that "
		       "deletion makes a commit last in journal_mode=DELETE";
	return NULL;
}

static void mark(struct telling *t, const struct story_seen *seen)
{
	t->s->statements[seen->now - 1].setting = true;
	t->allowing_seen = seen;
}

static bool allowed_by_pragma(struct telling *t)
{
	const struct story_seen *level = &t->synchronous, *mode = &t->journal_mode;
	const char *words = NULL;
	struct buf b;

	buf_init(&b);
	if (story_setting_is_own(t, mode) &&
	    (strcasecmp(mode->value, "memory") == 0 || strcasecmp(mode->value, "off") == 0)) {
		story_put_setting(t, "journal_mode", mode, &b);
		words = "It keeps no journal on the disk: a transaction that is interrupted while "
			"it writes cannot be undone";
		mark(t, mode);
	} else if (story_setting_is_own(t, level) && !t->model.process_crash) {
		words = level_words(t, fixes_synchronous(level->value));
		if (words != NULL) {
			story_put_setting(t, "synchronous", level, &b);
			mark(t, level);
		}
	}
	if (words != NULL)
		story_set(&t->s->allowed, "%s. %s", buf_str(&b), words);
	buf_release(&b);
	return words != NULL;
}

/* Of a recorded program nobody says what it set; where no PRAGMA was seen, its syncs say it. */
static void allowed_by_trace(struct telling *t)
{
	if (lint_says(t, LINT_COMMIT_BEFORE_ACK))
		story_set(&t->s->allowed,
			  "the program commits in WAL mode without a sync of the log behind the "
			  "commit: that is what PRAGMA synchronous=NORMAL (or OFF) does, and it "
			  "keeps the database sound, not the last commits");
	else if (lint_says(t, LINT_PAGE_WITHOUT_LOG))
		story_set(&t->s->allowed,
			  "the program writes into the database with neither a journal nor a log "
			  "on the disk: that is what PRAGMA journal_mode=MEMORY or OFF does");
	else if (lint_says(t, LINT_JOURNAL_BEFORE_PAGE) ||
		 lint_says(t, LINT_DATABASE_BEFORE_JOURNAL_END))
		story_set(&t->s->allowed,
			  "the program does not sync the journal or the database at all: that is "
			  "what PRAGMA synchronous=OFF does");
	else if (lint_says(t, LINT_RECORDS_BEFORE_COUNT))
		story_set(&t->s->allowed,
			  "the journal's record count and its records become durable in one sync: "
			  "that is what PRAGMA synchronous=NORMAL does");
	else if (lint_says(t, LINT_JOURNAL_END_BEFORE_ACK))
		story_set(&t->s->allowed,
			  "the program does not sync the end of the journal before it goes on: "
			  "that is what PRAGMA synchronous=FULL does in journal_mode=DELETE, where "
			  "EXTRA syncs the directory, too");
	if (t->s->allowed != NULL && t->wrong != 0 && t->s->statement_count > 0 &&
	    t->synchronous.now == 0) {
		char *told = story_text("%s; no PRAGMA synchronous was seen on this connection "
					"before transaction %zu: it had the level that its SQLite "
					"is built with",
					t->s->allowed, t->s->transactions[t->wrong - 1].number);
		free(t->s->allowed);
		t->s->allowed = told;
	}
}

/* ---- what the scenario sets ---------------------------------------------------------------- */

static void allowed_in_wal(struct telling *t, int level)
{
	if (level == 1) {
		story_set(
		    &t->s->allowed,
		    "PRAGMA synchronous=NORMAL in WAL mode syncs the log before a checkpoint, "
		    "not at each commit: the database stays sound, and the last commits can "
		    "be lost; FULL syncs the log at each commit");
		allow(t, "synchronous");
	}
}

static void allowed_in_journal(struct telling *t, const char *mode, int level)
{
	bool deletes = strcasecmp(mode, "delete") == 0;

	if (level == 1 && lint_says(t, LINT_RECORDS_BEFORE_COUNT) &&
	    t->s->grade < GRADE_CONSISTENT) {
		story_set(&t->s->allowed,
			  "PRAGMA synchronous=NORMAL makes the journal's record count and its "
			  "records durable in one sync, in either order; FULL syncs the records "
			  "first");
		allow(t, "synchronous");
	} else if (lint_says(t, LINT_JOURNAL_END_BEFORE_ACK) && deletes) {
		story_set(
		    &t->s->allowed,
		    "PRAGMA synchronous=%s in journal_mode=DELETE does not sync the directory "
		    "after the journal is deleted, and only that deletion makes a commit "
		    "last; EXTRA does",
		    level == 1 ? "NORMAL" : "FULL");
		allow(t, "synchronous");
	} else if (lint_says(t, LINT_JOURNAL_END_BEFORE_ACK)) {
		story_set(&t->s->allowed,
			  "PRAGMA synchronous=%s in journal_mode=%s does not sync the end of the "
			  "journal before the commit returns",
			  level == 1 ? "NORMAL" : "FULL", mode);
		allow(t, "synchronous");
	}
}

void story_tell_allowed(struct telling *t)
{
	const char *mode = pragma_of(t, "journal_mode"), *level = pragma_of(t, "synchronous");
	bool is_wal = mode != NULL && strcasecmp(mode, "wal") == 0;
	int synchronous = level == NULL ? 2 : fixes_synchronous(level);

	if (check_is_oracle(t->c->finding.oracle))
		return; /* nothing is known of the files that the command looks at */
	if (!t->model.process_crash && t->model.fsync == MODEL_FSYNC_LIES) {
		story_set(&t->s->allowed,
			  "on the disk model %s a sync returns and keeps nothing: no setting of "
			  "SQLite's helps against that",
			  t->c->subject->model);
		return;
	}
	if (!t->model.process_crash && t->model.fsync == MODEL_FSYNC_BARRIER) {
		story_set(&t->s->allowed,
			  "on the disk model %s a sync keeps the order of writes and persists "
			  "nothing: what has been promised last can be lost",
			  t->c->subject->model);
		return;
	}
	if (allowed_by_pragma(t))
		return;
	if (mode != NULL && (strcasecmp(mode, "memory") == 0 || strcasecmp(mode, "off") == 0)) {
		story_set(&t->s->allowed,
			  "PRAGMA journal_mode=%s keeps no journal on the disk: a transaction that "
			  "is interrupted while it writes cannot be undone",
			  mode);
		allow(t, "journal_mode");
	} else if (t->model.process_crash) {
		return;
	} else if (level != NULL && synchronous == 0) {
		story_set(&t->s->allowed,
			  "PRAGMA synchronous=OFF never syncs: after a power failure any part of "
			  "what was written may be missing, and the database may be corrupt");
		allow(t, "synchronous");
	} else if (mode == NULL && level == NULL && t->c->source == NULL) {
		allowed_by_trace(t);
	} else if (is_wal) {
		allowed_in_wal(t, synchronous);
	} else {
		allowed_in_journal(t, mode == NULL ? "delete" : mode, synchronous);
	}
}
