/*
 * Stories made by hand, for the tests of the HTML page: what explain would tell of a run of
 * transfer.sql and attached.sql, texts that would like to be something else than text, and as many
 * operations as a test wants.
 */
#ifndef REPORTS_TEST_STORIES_H
#define REPORTS_TEST_STORIES_H

#include "harness/case/result.h"

/* journal_mode=delete, synchronous=full: the deletion of the journal was never synced. */
struct story *stories_journal(void);
/* journal_mode=wal, synchronous=normal: no frame was synced, one is torn. */
struct story *stories_wal(void);
/* Two databases and a super-journal: a transaction is in one of them only. */
struct story *stories_two(void);
/* Every text is `text`, and there is one of everything. */
struct story *stories_all_texts(const char *text);
/* `count` operations on four files, with syncs, transactions and 200 crash states. */
struct story *stories_many(size_t count);

/* A run with one case of each verdict, the stories above, mutants, notes, and a waiver. */
void stories_run(struct result *r);
/* The same names and messages as hostile texts. */
void stories_hostile(struct result *r, const char *text);
/* One case with one story. */
void stories_single(struct result *r, struct story *story);

#endif
