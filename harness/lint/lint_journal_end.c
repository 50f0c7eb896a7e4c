/*
 * How a rollback journal ends, and what that takes: the database durable before, the super-journal
 * gone before, and the end itself durable before anything builds on it.
 *
 * A rollback ends a journal as a commit does. It is told by content: every page that was
 * overwritten under the journal holds again what its record holds. (A commit never does: it counts
 * up the change counter in page 1.)
 */
#include "harness/lint/lint_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_rolled_back(const struct journal *j)
{
	bool any = false;

	for (size_t i = 0; i < j->record_count; i++) {
		const struct record *r = &j->records[i];

		if (!r->is_overwritten)
			continue;
		if (!r->is_restored)
			return false;
		any = true;
	}
	return any;
}

/* The super-journal is gone for good, so that journals that name it are not hot. */
static bool is_super_gone(const struct scan *s, uint32_t super_name)
{
	return super_name != 0 && s->paths[super_name].inode == 0 &&
	       lint_is_name_durable(s, super_name);
}

static void check_database_durable(struct scan *s, struct database *d, const char *what,
				   const char *word)
{
	const struct journal *j = &d->journal;
	char database[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE], then[SHOWN_NOUN_SIZE];
	struct lint_finding *f;

	if (j->database_written == 0 || d->inode == 0 ||
	    is_durable(&s->files[d->inode].syncs, j->database_written))
		return;
	f = lint_report(s, LINT_DATABASE_BEFORE_JOURNAL_END, d, j->database_written);
	snprintf(then, sizeof then, "the %s", lint_end_noun(word));
	if (f != NULL)
		snprintf(f->message, sizeof f->message,
			 "%s was %s (op %" PRIu64 ") before the pages of %s that it can restore "
			 "were synced: %s",
			 what, word, s->position, lint_show_name(s, d->name, database),
			 lint_missing_sync(s, d->inode, d->name, j->database_written,
					   "the last of them", then, text));
}

static void check_super_ended(struct scan *s, struct database *d, const char *word)
{
	const struct journal *j = &d->journal;
	char journal[SHOWN_NAME_SIZE], super[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	const struct path *p = &s->paths[j->super_name];
	char then[SHOWN_NOUN_SIZE];
	struct lint_finding *f;

	if (j->super_named == 0 || j->super_name == 0 || j->database_written == 0 ||
	    is_super_gone(s, j->super_name))
		return;
	f = lint_report(s, LINT_SUPER_END_BEFORE_CHILDREN, d,
			p->inode == 0 ? p->changed : j->super_named);
	if (f == NULL)
		return;
	lint_show_name(s, j->name, journal);
	lint_show_name(s, j->super_name, super);
	if (p->inode != 0)
		snprintf(f->message, sizeof f->message,
			 "%s was %s (op %" PRIu64 ") while its super-journal %s was still there, "
			 "so that the other files of the transaction could still be rolled back",
			 journal, word, s->position, super);
	else {
		snprintf(then, sizeof then, "the %s of %s", lint_end_noun(word), journal);
		snprintf(
		    f->message, sizeof f->message,
		    "%s was %s (op %" PRIu64 ") before the deletion of its super-journal was "
		    "synced: %s",
		    journal, word, s->position,
		    lint_missing_dirsync(s, j->super_name, p->changed, "its deletion", then, text));
	}
}

void lint_journal_end(struct scan *s, struct database *d, const char *word, bool by_name)
{
	struct journal *j = &d->journal;
	char journal[SHOWN_NAME_SIZE];

	if (!j->is_open)
		return;
	check_database_durable(s, d, lint_show_name(s, j->name, journal), word);
	if (j->database_written != 0 && !is_rolled_back(j)) {
		check_super_ended(s, d, word);
		d->end = (struct journal_end){
		    .at = s->position,
		    .inode = by_name ? 0 : j->inode,
		    .name = j->name,
		    .super_name = j->super_named != 0 ? j->super_name : 0,
		    .word = word,
		    .actor = s->actor,
		};
	}
	lint_journal_close(j);
}

static bool is_end_durable(const struct scan *s, const struct journal_end *e)
{
	const struct path *p = &s->paths[e->name];

	if (e->at == 0 || is_super_gone(s, e->super_name))
		return true;
	if (e->inode != 0)
		return is_durable(&s->files[e->inode].syncs, e->at);
	return p->directory != 0 && is_durable(&s->directories[p->directory], e->at);
}

/* The sync that the end of the journal lacks, before the operation in hand. */
static const char *missing_end(const struct scan *s, const struct journal_end *e, const char *then,
			       char *text)
{
	char what[SHOWN_NOUN_SIZE];

	snprintf(what, sizeof what, "its %s", lint_end_noun(e->word));
	return e->inode != 0 ? lint_missing_sync(s, e->inode, e->name, e->at, what, then, text)
			     : lint_missing_dirsync(s, e->name, e->at, what, then, text);
}

void lint_journal_ack(struct scan *s, struct database *d)
{
	struct journal_end *e = &d->end;
	char journal[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	struct lint_finding *f;

	if (e->at == 0 || e->is_acked || !lint_is_promised(s, &e->actor))
		return;
	e->is_acked = true;
	if (is_end_durable(s, e))
		return;
	f = lint_report(s, LINT_JOURNAL_END_BEFORE_ACK, d, e->at);
	if (f != NULL)
		snprintf(f->message, sizeof f->message,
			 "a commit %s (op %" PRIu64 ") before the end of its journal "
			 "was durable, so a power loss can bring %s back and roll it back: %s",
			 lint_promise_verb(s), s->position, lint_show_name(s, e->name, journal),
			 missing_end(s, e, lint_promise_noun(s), text));
}

void lint_journal_cut(struct scan *s, struct database *d)
{
	const struct journal_end *e = &d->end;
	char journal[SHOWN_NAME_SIZE], database[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	struct lint_finding *f;

	if (is_end_durable(s, e))
		return;
	f = lint_report(s, LINT_JOURNAL_END_BEFORE_TRUNCATE, d, e->at);
	if (f != NULL)
		snprintf(f->message, sizeof f->message,
			 "%s was cut shorter (op %" PRIu64
			 ") before the end of %s was durable, which "
			 "can come back and restore the old length with nothing in it: %s",
			 lint_show_name(s, d->name, database), s->position,
			 lint_show_name(s, e->name, journal), missing_end(s, e, "the cut", text));
}

void lint_journal_passed(struct scan *s, struct database *d)
{
	const struct journal_end *e = &d->end;
	char journal[SHOWN_NAME_SIZE], database[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	struct lint_finding *f;

	if (is_end_durable(s, e))
		return;
	f = lint_report(s, LINT_JOURNAL_END_BEFORE_PAGE, d, e->at);
	if (f != NULL)
		snprintf(
		    f->message, sizeof f->message,
		    "%s was written without a journal (op %" PRIu64 ") before the end of %s was "
		    "durable, which can come back and restore pages from before: %s",
		    lint_show_name(s, d->name, database), s->position,
		    lint_show_name(s, e->name, journal), missing_end(s, e, "that write", text));
}

void lint_journal_unnamed(struct scan *s, struct database *d, const char *word)
{
	lint_journal_end(s, d, word, true);
	memset(d->journal.first_header, 0, sizeof d->journal.first_header);
	d->journal.inode = 0;
}

void lint_super_unnamed(struct scan *s, uint32_t name)
{
	char super[SHOWN_NAME_SIZE];

	for (size_t i = 0; i < s->database_count; i++) {
		struct database *d = s->databases[i];

		if (d->journal.is_open && d->journal.super_named != 0 &&
		    d->journal.super_name == name)
			check_database_durable(s, d, lint_show_name(s, name, super), "deleted");
	}
}
