/*
 * The result of a run: what reports render. Plain data, owned by whoever holds the struct; names
 * and meaning are those of docs/contract.md ("JSON").
 */
#ifndef CASE_RESULT_H
#define CASE_RESULT_H

#include "harness/case/story.h"
#include "harness/judge/verdict.h"
#include "harness/scenario/scenario.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CASE_VERDICTS(X)                                                                           \
	X(CASE_HELD, "held")                                                                       \
	X(CASE_VIOLATED, "violated")                                                               \
	X(CASE_INCONCLUSIVE, "inconclusive")                                                       \
	X(CASE_ERROR, "error")                                                                     \
	X(CASE_SKIPPED, "skipped")

enum case_verdict {
#define X(name, text) name,
	CASE_VERDICTS(X)
#undef X
};

const char *case_verdict_text(enum case_verdict verdict);

/* What a line of plugpull.waivers says of a violation (waivers.h). */
struct result_waiver {
	char *allowed, *until, *reason;
	uint64_t line;
};

struct result_violation {
	char *oracle;
	enum grade grade; /* GRADE_NONE is null */
	char *message;
	char *token;
	struct story *story;	      /* owned; NULL: it was not built */
	struct result_waiver *waived; /* owned; NULL: it counts */
};

struct result_not_applicable {
	char *oracle, *reason;
};

/* A sync that is missing (harness/lint/lint.h). */
struct result_lint {
	char *rule, *message;
	uint64_t count; /* how often */
};

#define MUTATIONS(X)                                                                               \
	X(MUTATION_CAUGHT, "caught")                                                               \
	X(MUTATION_REDUNDANT, "redundant")                                                         \
	X(MUTATION_MISSED, "missed")

enum result_mutation {
#define X(name, text) name,
	MUTATIONS(X)
#undef X
};

const char *result_mutation_text(enum result_mutation result);

/* `mutate`: a change that a run should notice (harness/drive/mutate.h). */
struct result_mutant {
	char *name;
	const char *kind; /* static: "sync" or "defect" */
	enum result_mutation result;
	bool overlisted; /* caught, and the scenario lists it as redundant */
	uint64_t recoveries;
	char *found; /* what was found; NULL where it was not caught */
};

struct result_score {
	uint64_t caught, missed, redundant;
};

struct case_result {
	char *id;
	char *scenario; /* path of the file, as in the id */
	char *file;	/* the scenario's path from the current folder; NULL: there is none */
	char *title;	/* @scenario text, for people */
	char *model;	/* NULL is null (kill) */
	struct kv_list config;
	enum case_verdict verdict;
	char *reason;	  /* NULL is null */
	enum grade grade; /* GRADE_NONE is null */
	enum grade required;
	bool has_required; /* false is null: @expect decides alone */
	enum grade expected;
	bool has_expected;
	bool exhaustive;
	bool representative; /* states were collapsed to representatives: never exhaustive */
	bool represented;    /* ... and those of every crash point were all explored */
	uint64_t crash_points, recoveries;
	char *states; /* exact decimal string; NULL is null */
	uint64_t commits;
	uint64_t lost_acked_max;
	bool has_sampled; /* --check: states that were shown to the command */
	uint64_t sampled;
	bool has_rounds; /* kill: "rounds" instead of crash points' meaning */
	uint64_t rounds;
	bool has_program_exit; /* test */
	int program_exit;      /* of the program: 0..255, or 128 + signal */
	struct result_not_applicable *not_applicable;
	size_t not_applicable_count, not_applicable_cap;
	struct result_violation *violations;
	size_t violation_count, violation_cap;
	struct result_lint *lint; /* what the barrier lint says of the trace */
	size_t lint_count, lint_cap;
	bool mutated; /* mutants were made: there is a score */
	struct result_mutant *mutants;
	size_t mutant_count, mutant_cap;
	char **notes; /* lines for people (a label such as "explored under another sector size") */
	size_t note_count, note_cap;
	double seconds; /* shown only with --timing */
};

struct result {
	const char *command; /* static */
	/* The command line that makes this result again, and the program behind it (" -- CMD...",
	 * or
	 * ""); for pages, and not in the JSON. NULL: not known. */
	char *again, *again_program;
	uint64_t seed;
	char *sqlite_version, *sqlite_source_id;
	struct case_result *cases; /* owned */
	size_t case_count, case_cap;
	bool timing;
	bool has_program_exit; /* test: the program's, as in the cases */
	int program_exit;
	bool interrupted; /* ended by SIGINT: known so far */
	bool hides;	  /* a planted defect: JUnit leaves a violation out */
};

void result_init(struct result *r, const char *command, uint64_t seed);
void result_release(struct result *r);
/* Appends an empty case (grade and required GRADE_NONE, verdict CASE_ERROR) and returns it; the
 * pointer is valid until the next call. */
struct case_result *result_add(struct result *r);
void case_result_violation(struct case_result *c, const char *oracle, enum grade grade,
			   const char *message, const char *token);
/* The violation counts no more; texts are copied. It has none yet. */
void result_violation_waive(struct result_violation *v, const char *allowed, const char *until,
			    const char *reason, uint64_t line);
size_t case_result_waived(const struct case_result *c); /* how many violations are */
void case_result_not_applicable(struct case_result *c, const char *oracle, const char *reason);
void case_result_lint(struct case_result *c, const char *rule, const char *message, uint64_t count);
/* `name` and `found` (may be NULL) are copied. */
void case_result_mutant(struct case_result *c, const char *name, const char *kind,
			enum result_mutation result, bool overlisted, uint64_t recoveries,
			const char *found);
struct result_score case_result_score(const struct case_result *c);
/* Of all cases. */
struct result_score result_score(const struct result *r);
bool result_mutated(const struct result *r); /* some case was */
void case_result_note(struct case_result *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* error wins over violated over inconclusive over held; all skipped, or none, is inconclusive. */
enum case_verdict result_verdict(const struct result *r);
/* 0, 1, 3, 4 (docs/contract.md, "Exit codes"); 130 when interrupted. */
int result_exit_code(const struct result *r);

#endif
