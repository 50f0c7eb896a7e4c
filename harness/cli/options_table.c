/*
 * The table of commands and the table of options, and --help, which is rendered from nothing else;
 * see options.h. The parser is options.c.
 */
#include "harness/cli/options.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/record/strace.h"

#include <string.h>

#define BIT(command) (1u << (command))
#define CASES	     (BIT(COMMAND_RUN) | BIT(COMMAND_KILL) | BIT(COMMAND_MATRIX) | BIT(COMMAND_MUTATE))
#define EXPLORES_ONE (BIT(COMMAND_TEST) | BIT(COMMAND_EXPLORE))
#define RUNS	     (CASES | EXPLORES_ONE)
#define EXPLORES     (BIT(COMMAND_RUN) | BIT(COMMAND_MATRIX) | EXPLORES_ONE)
#define PROGRAMS     (BIT(COMMAND_TEST) | BIT(COMMAND_RECORD))
#define ONE_CASE     (BIT(COMMAND_REPLAY) | BIT(COMMAND_EXPLAIN) | BIT(COMMAND_SHRINK))
#define RESULTS	     (RUNS | ONE_CASE)
#define ALL	     (BIT(COMMAND_NONE) - 1u)

static const struct command_info commands[] = {
    {COMMAND_INIT, "init", "[DIR]", "a first scenario and steps for CI, for a project",
     "Writes a first scenario and steps for CI into a project, here or in DIR: "
     "durability/first.sql, "
     ".github/workflows/durability.yml and durability/gitlab-ci.yml. The scenario holds on the "
     "first "
     "run; from there on it is yours. Nothing that exists is replaced: where one of the files is "
     "there, none is written.",
     "# in the project's folder; then: plugpull run durability/\n"
     "plugpull init\n"
     "# from elsewhere\n"
     "plugpull init ../project\n",
     true, false, 0, 1, "DIR"},
    {COMMAND_RUN, "run", "[options] PATH...", "cover every power-loss state of scenarios",
     "Records the workload of each scenario, recovers from every state that a power loss could "
     "have left, and says what would be lost. A PATH is a scenario file, or a folder whose .sql "
     "files are all run, in sorted order.\n\n"
     "Without @require in the scenario a case has to be `durable`.",
     "# all scenarios, with a report for CI\n"
     "plugpull run scenarios/ --report out\n"
     "# one scenario, with another setting and a lower bar\n"
     "plugpull run bank.sql --set synchronous=normal --require consistent\n"
     "# the second of four machines\n"
     "plugpull run scenarios/ --shard 2/4 --json part2.json\n",
     true, false, 1, SIZE_MAX, "PATH"},
    {COMMAND_TEST, "test", "[options] -- CMD...", "what would a power loss cost this program?",
     "Runs a program as it is, records what it does to its SQLite databases, and covers every "
     "state that a power loss could have left at any moment. No configuration: the databases are "
     "those that the program opens, and the recorded run itself tells the legal states.\n\n"
     "A commit counts as promised when SQLite lets go of its write lock. The program's output goes "
     "to stderr. Unless --require says otherwise the program has to be `consistent`.\n\n"
     "The program is watched through LD_PRELOAD. For one that is statically linked, or setuid, "
     "see `plugpull trace --help`.",
     "# a verdict about a program that we have never seen\n"
     "plugpull test -- python3 app.py\n"
     "# it must keep every commit, on an ext4 disk\n"
     "plugpull test --require durable --model ext4-ordered -- ./app --port 8080\n",
     true, true, 0, 0, "-- CMD"},
    {COMMAND_REPLAY, "replay", "[options] CASE", "show one failing state again",
     "Builds the crash state of a violation once more and recovers from it. CASE is the token that "
     "a report names, or a .ppcase file, which holds everything needed on any machine.",
     "# a token, looked up in .plugpull/cases\n"
     "plugpull replay pp1-a256641c9e6c13c893249b48b851ff90\n"
     "# a case file out of somebody else's report\n"
     "plugpull replay -v out/cases/pp1-a256641c9e6c13c893249b48b851ff90.ppcase\n",
     true, false, 1, 1, "CASE"},
    {COMMAND_EXPLAIN, "explain", "[options] CASE", "the story of one failing state",
     "Tells what happened, in the words of SQLite's file formats: which transaction was lost or "
     "damaged, what each write around the crash was and whether the disk kept it, what recovery "
     "read and decided, which rows are wrong, which sync is missing or which setting allows it, "
     "and what would fix it, where running it again proves that it does. CASE is a token or a "
     ".ppcase file.",
     "# why was that commit lost?\n"
     "plugpull explain pp1-a256641c9e6c13c893249b48b851ff90\n"
     "# the same as a page for a browser\n"
     "plugpull explain pp1-a256641c9e6c13c893249b48b851ff90 --report out\n",
     true, false, 1, 1, "CASE"},
    {COMMAND_COMPARE, "compare", "[options] BASE NEW", "what got worse since the last release?",
     "Compares two results, each a report folder or a file of --json, case by case: what got "
     "worse, "
     "got better, appeared and disappeared. A case that is gone counts as worse unless it was "
     "skipped, and a new one when it does not hold. Ends with 1 when something is worse. "
     "docs/ci.md has the rules.",
     "# the release against the last one\n"
     "plugpull compare last/result.json out\n"
     "# only what is worse\n"
     "plugpull compare -q durability/base.json out\n",
     true, false, 2, 2, "BASE and NEW"},
    {COMMAND_SHRINK, "shrink", "[options] CASE", "the smallest case that fails in the same way",
     "Takes statements, clients, rows, settings and lost writes away from a failing case as long "
     "as the same oracle finds the same grade, and ends where taking away any one thing more makes "
     "it pass or fail in another way. The disk model, journal_mode and synchronous stay: they say "
     "which failure it is. What is left is a case file of its own, and a scenario to save and run; "
     "of a recording, a shorter trace. CASE is a token or a .ppcase file.\n\n"
     "Ends with 0 when it is minimal, with 4 when it may not be (without --budget after 200,000 "
     "recoveries), with 1 when the case does not fail any more.",
     "# what is it about?\n"
     "plugpull shrink pp1-a256641c9e6c13c893249b48b851ff90\n"
     "# the new token alone, for a script\n"
     "plugpull shrink -q out/cases/pp1-a256641c9e6c13c893249b48b851ff90.ppcase\n",
     false, false, 1, 1, "CASE"},
    {COMMAND_RECORD, "record", "-o TRACE -- CMD...", "record what a program does to its databases",
     "Runs a program as it is and writes what it did to its SQLite databases into a trace, for "
     "`explore`. It ends with 0 when a trace was written, whatever the program's exit status was, "
     "which it says on stderr.",
     "# record once, explore as often as you like\n"
     "plugpull record -o app.trace -- python3 app.py\n"
     "# a server, for ten seconds\n"
     "plugpull record -o app.trace --timeout 10s -- ./server\n",
     false, true, 0, 0, "-- CMD"},
    {COMMAND_EXPLORE, "explore", "[options] TRACE", "cover every power-loss state of a trace",
     "Does what `run` does, for a workload that was recorded before.\n\n"
     "TRACE is a trace file, or a case file or token, whose trace is then explored again. "
     "The recorded run tells the legal states. Unless --require says otherwise the trace has to be "
     "`consistent`.",
     "# what could a power loss have left behind?\n"
     "plugpull explore app.trace\n"
     "# on another disk, for five seconds at most\n"
     "plugpull explore app.trace --model process-crash --budget 5s\n",
     false, false, 1, 1, "TRACE"},
    {COMMAND_TRACE, "trace", "show|stat TRACE | import --strace FILE -o TRACE",
     "print a trace, or make one of strace's output",
     "`show` prints a recorded trace as text, an operation a line. `stat` counts what is in it. A "
     "torn end is cut at the last whole operation, and said.\n\n"
     "`import` makes a trace of what strace wrote about a program: for those that `record` cannot "
     "see into. It needs the options of strace that stand below; -v as well where the program "
     "writes to $PLUGPULL_MARK. A database that existed before has to be read by something under "
     "the same strace, since strace shows no more of it than that.",
     "# every write and sync, in order\n"
     "plugpull trace show app.trace\n"
     "# how many of each\n"
     "plugpull trace stat app.trace\n"
     "# a statically linked program\n" STRACE_COMMAND " \\\n" STRACE_FILTER " \\\n"
     "-o app.strace ./app\n"
     "plugpull trace import --strace app.strace -o app.trace\n"
     "# the same, with a database that is there already\n"
     "strace ... -o app.strace sh -c 'cksum app.db; exec ./app'\n",
     false, false, 1, 2, "show|stat TRACE, or import"},
    {COMMAND_KILL, "kill", "[options] PATH | -- CMD...", "SIGKILL real writers, reopen, check",
     "Runs a scenario's clients as real processes on real files, with readers and a checkpointer "
     "beside them, kills them at chosen moments, some of them with a power cut, "
     "reopens the database and checks it. That samples; only `run` proves.\n\n"
     "With -- CMD the writer is any program: started, killed, checked and started again, its data "
     "growing from round to round, with a fresh start every 10 rounds. Two cases: after a kill "
     "nothing that was promised may be missing; after a power cut at that moment the databases "
     "have to be `consistent`, as `test` asks.\n\n"
     "The program works on its own databases, where it keeps them. They are put back as they were "
     "before the first run, also after Ctrl-C; until then copies are in "
     "plugpull-kill-originals/, with a script for the case that plugpull itself is killed. Other "
     "files that the program writes stay as its last run, killed, left them: where that matters, "
     "use a copy. Nobody else may have the databases open.",
     "# two hundred rounds of another seed\n"
     "plugpull kill bank.sql --budget 200r --seed 7\n"
     "# a program that we have never seen\n"
     "plugpull kill --budget 200r -- python3 app.py\n",
     false, true, 1, 1, "PATH, or a program behind --"},
    {COMMAND_MATRIX, "matrix", "[options] PATH...", "what each journal mode keeps, as a table",
     "Runs scenarios with every journal_mode at every level of synchronous, on each disk model, "
     "and "
     "prints a table of grades for each model, with the most acknowledged commits that one crash "
     "loses; then, for each cell that loses something, its worst finding and how to see it again. "
     "The scenario's own values of the two settings are replaced.\n\n"
     "A matrix shows and does not judge: @require and @expect are passed over, and it ends with 0 "
     "when every cell was explored, with 4 when a budget ended some. With --require it ends with 1 "
     "when a cell is below.",
     "# what would other settings have kept?\n"
     "plugpull matrix bank.sql\n"
     "# on three disks, as JSON\n"
     "plugpull matrix bank.sql --model strict-posix,xfs,lying-disk --json out.json\n"
     "# the row of one journal mode\n"
     "plugpull matrix bank.sql --set journal_mode=wal\n",
     false, false, 1, SIZE_MAX, "PATH"},
    {COMMAND_MUTATE, "mutate", "[options] PATH...", "does a run notice what it should?",
     "Runs each scenario, then leaves out each sync and directory sync of its recorded trace in "
     "turn, as if the program had forgotten it, and plants each known defect (`plugpull list "
     "defects`). A mutant is `caught` when a state is found that is worse than all of the sound "
     "run, and `redundant` when all of its states were covered and none is: a sync that one could "
     "do without, under this disk model and for this workload. A scenario that lists its redundant "
     "mutants with @redundant fails when another one is not noticed: it was `missed`.\n\n"
     "Ends with 1 when something was missed, or when a mutant that is listed was caught.",
     "# would anything notice a forgotten sync?\n"
     "plugpull mutate bank.sql\n"
     "# the names of the mutants, for @redundant\n"
     "plugpull mutate bank.sql -v\n",
     false, false, 1, SIZE_MAX, "PATH"},
    {COMMAND_LIST, "list", "scenarios|models|defects [PATH...]", "what there is to choose from",
     "`models` lists the disk models, `defects` the defects that a scenario can plant with `-- "
     "@plant "
     "NAME`, `scenarios` the "
     "scenario files below each PATH with what they show.",
     "# which disks can be simulated?\n"
     "plugpull list models\n"
     "# what do these scenarios show?\n"
     "plugpull list scenarios scenarios/\n",
     false, false, 1, SIZE_MAX, "scenarios, models or defects"},
    {COMMAND_DOCTOR, "doctor", "[options]", "can this machine run everything?",
     "Checks what plugpull needs from this machine, a line each, and says how to get what is "
     "missing.",
     "# before the first run\n"
     "plugpull doctor\n"
     "# does another SQLite work?\n"
     "plugpull doctor --sqlite /opt/sqlite/libsqlite3.so\n",
     false, false, 0, 0, "argument"},
};

static const struct option_info table[] = {
    [OPTION_JSON] = {"json", 0, "FILE", "Write the result as JSON; - is stdout.",
		     RESULTS | BIT(COMMAND_COMPARE)},
    [OPTION_REPORT] = {"report", 0, "DIR",
		       "Write a report into DIR: index.html, result.json, junit.xml, summary.md, "
		       "annotations.txt and the case files. DIR is replaced if it is a report.",
		       RUNS | BIT(COMMAND_EXPLAIN)},
    [OPTION_SEED] = {"seed", 0, "N", "Draw everything random from this seed (default 1).", RUNS},
    [OPTION_BUDGET] = {"budget", 0, "60s|5000r",
		       "Stop after this many seconds, or recoveries (for `kill`: rounds). What was "
		       "not covered then makes the case inconclusive; `explain` stops trying "
		       "what would fix it, `shrink` ends with what it has.",
		       RUNS | BIT(COMMAND_EXPLAIN) | BIT(COMMAND_SHRINK)},
    [OPTION_MODEL] = {"model", 0, "A,B", "Disk models, instead of those of @models.",
		      EXPLORES | BIT(COMMAND_MUTATE) | BIT(COMMAND_KILL)},
    [OPTION_SET] =
	{"set", 0, "KEY=VALUE",
	 "Set a pragma, or model.KEY or workload.KEY; on an axis of @matrix, pick a value. May be "
	 "repeated.",
	 RUNS},
    [OPTION_REQUIRE] = {"require", 0, "GRADE",
			"The lowest grade that holds: durable, consistent, torn or corrupt. "
			"Replaces @require, never "
			"@expect.",
			RUNS},
    [OPTION_CASE] = {"case", 0, "GLOB", "Only cases whose id matches.", CASES},
    [OPTION_LIST] = {"list", 0, NULL, "Print the case ids and run nothing.", CASES},
    [OPTION_SHARD] = {"shard", 0, "I/N",
		      "Only the I-th of N parts, chosen by a stable hash of the case id.", CASES},
    [OPTION_SQLITE] = {"sqlite", 0, "PATH", "Another libsqlite3.so.",
		       RESULTS | BIT(COMMAND_DOCTOR)},
    [OPTION_KEEP_GOING] =
	{"keep-going", 0, NULL,
	 "Go on with the remaining cases after one that ended in error. Without it the first error "
	 "ends the run; violations never do.",
	 CASES},
    [OPTION_DEPTH] = {"depth", 0, "1|2",
		      "How many crashes in a row: 1 is a crash of the workload; 2 is also a second "
		      "one, at every "
		      "moment of the recovery from the first.",
		      EXPLORES},
    [OPTION_JOBS] = {"jobs", 0, "N",
		     "How many workers explore (default: one for each processor). The result does "
		     "not depend on "
		     "it. Each takes 900 MB at most, mostly below 30 MB."
		     " See docs/explorer.md.",
		     EXPLORES | BIT(COMMAND_KILL) | BIT(COMMAND_EXPLAIN) | BIT(COMMAND_SHRINK)},
    [OPTION_RESUME] = {"resume", 0, "FILE",
		       "Keep finished crash points in FILE, and take from it those that an earlier "
		       "run with the same "
		       "inputs finished: for runs that are interrupted, or have a budget.",
		       EXPLORES | BIT(COMMAND_KILL)},
    [OPTION_REPRESENTATIVE] = {"representative", 0, NULL,
			       "Decide the sectors of one read together: far fewer states, and "
			       "some are left out. A case is "
			       "then never exhaustive.",
			       EXPLORES},
    [OPTION_ACK] = {"ack", 0, "lock|output|mark",
		    "What promises that a commit is kept: `lock`, that SQLite let go of its write "
		    "lock; `output`, "
		    "whatever the program wrote to a terminal, pipe or socket; `mark`, the `ack` "
		    "lines that it "
		    "wrote to $PLUGPULL_MARK. The last two promise all that was committed before.",
		    EXPLORES_ONE | BIT(COMMAND_KILL)},
    [OPTION_INVARIANT] = {"invariant", 0, "FILE.sql",
			  "Queries that must return no row, in every legal state and after every "
			  "recovery: each with "
			  "`-- @invariant \"TEXT\"` before it, or named by its first line. -- "
			  "@open and -- @load as in "
			  "a "
			  "scenario.",
			  EXPLORES_ONE | BIT(COMMAND_KILL)},
    [OPTION_CHECK] =
	{"check", 0, "CMD",
	 "A shell command that looks at crash states itself, for programs whose files are not only "
	 "SQLite's: run in a folder ($PLUGPULL_STATE) with the files of one state, and with what "
	 "the "
	 "program had written by then on stdin ($PLUGPULL_OUTPUT). 0 is fine. It sees a sample of "
	 "the "
	 "states.",
	 EXPLORES_ONE},
    [OPTION_STRACE] = {"strace", 0, "FILE", "What strace wrote.", BIT(COMMAND_TRACE)},
    [OPTION_OUTPUT] = {"output", 'o', "TRACE", "Where the trace goes.",
		       BIT(COMMAND_RECORD) | BIT(COMMAND_TRACE)},
    [OPTION_TIMEOUT] = {"timeout", 0, "300s",
			"End the program when it runs longer. What it did until then counts; the "
			"verdict of `test` is "
			"at best inconclusive. Standard: 300s.",
			PROGRAMS | BIT(COMMAND_KILL)},
    [OPTION_MATERIALIZE] =
	{"materialize", 0, "DIR",
	 "Lay out the files as the crash left them and as recovery left them, with "
	 "a note what to look at, in the new folder DIR.",
	 BIT(COMMAND_REPLAY)},
    [OPTION_GDB] = {"gdb", 0, NULL, "Run under gdb, and stop at the operation before the crash.",
		    BIT(COMMAND_REPLAY)},
    [OPTION_SHOW_DATA] = {"show-data", 0, NULL,
			  "Show row values in messages; otherwise their types, sizes and hashes.",
			  RESULTS},
    [OPTION_TIMING] = {"timing", 0, NULL,
		       "Show seconds; reports are then no longer the same every time.",
		       RESULTS & ~BIT(COMMAND_EXPLAIN)},
    [OPTION_QUIET] = {"quiet", 'q', NULL, "Show only what failed; of `shrink` the new token alone.",
		      RESULTS | BIT(COMMAND_COMPARE)},
    [OPTION_VERBOSE] =
	{"verbose", 'v', NULL,
	 "Show every violation, of held controls too; of `shrink` all that was tried.", RESULTS},
    [OPTION_COLOR] = {"color", 0, "WHEN", "auto, always or never (default auto: on a terminal).",
		      RESULTS | BIT(COMMAND_COMPARE)},
    [OPTION_VERSION] = {"version", 0, NULL,
			"Print the version, and SQLite's at build and at run time.", ALL},
    [OPTION_HELP] = {"help", 'h', NULL, "Print this.", ALL},
};

_Static_assert(sizeof table / sizeof table[0] == OPTION_END, "a row for each option");
_Static_assert(sizeof commands / sizeof commands[0] == COMMAND_NONE, "a row for each command");

const struct command_info *options_command(enum command_id id)
{
	ASSERT_OP(id, <, COMMAND_NONE);
	ASSERT_OP(commands[id].id, ==, id);
	return &commands[id];
}

const struct option_info *options_option(enum option_id id)
{
	ASSERT_OP(id, <, OPTION_END);
	return &table[id];
}

void options_each_command(void (*fn)(void *ctx, const struct command_info *command), void *ctx)
{
	for (unsigned i = 0; i < COMMAND_NONE; i++)
		fn(ctx, options_command((enum command_id)i));
}

void options_each(void (*fn)(void *ctx, const struct option_info *option), void *ctx)
{
	for (unsigned i = 0; i < OPTION_END; i++)
		fn(ctx, options_option((enum option_id)i));
}

bool options_applies(const struct option_info *option, enum command_id command)
{
	if (command == COMMAND_NONE)
		return option->commands == ALL;
	return (option->commands & BIT(command)) != 0;
}

/* Prints words from column `column` on, which the cursor has reached, breaking lines before
 * OPTIONS_HELP_WIDTH; a blank line where the text has one. Ends the line. */
static void print_wrapped(FILE *out, const char *text, size_t column)
{
	size_t at = column;

	while (*text != '\0') {
		size_t n = strcspn(text, " \n");

		if (at > column && at + 1 + n > OPTIONS_HELP_WIDTH) {
			(void)fprintf(out, "\n%*s", (int)column, "");
			at = column;
		}
		if (at > column) {
			(void)fputc(' ', out);
			at++;
		}
		(void)fprintf(out, "%.*s", (int)n, text);
		at += n;
		text += n;
		if (text[0] == '\n') {
			(void)fprintf(out, "\n\n%*s", (int)column, "");
			at = column;
		}
		text += strspn(text, " \n");
	}
	(void)fputc('\n', out);
}

static void print_examples(FILE *out, const char *examples)
{
	(void)fprintf(out, "\nExamples:\n");
	for (const char *line = examples; *line != '\0';) {
		size_t n = strcspn(line, "\n");

		(void)fprintf(out, "  %s%.*s\n", line[0] == '#' ? "" : "  ", (int)n, line);
		line += n + (line[n] == '\n');
	}
}

enum { OPTION_COLUMN = 24 };

static void print_option(FILE *out, const struct option_info *option)
{
	struct buf name;

	buf_init(&name);
	if (option->short_name != 0)
		buf_printf(&name, "  -%c, --%s", option->short_name, option->name);
	else
		buf_printf(&name, "      --%s", option->name);
	if (option->argument != NULL)
		buf_printf(&name, " %s", option->argument);
	(void)fputs(buf_str(&name), out);
	if (name.size + 2 > OPTION_COLUMN)
		(void)fprintf(out, "\n%*s", OPTION_COLUMN, "");
	else
		(void)fprintf(out, "%*s", (int)(OPTION_COLUMN - name.size), "");
	print_wrapped(out, option->help, OPTION_COLUMN);
	buf_release(&name);
}

static void print_options(FILE *out, enum command_id command)
{
	(void)fprintf(out, "\nOptions:\n");
	for (unsigned i = 0; i < OPTION_END; i++) {
		if (options_applies(&table[i], command))
			print_option(out, &table[i]);
	}
}

static void print_commands(FILE *out, bool everyday)
{
	for (unsigned i = 0; i < COMMAND_NONE; i++) {
		if (commands[i].everyday == everyday)
			(void)fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	}
}

static void print_front_page(FILE *out)
{
	(void)fprintf(out, "usage: plugpull COMMAND [options] ...\n\n");
	print_wrapped(
	    out,
	    "Pulls the plug on a SQLite application at every moment that matters, in every "
	    "way the disk allows, and says what would be lost.",
	    0);
	(void)fprintf(out, "\nEvery day:\n");
	print_commands(out, true);
	(void)fprintf(out, "\nBehind them:\n");
	print_commands(out, false);
	print_options(out, COMMAND_NONE);
	print_examples(out, "# would a power loss lose anything?\n"
			    "plugpull run scenarios/\n"
			    "# see a losing state again\n"
			    "plugpull replay pp1-a256641c9e6c13c893249b48b851ff90\n"
			    "# the options of a command\n"
			    "plugpull run --help\n");
	(void)fprintf(out, "\n");
	print_wrapped(
	    out,
	    "Exit codes: 0 held, 1 violated, 2 bad usage or input, 3 the harness failed, 4 "
	    "inconclusive, 130 interrupted. Option names are matched exactly.",
	    0);
}

void options_print_help(FILE *out, enum command_id command)
{
	if (command == COMMAND_NONE) {
		print_front_page(out);
		return;
	}
	(void)fprintf(out, "usage: plugpull %s %s\n\n", commands[command].name,
		      commands[command].usage);
	print_wrapped(out, commands[command].about, 0);
	print_options(out, command);
	print_examples(out, commands[command].examples);
}
