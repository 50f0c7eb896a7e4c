/*
 * The command line: one table of commands and one of options drive the parser, --help, and what
 * the documentation says about them (docs/contract.md, "Commands").
 *
 * Names are matched exactly: an abbreviation that works today is another option tomorrow. Each
 * option belongs to the commands that heed it; given to another it is an error and never ignored.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "faultinject/base/err.h"
#include "harness/judge/history.h"
#include "harness/judge/verdict.h"
#include "harness/scenario/scenario.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	/* --budget Ns; in nanoseconds this still fits 64 bits. */
	OPTIONS_BUDGET_SECONDS_MAX = 1000000000,
	OPTIONS_MODELS_MAX = 64, /* of one --model */
	OPTIONS_JOBS_MAX = 255,
	OPTIONS_TIMEOUT_STANDARD = 300, /* seconds */
	OPTIONS_HELP_WIDTH = 80,	/* columns that --help keeps within */
};

/* In the order that --help shows them: the everyday ones first. */
enum command_id {
	COMMAND_INIT,
	COMMAND_RUN,
	COMMAND_TEST,
	COMMAND_REPLAY,
	COMMAND_EXPLAIN,
	COMMAND_COMPARE,
	COMMAND_SHRINK,
	COMMAND_RECORD,
	COMMAND_EXPLORE,
	COMMAND_TRACE,
	COMMAND_KILL,
	COMMAND_MATRIX,
	COMMAND_MUTATE,
	COMMAND_LIST,
	COMMAND_DOCTOR,
	COMMAND_NONE, /* also how many there are */
};

enum option_id {
	OPTION_JSON,
	OPTION_REPORT,
	OPTION_SEED,
	OPTION_BUDGET,
	OPTION_MODEL,
	OPTION_SET,
	OPTION_REQUIRE,
	OPTION_CASE,
	OPTION_LIST,
	OPTION_SHARD,
	OPTION_SQLITE,
	OPTION_KEEP_GOING,
	OPTION_DEPTH,
	OPTION_JOBS,
	OPTION_RESUME,
	OPTION_REPRESENTATIVE,
	OPTION_ACK,
	OPTION_INVARIANT,
	OPTION_CHECK,
	OPTION_STRACE,
	OPTION_OUTPUT,
	OPTION_TIMEOUT,
	OPTION_MATERIALIZE,
	OPTION_GDB,
	OPTION_SHOW_DATA,
	OPTION_TIMING,
	OPTION_QUIET,
	OPTION_VERBOSE,
	OPTION_COLOR,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_END, /* how many there are */
};

enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* What was asked for. Strings are borrowed from argv unless marked as owned. Where an option is
 * given twice the last one counts, but for --set, which adds. */
struct options {
	enum command_id command; /* COMMAND_NONE only with help or version */
	bool help, version;

	const char **args; /* owned array: what is no option, in order */
	size_t arg_count;
	/* What follows "--" for the commands that run a program: part of argv, ends with NULL. NULL
	 * when there is no "--". */
	char **program;

	const char *json;   /* --json: "-" is stdout; NULL when not given */
	const char *report; /* --report */
	uint64_t seed;	    /* --seed; 1 when not given, at most INT64_MAX (JSON) */
	bool has_seed;
	bool has_budget; /* --budget: one of the next two is above 0 */
	uint64_t budget_seconds;
	uint64_t budget_recoveries; /* for kill: rounds */
	char **models;		    /* owned, copies; --model; NULL when not given */
	size_t model_count;
	struct kv_list set; /* owned; --set; empty when not given */
	bool has_require;
	enum grade require;		   /* --require */
	const char *case_glob;		   /* --case */
	bool list;			   /* --list */
	uint32_t shard_index, shard_count; /* --shard: 1-based; 0/0 when not given */
	const char *sqlite;		   /* --sqlite */
	bool keep_going;      /* --keep-going: go on after a case that ended in error */
	unsigned depth;	      /* --depth; 1 or 2 */
	unsigned jobs;	      /* --jobs; 0 when not given: as many as there are processors */
	const char *resume;   /* --resume */
	bool representative;  /* --representative */
	enum history_ack ack; /* --ack; lock, output or mark */
	bool has_ack;
	const char *check;	  /* --check */
	const char *invariant;	  /* --invariant */
	const char *strace;	  /* --strace */
	const char *output;	  /* --output */
	uint64_t timeout_seconds; /* --timeout; OPTIONS_TIMEOUT_STANDARD when not given */
	const char *materialize;  /* --materialize */
	bool gdb;		  /* --gdb */
	bool show_data;		  /* --show-data */
	bool timing;		  /* --timing */
	bool quiet, verbose;	  /* -q, -v; never both */
	enum color_mode color;	  /* --color */
};

/* Parses argv[1..]. With --help or --version the arguments are not counted. ERR_USAGE with one line
 * that names the option or the command; *ret is untouched then. Not for threads: getopt_long keeps
 * its state in globals. argv is not reordered. */
int options_parse(int argc, char **argv, struct options *ret, struct err *err);
/* Accepts a zeroed struct; argv's strings are not touched. */
void options_release(struct options *options);

/* Whether output to `fd` is to be coloured: as --color says, and with `auto` on a terminal, unless
 * NO_COLOR is set (https://no-color.org) or TERM is "dumb". */
bool options_use_color(const struct options *options, int fd);

struct command_info {
	enum command_id id;
	const char *name;
	const char *usage;   /* what follows the name: "[options] PATH..." */
	const char *summary; /* for the list of commands */
	const char *about;   /* for its own page: paragraphs, line breaks mean nothing but "\n\n" */
	const char *examples; /* a line each; "# " begins an explanation */
	bool everyday;
	bool program;		 /* runs a program: "-- CMD..." */
	size_t arg_min, arg_max; /* SIZE_MAX: any number; not counting "-- CMD..." */
	const char *arg_name;	 /* for messages: "PATH" */
};

struct option_info {
	const char *name;     /* long name without dashes */
	char short_name;      /* or 0 */
	const char *argument; /* "FILE"; NULL: takes none */
	const char *help;     /* a sentence */
	unsigned commands;    /* bit 1 << command_id for each command that heeds it */
};

/* The rows of the two tables; static. */
const struct command_info *options_command(enum command_id id);
const struct option_info *options_option(enum option_id id);
/* Calls fn once a command or option, in the order of --help. */
void options_each_command(void (*fn)(void *ctx, const struct command_info *command), void *ctx);
void options_each(void (*fn)(void *ctx, const struct option_info *option), void *ctx);
/* Whether the command heeds the option. With COMMAND_NONE: whether it also stands without one. */
bool options_applies(const struct option_info *option, enum command_id command);

/* The page of a command, or with COMMAND_NONE the front page; within OPTIONS_HELP_WIDTH columns. */
void options_print_help(FILE *out, enum command_id command);

#endif
