/* Stories made by hand; see stories.h. */
#include "reports/test/stories.h"

#include "faultinject/base/buf.h"
#include "harness/case/story.h"
#include "reports/test/fixture.h"
#include "reports/test/stories_parts.h"

#include <inttypes.h>

static const char transfer[] =
    "-- @scenario money moves between accounts, and no crash makes or destroys any\n"
    "-- @pragma journal_mode=delete synchronous=full\n"
    "-- @require durable\n"
    "-- @setup\n"
    "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);\n"
    "INSERT INTO account VALUES (1, 1000), (2, 1000), (3, 1000), (4, 1000);\n"
    "CREATE TABLE ledger(n INTEGER PRIMARY KEY, client TEXT, source INTEGER,\n"
    "                    target INTEGER, amount INTEGER NOT NULL);\n"
    "CREATE INDEX ledger_by_target ON ledger(target, amount);\n"
    "-- @client alice repeat=4\n"
    "BEGIN IMMEDIATE;\n"
    "INSERT INTO ledger(client, source, target, amount) VALUES (:client, 1, 2, 1 + :r % 90);\n"
    "UPDATE account SET balance = balance - (SELECT amount FROM ledger ORDER BY n DESC LIMIT 1)\n"
    " WHERE id = 1;\n"
    "UPDATE account SET balance = balance + (SELECT amount FROM ledger ORDER BY n DESC LIMIT 1)\n"
    " WHERE id = 2;\n"
    "COMMIT;\n"
    "-- @invariant \"the balances add up to 4000\"\n"
    "SELECT sum(balance) FROM account HAVING sum(balance) <> 4000;\n";

static struct story *begin_story(const char *token, const char *id, const char *oracle,
				 enum grade grade, const char *message, const char *verdict)
{
	struct story *s = story_create();

	s->token = story_copy(token);
	s->id = story_copy(id);
	s->title = story_copy("money moves between accounts, and no crash makes or destroys any");
	s->model = story_copy("strict-posix");
	s->model_words =
	    story_copy("what POSIX promises and nothing more: a sync of a file keeps its "
		       "content, a sync of a directory its names, and in between everything "
		       "may reach the disk in any order");
	kv_set(&s->config, "synchronous", "full");
	kv_set(&s->config, "journal_mode", "delete");
	kv_set(&s->config, "cache_size", "10");
	s->oracle = story_copy(oracle);
	s->grade = grade;
	s->message = story_copy(message);
	s->verdict = story_copy(verdict);
	s->replay = xasprintf("plugpull replay cases/%s.ppcase", token);
	s->sqlite = story_copy("3.40.1");
	s->plugpull = story_copy("0.1.0");
	return s;
}

/* One commit in journal_mode=delete, from position `at`; returns the position behind it. */
static uint64_t journal_commit(struct story *s, uint64_t at, enum story_fate journal,
			       enum story_fate end, size_t transaction)
{
	static const char *const pages[] = {
	    "page 1, header and schema", "page 2, leaf of table account",
	    "page 3, leaf of table ledger", "page 4, leaf of index ledger_by_target"};
	uint64_t sync1 = at + 11, dirsync = at + 13, sync2 = at + 16, sync3 = at + 22;

	story_add_op(s, at, "create", 1, "creates main.db-journal", journal)->synced_by = dirsync;
	story_add_write(s, at + 1, 1, 0, 512, "journal header, 0 records", journal, sync1);
	for (unsigned i = 0; i < 4; i++) {
		char *words = xasprintf("before-image of %s", pages[i]);

		story_add_write(s, at + 2 + 2 * i, 1, 512 + 4104 * i, 4, "page number", journal,
				sync1);
		story_add_write(s, at + 3 + 2 * i, 1, 516 + 4104 * i, 4096, words, journal, sync1);
		free(words);
	}
	story_add_op(s, at + 10, "sync-begin", 1, NULL, STORY_NO_CHANGE);
	story_add_op(s, sync1, "sync-end", 1, NULL, STORY_NO_CHANGE);
	story_add_op(s, at + 12, "dirsync-begin", 2, NULL, STORY_NO_CHANGE);
	story_add_op(s, dirsync, "dirsync-end", 2, NULL, STORY_NO_CHANGE);
	story_add_write(s, at + 14, 1, 0, 12, "journal header, 4 records", journal, sync2);
	story_add_op(s, at + 15, "sync-begin", 1, NULL, STORY_NO_CHANGE);
	story_add_op(s, sync2, "sync-end", 1, NULL, STORY_NO_CHANGE);
	for (unsigned i = 0; i < 4; i++)
		story_add_write(s, at + 17 + i, 0, 4096 * i, 4096, pages[i], journal, sync3);
	story_add_op(s, at + 21, "sync-begin", 0, NULL, STORY_NO_CHANGE);
	story_add_op(s, sync3, "sync-end", 0, NULL, STORY_NO_CHANGE);
	story_add_op(s, at + 23, "unlink", 1, "deletes main.db-journal, which commits", end);
	story_add_op(s, at + 27, "ack", SIZE_MAX, "COMMIT returned", STORY_NO_CHANGE);
	for (size_t i = 0; i < s->op_count; i++)
		if (s->ops[i].position >= at && s->ops[i].position < at + 27)
			s->ops[i].transaction = transaction;
	if (journal == STORY_AFTER)
		for (size_t i = 0; i < s->op_count; i++)
			s->ops[i].synced_by = s->ops[i].position >= at ? 0 : s->ops[i].synced_by;
	return at + 28;
}

struct story *stories_journal(void)
{
	struct story *s =
	    begin_story("pp1-e01632289a4d88bb0fd4753ffb8fc832",
			"transfer@strict-posix[journal_mode=delete,synchronous=full]", "history",
			GRADE_CONSISTENT,
			"1 acknowledged commit is gone: transaction 1 (acknowledged at op 40)",
			"A power loss right after COMMIT returned brings the deleted rollback "
			"journal back, and "
			"SQLite rolls the first transfer back, though it had been acknowledged.");
	static const int involved[] = {2, 11, 12, 13, 14, 15, 16, 17, 0};
	struct story_state *state;

	story_add_file(s, "/db/main.db", STORY_DATABASE);
	story_add_file(s, "/db/main.db-journal", STORY_JOURNAL);
	story_add_file(s, "/db", STORY_DIRECTORY);
	uint64_t next;

	(void)journal_commit(s, 13, STORY_DURABLE, STORY_LOST, 1);

	s->crash = 42;
	s->promise = 42;
	next = journal_commit(s, 43, STORY_AFTER, STORY_AFTER, 2);
	journal_commit(s, next + 2, STORY_AFTER, STORY_AFTER, 3);
	story_add_transaction(s, 13, 36, 40, STORY_GONE,
			      "inserts 1 row into ledger, updates 2 rows of account");
	story_add_transaction(s, 43, 66, 70, STORY_LATER,
			      "inserts 1 row into ledger, updates 2 rows of account");
	story_add_transaction(s, 73, 96, 100, STORY_LATER, NULL);
	story_add_statement(s, 11, 11, NULL, "PRAGMA synchronous=full", 0);
	s->statements[0].setting = true;
	story_add_statement(s, 12, 12, "transfer.sql:11", "BEGIN IMMEDIATE", 1);
	story_add_statement(s, 12, 18, "transfer.sql:12",
			    "INSERT INTO ledger(client, source, target, amount) VALUES (:client, "
			    "1, 2, 1 + :r % 90)",
			    1);
	story_add_statement(s, 18, 20, "transfer.sql:13",
			    "UPDATE account SET balance = balance - (SELECT amount FROM ledger "
			    "ORDER BY n DESC LIMIT 1) WHERE id = 1",
			    1);
	story_add_statement(s, 20, 22, "transfer.sql:15",
			    "UPDATE account SET balance = balance + (SELECT amount FROM ledger "
			    "ORDER BY n DESC LIMIT 1) WHERE id = 2",
			    1);
	story_add_statement(s, 22, 36, "transfer.sql:17", "COMMIT", 1);
	story_add_statement(s, 42, 42, "transfer.sql:11", "BEGIN IMMEDIATE", 2);
	story_add_statement(s, 43, 66, "transfer.sql:17", "COMMIT", 2);
	s->crash_words =
	    story_copy("Power fails after COMMIT had returned (op 40) and before anything "
		       "synced the folder that main.db-journal was deleted from (op 36).");
	story_add_decision(s, "is '/db/main.db-journal' there and not empty", 1, 2,
			   "main.db-journal: still there");
	story_add_recovery(s, "It found main.db-journal beside main.db, with a valid header and 4 "
			      "records: a hot journal.");
	story_add_recovery(
	    s, "It took it for a transaction that was interrupted, and wrote pages 1 to 4 "
	       "back as they were before.");
	story_add_recovery(
	    s,
	    "It deleted the journal. What had been committed and acknowledged was gone with it.");
	story_add_row(s, "table ledger, rowid 1", "('alice', 1, 2, 58)", NULL);
	story_add_row(s, "table account, rowid 1", "(1, 942)", "(1, 1000)");
	story_add_row(s, "table account, rowid 2", "(2, 1058)", "(2, 1000)");
	s->rows_against = story_copy("the state after transaction 1");
	story_add_missing(
	    s, "journal-end-before-ack",
	    "A commit was acknowledged (op 40) before the end of its journal was durable: there "
	    "is no sync of the folder /db between op 36, which deleted main.db-journal, and op 40.",
	    "/db", true, 36, 40, true);
	s->allowed =
	    story_copy("synchronous=full does not sync the folder after the journal is deleted; "
		       "synchronous=extra does.");
	story_add_fix(s, "synchronous=extra instead of full", "transfer.sql:2",
		      "42 crash points, 34 279 states, exhaustive: held durable",
		      "plugpull run transfer.sql --set synchronous=extra", true);
	story_add_fix(s, "journal_mode=persist instead of delete", "transfer.sql:2",
		      "38 crash points, 21 002 states, exhaustive: held durable",
		      "plugpull run transfer.sql --set journal_mode=persist", true);
	story_add_fix(s, "journal_mode=wal instead of delete", "transfer.sql:2",
		      "40 crash points, 9 004 states, exhaustive: consistent, at most 2 lost",
		      "plugpull run transfer.sql --set journal_mode=wal", false);
	s->fixes_words =
	    story_copy("Tried as well, and still found: fullfsync=on, locking_mode=exclusive.");
	state =
	    story_add_state(s, "12", GRADE_CONSISTENT,
			    "Transaction 1 is gone, though it was acknowledged.", "history", true);
	story_add_fate(state, 36, STORY_LOST);
	state = story_add_state(s, "12", GRADE_NONE,
				"Every transaction that was acknowledged is there.", NULL, false);
	story_add_fate(state, 36, STORY_KEPT);
	s->states_total = story_copy("24");
	s->source_path = story_copy("scenarios/transfer.sql");
	story_add_source(s, transfer, involved);
	return s;
}

struct story *stories_wal(void)
{
	struct story *s = begin_story(
	    "pp1-8902e5c40756f95e79d30ce643a2756a",
	    "transfer@strict-posix[journal_mode=wal,synchronous=normal]", "history",
	    GRADE_CONSISTENT, "2 acknowledged commits are gone: transactions 2 and 3",
	    "In WAL mode with synchronous=normal a COMMIT syncs nothing, so a power loss takes the "
	    "last two acknowledged transfers away.");
	static const int involved[] = {2, 17, 0};
	static const char *const pages[] = {"page 2, leaf of table account",
					    "page 3, leaf of table ledger",
					    "page 4, leaf of index ledger_by_target"};
	uint64_t at = 5;
	unsigned frame = 1;

	story_add_file(s, "/db/main.db", STORY_DATABASE);
	story_add_file(s, "/db/main.db-wal", STORY_LOG);
	story_add_op(s, at++, "create", 1, "main.db-wal", STORY_DURABLE)->synced_by = 15;
	story_add_write(s, at++, 1, 0, 32, "log header, checkpoint 0", STORY_DURABLE, 15);
	for (size_t t = 1; t <= 4; t++) {
		uint64_t begin = at;
		bool later = t == 4;

		for (unsigned i = 0; i < 3; i++, frame++) {
			enum story_fate fate = t == 1		  ? STORY_DURABLE
					       : later		  ? STORY_AFTER
					       : t == 2 && i == 1 ? STORY_TORN
					       : t == 2 && i == 0 ? STORY_KEPT
					       : t == 3 && i == 2 ? STORY_UNASKED
								  : STORY_LOST;
			char *words =
			    xasprintf("frame %u, %s%s", frame, pages[i], i == 2 ? ", commit" : "");
			struct story_op *op;

			story_add_write(s, at++, 1, 32 + 4120u * (frame - 1), 24, "frame header",
					fate == STORY_TORN ? STORY_KEPT : fate, t == 1 ? 15 : 0)
			    ->transaction = t;
			op = story_add_write(s, at++, 1, 56 + 4120u * (frame - 1), 4096, words,
					     fate, t == 1 ? 15 : 0);
			op->transaction = t;
			op->parts = 8;
			op->parts_kept = fate == STORY_TORN ? 5 : 0;
			free(words);
		}
		if (t == 1) {
			story_add_op(s, at++, "sync-begin", 1, NULL, STORY_NO_CHANGE);
			story_add_op(s, at, "sync-end", 1, NULL, STORY_NO_CHANGE);
			at = 16;
			s->ops[s->op_count - 1].position = 15;
		}
		/* The second is promised by what the program put out. */
		story_add_op(s, at, t == 2 ? "output" : "ack", SIZE_MAX,
			     t == 2 ? "output of 17 bytes" : "COMMIT returned", STORY_NO_CHANGE);
		story_add_transaction(s, begin, at - 1, at,
				      t == 1  ? STORY_PRESENT
				      : later ? STORY_LATER
					      : STORY_GONE,
				      "inserts 1 row into ledger, updates 2 rows of account");
		at += 3;
	}
	for (size_t i = 1; i < s->op_count; i++)
		if (s->ops[i].position <= s->ops[i - 1].position)
			s->ops[i].position = s->ops[i - 1].position + 1;
	for (size_t t = 0; t < s->transaction_count; t++) {
		uint64_t first = 0, last = 0, ack = 0;

		for (size_t i = 0; i < s->op_count; i++) {
			if (s->ops[i].transaction == t + 1) {
				first = first == 0 ? s->ops[i].position : first;
				last = s->ops[i].position;
			}
			if (last != 0 && ack == 0 && s->ops[i].file == SIZE_MAX &&
			    s->ops[i].position > last)
				ack = s->ops[i].position;
		}
		s->transactions[t].begin = s->transactions[t].first_write = first;
		s->transactions[t].end = last;
		s->transactions[t].ack = ack;
		if (t == 2)
			s->crash = s->promise = ack;
		/* As a recording has them: no line of a scenario. */
		story_add_statement(s, first - 1, first - 1, NULL,
				    "INSERT INTO ledger VALUES (?, ?, ?)", t + 1);
		story_add_statement(s, first - 1, last, NULL, "COMMIT", t + 1);
	}
	uint64_t sync = 0;

	for (size_t i = 0; i < s->op_count; i++)
		if (strcmp(s->ops[i].kind, "sync-end") == 0)
			sync = s->ops[i].position;
	for (size_t i = 0; i < s->op_count; i++)
		if (s->ops[i].fate == STORY_DURABLE)
			s->ops[i].synced_by = sync;
	s->crash_words =
	    story_copy("Power fails after the third COMMIT had returned; nothing in the log was "
		       "synced since the first.");
	story_add_decision(s, "what size has '/db/main.db-wal'", 3, 13,
			   "main.db-wal: 20632 bytes, up to frame 5");
	story_add_decision(s, "what is at bytes 16536..20631 of '/db/main.db-wal'", 1, 2,
			   "frame 5: older content in 3 of 8 sectors");
	story_add_recovery(
	    s, "It read frames 1 to 4 of the log; their checksums are right, and frame 3 commits.");
	story_add_recovery(
	    s, "Frame 5 does not match its checksum, so the log ends at frame 3, the last "
	       "commit before it.");
	story_add_row(s, "table ledger, rowid 2", "('alice', 1, 2, 13)", NULL);
	story_add_row(s, "table ledger, rowid 3", "('alice', 1, 2, 71)", NULL);
	story_add_row(s, "table account, rowid 1", "(1, 858)", "(1, 942)");
	story_add_row(s, "table account, rowid 2", "(2, 1142)", "(2, 1058)");
	s->rows_against = story_copy("the state after transaction 3");
	for (size_t i = 1; i <= 2; i++)
		story_add_missing(
		    s, "wal-commit-before-ack",
		    "Commits were acknowledged before their frames were durable: there is no sync "
		    "of main.db-wal between the commit frame and the acknowledgement.",
		    "/db/main.db-wal", false, s->transactions[i].end, s->transactions[i].ack, true);
	s->missing_left_out = 4;
	s->allowed = story_copy(
	    "synchronous=normal does not sync the log at a commit; synchronous=full does.");
	story_add_fix(s, "synchronous=full instead of normal", "transfer.sql:2",
		      "31 crash points, 9 112 states, exhaustive: held durable",
		      "plugpull run transfer.sql --set journal_mode=wal --set synchronous=full",
		      true);
	for (unsigned i = 0; i < 24; i++) {
		static const char *const outcomes[] = {
		    "Transactions 2 and 3 are gone, though they were acknowledged.",
		    "Transaction 3 is gone, though it was acknowledged.",
		    "Every transaction that was acknowledged is there."};
		size_t which = i < 14 ? 0 : i < 22 ? 1 : 2;
		struct story_state *state =
		    story_add_state(s, i == 4 ? "170141183460469231731687303715884105728" : "4096",
				    which == 2 ? GRADE_NONE : GRADE_CONSISTENT, outcomes[which],
				    which == 2 ? NULL : "history", i == 3);

		for (size_t o = 0; o < s->op_count; o++)
			if (s->ops[o].fate >= STORY_KEPT && s->ops[o].fate <= STORY_UNASKED &&
			    (o + i) % 5 != 0)
				story_add_fate(state, s->ops[o].position,
					       which == 2 || (o * 7 + i) % 24 < i ? STORY_KEPT
										  : STORY_LOST);
	}
	s->states_total = story_copy("170141183460469231731687303715884199936");
	s->source_path = story_copy("scenarios/transfer.sql");
	story_add_source(s, transfer, involved);
	return s;
}

struct story *stories_two(void)
{
	struct story *s = begin_story(
	    "pp1-77aa0c9be1fd24ac6e2203c1d9b0f0aa", "attached-wal@strict-posix", "invariant",
	    GRADE_TORN, "'each message is in exactly one of the two files' is broken by 1 row",
	    "A message is in both files after a power loss: the transaction over two "
	    "databases was kept in archive.db and lost in main.db.");
	static const char *const files[] = {"/db/main.db", "/db/main.db-journal", "/db/archive.db",
					    "/db/archive.db-journal", "/db/main.db-mj4A7F01C29"};
	static const enum story_role roles[] = {STORY_DATABASE, STORY_JOURNAL, STORY_DATABASE,
						STORY_JOURNAL, STORY_SUPER_JOURNAL};
	uint64_t at = 1;

	for (size_t i = 0; i < 5; i++)
		story_add_file(s, files[i], roles[i]);
	story_add_file(s, "/db", STORY_DIRECTORY);
	for (size_t j = 1; j <= 3; j += 2) {
		story_add_op(s, at++, "create", j, NULL, STORY_DURABLE)->synced_by = 20;
		story_add_write(s, at++, j, 0, 512, "journal header, 1 record", STORY_DURABLE, 12);
		story_add_write(s, at++, j, 516, 4096, "before-image of page 2, leaf of table",
				STORY_DURABLE, 12);
	}
	story_add_op(s, at++, "create", 4, NULL, STORY_DURABLE)->synced_by = 20;
	story_add_write(s, at++, 4, 0, 48, "names of two journals", STORY_DURABLE, 10);
	story_add_op(s, 9, "sync-begin", 4, NULL, STORY_NO_CHANGE);
	story_add_op(s, 10, "sync-end", 4, NULL, STORY_NO_CHANGE);
	story_add_op(s, 11, "sync-begin", 1, NULL, STORY_NO_CHANGE);
	story_add_op(s, 12, "sync-end", 1, NULL, STORY_NO_CHANGE);
	story_add_op(s, 19, "dirsync-begin", 5, NULL, STORY_NO_CHANGE);
	story_add_op(s, 20, "dirsync-end", 5, NULL, STORY_NO_CHANGE);
	story_add_write(s, 21, 0, 4096, 4096, "page 2, leaf of table inbox", STORY_LOST, 0)
	    ->transaction = 1;
	story_add_write(s, 22, 0, 8192, 4096, "page 3, overflow page 1 of table inbox", STORY_KEPT,
			0)
	    ->transaction = 1;
	story_add_write(s, 23, 2, 4096, 16384, "pages 2 to 5, table outbox", STORY_TORN, 0)
	    ->transaction = 1;
	s->ops[s->op_count - 1].parts_kept = 3;
	story_add_op(s, 24, "sync-begin", 0, NULL, STORY_NO_CHANGE);
	story_add_op(s, 25, "sync-end", 0, NULL, STORY_NO_CHANGE)->failed = true;
	story_add_op(s, 26, "unlink", 4, "deletes main.db-mj4A7F01C29, which commits", STORY_KEPT)
	    ->transaction = 1;
	story_add_op(s, 27, "truncate", 1, "0 bytes", STORY_UNASKED)->transaction = 1;
	story_add_op(s, 28, "output", SIZE_MAX, "17 bytes to a pipe", STORY_NO_CHANGE);
	story_add_write(s, 29, 3, 0, 28, "journal header, zeroed", STORY_KEPT, 0)->transaction = 1;
	story_add_op(s, 30, "ack", SIZE_MAX, NULL, STORY_NO_CHANGE);
	story_add_op(s, 31, "mark", SIZE_MAX, "mark 'next'", STORY_NO_CHANGE);
	story_add_write(s, 32, 1, 0, 512, NULL, STORY_AFTER, 0);
	s->crash = 29;
	s->cut = true;
	s->cut_bytes = 12;
	s->again = 4;
	s->ops_left_out = 4711;
	s->crash_words = story_copy(
	    "Power fails while the header of archive.db-journal is zeroed, and once more "
	    "while SQLite recovers.");
	story_add_transaction(s, 1, 29, 30, STORY_PARTLY, "moves message 1 from inbox to outbox");
	story_add_row(s, "table outbox, rowid 1", NULL, "(1, 'one')");
	story_add_row(s, "table inbox, rowid 1", "(1, 'one')", "(1, 'one')");
	s->rows_left_out = 3;
	story_add_missing(s, NULL, "main.db was not synced before the super-journal was deleted.",
			  "/db/main.db", false, 22, 26, true);
	story_add_missing(s, "dir", "The folder /other was never synced.", "/other", true, 20, 26,
			  false);
	story_add_state(s, "1", GRADE_CORRUPT, "main.db cannot be read.", "integrity", false);
	story_add_state(s, "1", GRADE_TORN, "A message is in both files.", "invariant", true);
	story_add_state(s, "9", GRADE_NONE, "A journal was left behind.", "leftovers", false);
	s->states_left_out = 5;
	s->states_recoveries = 8;
	s->states_shown = story_copy("11");
	s->states_total = story_copy("1024");
	return s;
}

struct story *stories_all_texts(const char *text)
{
	struct story *s = begin_story("pp1-0123456789abcdef0123456789abcdef", text, text,
				      GRADE_CORRUPT, text, text);
	static const int involved[] = {1, 0};
	char *line = xasprintf("%s\n", text);

	free(s->title);
	s->title = story_copy(text);
	free(s->model);
	s->model = story_copy(text);
	free(s->model_words);
	s->model_words = story_copy(text);
	free(s->replay);
	s->replay = story_copy(text);
	kv_set(&s->config, text, text);
	story_add_file(s, text, STORY_OTHER);
	story_add_op(s, 1, "create", 0, text, STORY_KEPT)->transaction = 1;
	story_add_write(s, 2, 0, 0, 4096, text, STORY_LOST, 0)->transaction = 1;
	story_add_op(s, 3, "ack", SIZE_MAX, text, STORY_NO_CHANGE);
	s->crash = 3;
	story_add_statement(s, 0, 1, text, text, 1);
	story_add_statement(s, 1, 1, text, text, 0);
	s->statements[1].setting = true;
	story_add_transaction(s, 1, 2, 3, STORY_GONE, text);
	s->crash_words = story_copy(text);
	story_add_decision(s, text, 1, 2, text);
	story_add_recovery(s, text);
	story_add_row(s, text, text, text);
	story_add_row(s, text, NULL, text);
	s->rows_against = story_copy(text);
	story_add_missing(s, text, text, text, false, 2, 3, true);
	s->allowed = story_copy(text);
	story_add_fix(s, text, text, text, text, true);
	s->fixes_words = story_copy(text);
	story_add_state(s, "2", GRADE_CORRUPT, text, text, true);
	story_add_state(s, text, GRADE_CORRUPT, text, text, false);
	s->states_total = story_copy(text);
	s->source_path = story_copy(text);
	story_add_source(s, line, involved);
	free(line);
	return s;
}

struct story *stories_many(size_t count)
{
	struct story *s = begin_story(
	    "pp1-5000", "many@strict-posix", "history", GRADE_TORN, "part of a transaction is gone",
	    "Part of a transaction is gone, and what is left never existed.");
	size_t pending = count * 3 / 4, crash = pending + 120;
	uint64_t began = 1;

	story_add_file(s, "/db/main.db", STORY_DATABASE);
	story_add_file(s, "/db/main.db-wal", STORY_LOG);
	story_add_file(s, "/db/blobs.db", STORY_DATABASE);
	story_add_file(s, "/db", STORY_DIRECTORY);
	for (size_t i = 0; i < count; i++) {
		uint64_t position = i + 1, block_end = (i / 25 + 1) * 25;
		enum story_fate fate = i < pending   ? STORY_DURABLE
				       : i >= crash  ? STORY_AFTER
				       : i % 7 == 0  ? STORY_LOST
				       : i % 11 == 0 ? STORY_TORN
				       : i % 5 == 0  ? STORY_UNASKED
						     : STORY_KEPT;
		char *words = xasprintf("frame %zu, page %zu, leaf of table t", i, i % 97);

		if (i % 25 == 23)
			story_add_op(s, position, "sync-begin", 1, NULL, STORY_NO_CHANGE);
		else if (i % 25 == 24) {
			story_add_op(s, position, "sync-end", 1, NULL, STORY_NO_CHANGE);
		} else if (i % 25 == 22 && s->transaction_count < 2000) {
			story_add_op(s, position, "ack", SIZE_MAX, NULL, STORY_NO_CHANGE);
			story_add_transaction(s, began, position - 1, position,
					      i < pending ? STORY_PRESENT
					      : i < crash ? STORY_PARTLY
							  : STORY_LATER,
					      "inserts 20 rows into t");
			began = position + 3;
		} else {
			struct story_op *op = story_add_write(
			    s, position, i % 4 == 3 ? (i % 8 == 3 ? 2 : 0) : 1, i * 4096, 4096,
			    words, fate, fate == STORY_DURABLE ? block_end : 0);

			op->transaction = s->transaction_count + 1;
			op->parts = 8;
			op->parts_kept = fate == STORY_TORN ? 3 : 0;
		}
		free(words);
	}
	s->crash = crash;
	for (unsigned i = 0; i < 200; i++) {
		struct story_state *state =
		    story_add_state(s, "65536",
				    i < 90    ? GRADE_TORN
				    : i < 150 ? GRADE_CONSISTENT
					      : GRADE_NONE,
				    i < 90    ? "Part of a transaction is gone."
				    : i < 150 ? "A commit is gone."
					      : "All is there.",
				    i < 150 ? "history" : NULL, i == 20);

		for (size_t p = pending; p < crash; p++)
			if (s->ops[p].fate >= STORY_KEPT && s->ops[p].fate <= STORY_UNASKED)
				story_add_fate(state, s->ops[p].position,
					       (p * 31 + i * 17) % 3 == 0 ? STORY_LOST
									  : STORY_KEPT);
	}
	s->states_total = story_copy("13107200");
	return s;
}
