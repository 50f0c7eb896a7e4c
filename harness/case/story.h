/*
 * The story of a case: what happened around one crash, in the words of SQLite's file formats, as
 * plain data. It is what reports know of a trace: `explain` prints one, the HTML page draws it.
 * harness/explain/ builds it, out of a case file and nothing else, so that it is the same story on
 * every machine.
 *
 * Row values appear as type, size and hash unless the story was asked to show data; so do literals
 * in SQL that was seen in somebody's program.
 *
 * Everything is owned by the struct. Texts are one line each, UTF-8, of whatever bytes the files
 * had: whoever shows one escapes it. A position is that of an operation in the trace, from 1; 0 is
 * none. A text that is NULL is not known, or there is nothing to say.
 */
#ifndef CASE_STORY_H
#define CASE_STORY_H

#include "faultinject/base/err.h"
#include "harness/judge/verdict.h"
#include "harness/scenario/scenario.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	STORY_FORMAT = 1,
	STORY_OPS_MAX = 20000,	 /* operations, around the crash; others are counted */
	STORY_STATES_MAX = 256,	 /* crash states of the slider; others are counted */
	STORY_ROWS_MAX = 100,	 /* rows that differ; others are counted */
	STORY_TEXT_MAX = 4096,	 /* bytes of one text */
	STORY_SOURCE_MAX = 1000, /* lines of a scenario */
	STORY_MISSING_MAX = 10,	 /* places of one rule; others are counted */
};

/* A lane of the timeline. */
#define STORY_ROLES(X)                                                                             \
	X(STORY_DATABASE, "database")                                                              \
	X(STORY_JOURNAL, "journal")                                                                \
	X(STORY_LOG, "log")                                                                        \
	X(STORY_SUPER_JOURNAL, "super-journal")                                                    \
	X(STORY_DIRECTORY, "directory")                                                            \
	X(STORY_OTHER, "other")

enum story_role {
#define X(name, text) name,
	STORY_ROLES(X)
#undef X
};

struct story_file {
	char *path;
	enum story_role role;
};

/* What became of an operation in the crash state. */
#define STORY_FATES(X)                                                                             \
	X(STORY_DURABLE, "durable") /* a sync had covered it: it cannot be lost */                 \
	X(STORY_KEPT, "kept")	    /* pending, and on the disk */                                 \
	X(STORY_LOST, "lost")	    /* pending, and not on the disk */                             \
	X(STORY_TORN, "torn")	    /* pending, and partly on the disk */                          \
	X(STORY_DAMAGED, "damaged") /* was on the disk, and a write beside it damaged it */        \
	X(STORY_UNASKED, "unasked") /* pending, and nobody looked: the state stands for both */    \
	X(STORY_AFTER, "after")	    /* after the crash: never happened */                          \
	X(STORY_NO_CHANGE, "none")  /* changes no file: a sync, an acknowledgement, a note */

enum story_fate {
#define X(name, text) name,
	STORY_FATES(X)
#undef X
};

/* Locks are left out: they say nothing about a disk. */
struct story_op {
	uint64_t position;
	const char *kind; /* static: the word of op.h */
	size_t file;	  /* index into files; SIZE_MAX: none */
	uint16_t process, thread, connection;
	uint64_t offset, size;
	char *words;	    /* "page 5, leaf of table orders"; "frame 17, page 5, commit" */
	size_t transaction; /* index + 1; 0: of none */
	enum story_fate fate;
	uint32_t parts, parts_kept; /* sectors of a write, and how many of them are on the disk */
	uint64_t synced_by;  /* position of the end of the sync that made it durable, if any did */
	uint64_t damaged_by; /* the write that damaged it, where one did */
	bool failed;	     /* a sync that failed */
};

/* A statement that was seen when it was run (trace.h, notes). */
struct story_statement {
	uint64_t position; /* of the last operation before it */
	uint16_t process, connection;
	char *source; /* "orders.sql:6"; NULL */
	char *sql;
	size_t transaction; /* index + 1; 0: of none that wrote */
	/* What its connection does behind this operation is not its doing: another statement, or
	 * none (closing the connection). */
	uint64_t until;
	bool setting; /* a PRAGMA that decides what is durable, on a connection that lost by it */
};

#define STORY_PRESENCE(X)                                                                          \
	X(STORY_PRESENT, "present")                                                                \
	X(STORY_GONE, "gone")                                                                      \
	X(STORY_PARTLY, "partly")   /* in some of its files only */                                \
	X(STORY_UNKNOWN, "unknown") /* what was found is no state of the run */                    \
	X(STORY_LATER, "later")	    /* it began after the crash */

enum story_presence {
#define X(name, text) name,
	STORY_PRESENCE(X)
#undef X
};

struct story_transaction {
	size_t number; /* as messages call it, from 1 */
	uint16_t process, connection;
	uint64_t begin, first_write, end, ack;
	bool committed;
	bool acked; /* by the moment of the crash */
	enum story_presence presence;
	char *changes; /* "inserts 1 row into orders"; NULL */
	/* The story is about it: it is gone or in pieces, or an invariant does not hold between it
	 * and another such one. */
	bool wrong;
};

/* A question that recovery asked the disk, and what it was told. */
struct story_decision {
	char *question;	     /* as `replay` has it */
	uint32_t answer, of; /* 0 is the newest of so many */
	char *words;	     /* "main.db-journal: still there" */
};

/* A row that is not as it should be, or another fact about the content. */
struct story_row {
	char *where;	/* "table orders, rowid 2" */
	char *expected; /* NULL: it should not be there */
	char *found;	/* NULL: it is not there */
};

/* Does a re-run with the syncs of a rule, and no others, find this violation no more? In JSON true,
 * false, null. */
enum story_matters {
	STORY_MATTERS_UNKNOWN, /* not tried to the end, or something else hides it */
	STORY_MATTERS_NOT,
	STORY_MATTERS,
};

/* A sync that is missing, at one place. The places of one rule stand together, the one that the
 * first lost transaction needs first. */
struct story_missing {
	char *rule; /* of the lint, or NULL */
	char *message;
	char *target; /* the file or directory that is not synced */
	bool directory;
	uint64_t after, before; /* positions: it would have to be between the two */
	enum story_matters matters;
	bool together; /* ... and with the syncs of all rules it does not, with no rule's alone */
};

/* What would fix it, proved by running again. */
struct story_fix {
	char *what;    /* "synchronous=extra instead of full" */
	char *where;   /* "orders.sql:2"; NULL */
	char *proof;   /* "18 crash points, 204 states, exhaustive: held durable" */
	char *command; /* that shows it; NULL */
	bool fixed;    /* nothing is lost any more; otherwise it is only better */
};

/* What some of the explorer's runs at the crash point have in common: what was found, and the fates
 * of the pending operations. It stands for `count` states. */
struct story_state {
	char *count;	  /* exact decimal */
	enum grade grade; /* GRADE_NONE: outside the scale, or nothing objected */
	char *outcome;	  /* in a sentence: what was found */
	char *oracle;	  /* NULL: nothing objected */
	bool this_one;	  /* that of the case */
	/* Fates of the pending operations: pairs, in order of position. */
	struct story_state_fate {
		uint64_t position;
		enum story_fate fate;
	} * fates;
	size_t fate_count, fate_cap;
};

/* A line of the scenario. */
struct story_line {
	char *text;
	/* A statement of a transaction that is wrong, or that comes next on its connection and
	 * would have put it right; or a setting that allows it. */
	bool involved;
};

struct story {
	char *token, *id, *title, *model; /* title and token may be NULL */
	char *model_words;		  /* what that model says, in a sentence */
	struct kv_list config;
	char *oracle;
	enum grade grade;
	char *message; /* the finding */
	char *verdict; /* the whole case in one sentence for somebody who has never seen one */
	char *replay;  /* the command that shows it again */
	char *sqlite, *plugpull; /* versions */

	struct story_file *files;
	size_t file_count, file_cap;
	struct story_op *ops; /* ascending positions */
	size_t op_count, op_cap;
	uint64_t ops_left_out; /* storage operations that are not in `ops` */
	struct story_statement *statements;
	size_t statement_count, statement_cap;
	struct story_transaction *transactions;
	size_t transaction_count, transaction_cap;

	uint64_t crash; /* it comes after this operation */
	bool cut;	/* ... which was cut after cut_bytes */
	uint64_t cut_bytes;
	uint64_t promise;  /* what had been promised by this operation counts */
	uint64_t again;	   /* a second crash, after so many operations of the recovery; 0: none */
	char *crash_words; /* "power fails after the journal was deleted, before ..." */

	struct story_decision *decisions;
	size_t decision_count, decision_cap;
	char **recovery; /* what recovery read, decided and did, a sentence each */
	size_t recovery_count, recovery_cap;

	struct story_row *rows;
	size_t row_count, row_cap;
	uint64_t rows_left_out;
	bool show_data;	    /* values are shown as they are, not as type, size and hash */
	char *rows_against; /* which state of the run the rows are held against */

	struct story_missing *missing;
	size_t missing_count, missing_cap;
	uint64_t missing_left_out; /* places of the run that need the same sync and are not in it */
	char *allowed;		   /* the setting that allows it, in a sentence */
	struct story_fix *fixes;
	size_t fix_count, fix_cap;
	char *fixes_words; /* what was tried, and that nothing else helped */

	struct story_state *states;
	size_t state_count, state_cap;
	char *states_total;	    /* of the crash point, exact decimal */
	char *states_shown;	    /* that those in `states` stand for, exact decimal */
	uint64_t states_recoveries; /* runs of the explorer at the crash point */
	uint64_t states_left_out;   /* of them, those that are not in `states` */

	char *source_path; /* the scenario, as it was given; NULL: there is none */
	struct story_line *source;
	size_t source_count, source_cap;
};

struct story *story_create(void);
void story_free(struct story *s); /* accepts NULL */

const char *story_role_text(enum story_role role);
const char *story_fate_text(enum story_fate fate);
const char *story_presence_text(enum story_presence presence);

/* Keys as the fields are named; lists without their counts; NULL and 0 positions are null; see
 * docs/story.md. The caller owns the results. Reading checks every type and bound (a process that
 * crashed may have sent it): ERR_INPUT. */
json_t *story_to_json(const struct story *s);
int story_from_json(const json_t *json, struct story **ret_story, struct err *err);

#endif
