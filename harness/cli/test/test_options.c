/* The command line: what it takes, and the one line that refuses everything else. */
#include "harness/cli/options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGS_MAX = 100 };

/* Parses a command line given as words separated by single blanks; "''" is the empty word. The
 * words stay in `memory`. */
static int parse(char *memory, const char *line, struct options *ret, struct err *err)
{
	char *argv[ARGS_MAX];
	char *before[ARGS_MAX];
	int argc = 0;

	strcpy(memory, line);
	for (char *word = strtok(memory, " "); word != NULL; word = strtok(NULL, " ")) {
		assert_true(argc < ARGS_MAX - 1);
		argv[argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
	}
	argv[argc] = NULL;
	memcpy(before, argv, sizeof argv[0] * (size_t)argc);
	int rc = options_parse(argc, argv, ret, err);

	assert_memory_equal(before, argv, sizeof argv[0] * (size_t)argc);
	return rc;
}

static struct options accepted(char *memory, const char *line)
{
	struct err err = ERR_INIT;
	struct options o;
	int rc = parse(memory, line, &o, &err);

	if (rc != 0)
		fail_msg("%s: %s", line, err.message);
	return o;
}

/* Refused with exactly this line; the result is untouched. */
static void refused(const char *line, const char *message)
{
	struct err err = ERR_INIT;
	struct options o, untouched;
	char memory[4096];

	memset(&o, 0xA5, sizeof o);
	untouched = o;
	if (parse(memory, line, &o, &err) != ERR_USAGE)
		fail_msg("'%s' was not refused", line);
	assert_string_equal(err.message, message);
	assert_memory_equal(&o, &untouched, sizeof o);
	assert_int_equal(err_exit_code(err.code), 2);
}

static void test_defaults(void **state)
{
	char memory[256];

	(void)state;
	struct options o = accepted(memory, "plugpull run scenarios/");

	assert_int_equal(o.command, COMMAND_RUN);
	assert_int_equal(o.arg_count, 1);
	assert_string_equal(o.args[0], "scenarios/");
	assert_true(o.seed == 1 && !o.has_seed && !o.has_budget && !o.has_require);
	assert_true(o.json == NULL && o.report == NULL && o.models == NULL && o.sqlite == NULL);
	assert_null(o.resume);
	assert_true(o.set.count == 0 && o.case_glob == NULL && !o.list && o.shard_count == 0);
	assert_true(!o.keep_going && o.depth == 1 && o.jobs == 0 && !o.timing && !o.quiet &&
		    !o.verbose);
	assert_true(o.color == COLOR_AUTO && !o.help && !o.version);
	options_release(&o);
}

/* Every option, values behind a blank and behind "=", arguments in between. */
static void test_every_option(void **state)
{
	char memory[1024];

	(void)state;
	struct options o = accepted(
	    memory,
	    "plugpull run --json - a.sql --report=out --seed 9223372036854775807 --budget 60s "
	    "--model strict-posix,lying-disk b.sql --set journal_mode=wal --set=model.sector=4096 "
	    "--set journal_mode=delete --require torn --case b*@* --list --shard 2/4 --sqlite=x.so "
	    "--keep-going --depth 2 --jobs 3 --resume r --timing -v --color never");

	assert_string_equal(o.json, "-");
	assert_string_equal(o.report, "out");
	assert_true(o.has_seed && o.seed == INT64_MAX);
	assert_true(o.has_budget && o.budget_seconds == 60 && o.budget_recoveries == 0);
	assert_int_equal(o.model_count, 2);
	assert_string_equal(o.models[0], "strict-posix");
	assert_string_equal(o.models[1], "lying-disk");
	assert_int_equal(o.set.count, 2);
	assert_string_equal(kv_find(&o.set, "journal_mode"), "delete");
	assert_string_equal(kv_find(&o.set, "model.sector"), "4096");
	assert_true(o.has_require && o.require == GRADE_TORN);
	assert_string_equal(o.case_glob, "b*@*");
	assert_true(o.list && o.keep_going && o.timing && o.verbose && !o.quiet);
	assert_true(o.shard_index == 2 && o.shard_count == 4);
	assert_string_equal(o.sqlite, "x.so");
	assert_int_equal(o.color, COLOR_NEVER);
	assert_int_equal(o.jobs, 3);
	assert_string_equal(o.resume, "r");
	assert_int_equal(o.arg_count, 2);
	assert_string_equal(o.args[0], "a.sql");
	assert_string_equal(o.args[1], "b.sql");
	options_release(&o);

	o = accepted(memory, "plugpull kill a.sql -q --budget 200r --seed 0");
	assert_true(o.quiet && o.seed == 0 && o.budget_recoveries == 200 && o.budget_seconds == 0);
	options_release(&o);
}

/* Of an option given twice the last one counts. */
static void test_last_one_counts(void **state)
{
	char memory[256];

	(void)state;
	struct options o =
	    accepted(memory, "plugpull run x --seed 2 --model a,b --budget 5s --seed 3 "
			     "--model c --budget 7r");

	assert_true(o.seed == 3 && o.budget_seconds == 0 && o.budget_recoveries == 7);
	assert_int_equal(o.model_count, 1);
	assert_string_equal(o.models[0], "c");
	options_release(&o);
}

/* "--" ends the options, "-" is an argument, and an option's value may look like an option. */
static void test_arguments(void **state)
{
	char memory[256];

	(void)state;
	struct options o = accepted(memory, "plugpull run - -- --json -q --");

	assert_null(o.json);
	assert_false(o.quiet);
	assert_int_equal(o.arg_count, 4);
	assert_string_equal(o.args[0], "-");
	assert_string_equal(o.args[1], "--json");
	assert_string_equal(o.args[3], "--");
	options_release(&o);
	o = accepted(memory, "plugpull run --json --list x");
	assert_string_equal(o.json, "--list");
	assert_false(o.list);
	options_release(&o);
	o = accepted(memory, "plugpull trace show a.trace");
	assert_int_equal(o.command, COMMAND_TRACE);
	assert_int_equal(o.arg_count, 2);
	options_release(&o);
}

/* getopt_long() would take any unambiguous beginning of a name. */
static void test_no_abbreviations(void **state)
{
	(void)state;
	refused("plugpull run x --jso -", "unknown option --jso");
	refused("plugpull run x --rep=out", "unknown option --rep");
	refused("plugpull run x --verb", "unknown option --verb");
	refused("plugpull run x --jsonx -", "unknown option --jsonx");
	refused("plugpull run x --JSON -", "unknown option --JSON");
	refused("plugpull run x -json", "unknown option -j");
	refused("plugpull run x -qx", "unknown option -x");
	refused("plugpull run x --=5", "unknown option --");
	refused("plugpull run x --jobs 0",
		"option --jobs: '0' is no number of workers from 1 to 255");
	refused("plugpull run x --jobs 1x",
		"option --jobs: '1x' is no number of workers from 1 to 255");
	refused("plugpull run x --jobs 256",
		"option --jobs: '256' is no number of workers from 1 to 255");
	/* Also right behind another option, where a look at the wrong word would miss it. */
	refused("plugpull run x --json - --rep out", "unknown option --rep");
	refused("plugpull run x -v --tim", "unknown option --tim");
}

static void test_option_of_another_command(void **state)
{
	(void)state;
	refused("plugpull list models --json x", "option --json does not apply to `list`");
	refused("plugpull trace show x -v", "option -v does not apply to `trace`");
	refused("plugpull explore x --case y", "option --case does not apply to `explore`");
	refused("plugpull kill x --depth 2", "option --depth does not apply to `kill`");
	refused("plugpull replay x --set a=b", "option --set does not apply to `replay`");
	refused("plugpull doctor --seed 1", "option --seed does not apply to `doctor`");
	refused("plugpull --json x run y",
		"option --json stands before the command; put it behind");
	refused("plugpull -q run y", "option -q stands before the command; put it behind");
}

static void test_values(void **state)
{
	static const char *const not_seeds[] = {
	    "-1",
	    "+1",
	    "1x",
	    "0x10",
	    "1.5",
	    "1e3",
	    "9223372036854775808",
	    "18446744073709551616",
	    "99999999999999999999999",
	};
	char line[256], message[256];

	(void)state;
	for (size_t i = 0; i < sizeof not_seeds / sizeof not_seeds[0]; i++) {
		(void)snprintf(line, sizeof line, "plugpull run x --seed %s", not_seeds[i]);
		(void)snprintf(message, sizeof message,
			       "option --seed: '%s' is not a whole number from 0 to "
			       "9223372036854775807",
			       not_seeds[i]);
		refused(line, message);
	}
	static const char *const not_budgets[] = {
	    "60", "s", "r", "0s", "0r", "1m", "-5s", "1000000001s", "5rr", "99999999999999999999r"};

	for (size_t i = 0; i < sizeof not_budgets / sizeof not_budgets[0]; i++) {
		(void)snprintf(line, sizeof line, "plugpull run x --budget %s", not_budgets[i]);
		(void)snprintf(message, sizeof message,
			       "option --budget: '%s' is neither seconds such as 60s (at most "
			       "1000000000s) nor recoveries such as 5000r",
			       not_budgets[i]);
		refused(line, message);
	}
	static const char *const not_shards[] = {"1",	"0/2", "3/2",	"/2",	"1/",
						 "1/0", "a/b", "1/2/3", "-1/2", "1/4294967296"};

	for (size_t i = 0; i < sizeof not_shards / sizeof not_shards[0]; i++) {
		(void)snprintf(line, sizeof line, "plugpull run x --shard %s", not_shards[i]);
		(void)snprintf(message, sizeof message,
			       "option --shard: '%s' is not I/N with I from 1 to N, such as 2/4",
			       not_shards[i]);
		refused(line, message);
	}
	refused("plugpull run x --model a,,b", "option --model: 'a,,b' has an empty name");
	refused("plugpull run x --model a,", "option --model: 'a,' has an empty name");
	refused("plugpull run x --model a,b,a", "option --model: 'a' stands twice");
	refused("plugpull run x --set nothing", "option --set: 'nothing' is not KEY=VALUE");
	refused("plugpull run x --set =5", "option --set: '=5' is not KEY=VALUE");
	refused("plugpull run x --set k=", "option --set: 'k=' is not KEY=VALUE");
	refused("plugpull run x --require good",
		"option --require: 'good' is not durable, consistent, torn or corrupt");
	refused("plugpull run x --color yes", "option --color: 'yes' is not auto, always or never");
	refused("plugpull run x --depth 0", "option --depth: '0' is neither 1 nor 2");
	refused("plugpull run x --depth 3", "option --depth: '3' is neither 1 nor 2");
	refused("plugpull run x --depth 02", "option --depth: '02' is neither 1 nor 2");
	refused("plugpull run x --json", "option --json needs FILE");
	refused("plugpull run x --json ''", "option --json: FILE is empty");
	refused("plugpull run x --list=yes", "option --list takes no value");
	refused("plugpull run x --list=", "option --list takes no value");
	refused("plugpull run x -qv", "options -q and -v exclude each other");
}

static void test_models_max(void **state)
{
	char line[1024] = "plugpull run x --model m0", memory[1024];

	(void)state;
	for (int i = 1; i < OPTIONS_MODELS_MAX; i++)
		(void)snprintf(line + strlen(line), sizeof line - strlen(line), ",m%d", i);
	struct options o = accepted(memory, line);

	assert_int_equal(o.model_count, OPTIONS_MODELS_MAX);
	options_release(&o);
	(void)strcat(line, ",one-more");
	refused(line, "option --model: more than 64 names");
}

static void test_commands(void **state)
{
	(void)state;
	refused("plugpull", "no command; `plugpull --help` lists them");
	refused("plugpull rum x", "unknown command 'rum'; `plugpull --help` lists them");
	refused("plugpull ru x", "unknown command 'ru'; `plugpull --help` lists them");
	refused("plugpull qualify x", "unknown command 'qualify'; `plugpull --help` lists them");
	refused("plugpull run", "`run` needs PATH");
	refused("plugpull replay", "`replay` needs CASE");
	refused("plugpull explore", "`explore` needs TRACE");
	refused("plugpull trace", "`trace` needs show|stat TRACE, or import");
	refused("plugpull replay a b", "`replay` has no use for 'b'");
	refused("plugpull doctor now", "`doctor` has no use for 'now'");
	refused("plugpull kill a.sql -- b", "`kill` has no use for 'a.sql' beside a program");
}

/* A message is one line of printable ASCII, however long or odd the word was. */
static void test_hostile_words(void **state)
{
	char line[2048] = "plugpull ", memory[2048];
	struct err err = ERR_INIT;
	struct options o;

	(void)state;
	refused("plugpull run x --a\nb\x1b[31m", "unknown option --a?b?[31m");
	refused("plugpull run x -\x80", "unknown option -?");
	memset(line + strlen(line), 'x', 1500);
	assert_int_equal(parse(memory, line, &o, &err), ERR_USAGE);
	assert_true(strlen(err.message) < 150);
	assert_non_null(strstr(err.message, "xxx..."));
}

/* --help and --version work before and behind the command, without its arguments. */
static void test_help_and_version(void **state)
{
	char memory[256];

	(void)state;
	struct options o = accepted(memory, "plugpull --help");

	assert_true(o.help && o.command == COMMAND_NONE);
	options_release(&o);
	o = accepted(memory, "plugpull run -h");
	assert_true(o.help && o.command == COMMAND_RUN);
	options_release(&o);
	o = accepted(memory, "plugpull --version");
	assert_true(o.version && o.command == COMMAND_NONE);
	options_release(&o);
	o = accepted(memory, "plugpull doctor --version");
	assert_true(o.version && o.command == COMMAND_DOCTOR);
	options_release(&o);
	refused("plugpull --help=run", "option --help takes no value");
}

/* A parse leaves nothing behind for the next one, not even one that failed within a cluster. */
static void test_again(void **state)
{
	char memory[256];

	(void)state;
	refused("plugpull run x -qxv", "unknown option -x");
	struct options o = accepted(memory, "plugpull run a b");

	assert_true(!o.quiet && !o.verbose && o.arg_count == 2);
	options_release(&o);
}

static void test_color(void **state)
{
	struct options o = {.color = COLOR_ALWAYS};
	int fd = open("/dev/null", O_WRONLY);
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	(void)state;
	assert_true(options_use_color(&o, fd));
	o.color = COLOR_NEVER;
	assert_false(options_use_color(&o, fd));
	o.color = COLOR_AUTO;
	assert_false(options_use_color(&o, fd));
	if (master >= 0 && isatty(master)) {
		assert_int_equal(setenv("TERM", "xterm", 1), 0);
		assert_int_equal(unsetenv("NO_COLOR"), 0);
		assert_true(options_use_color(&o, master));
		assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
		assert_false(options_use_color(&o, master));
		assert_int_equal(unsetenv("NO_COLOR"), 0);
		assert_int_equal(setenv("TERM", "dumb", 1), 0);
		assert_false(options_use_color(&o, master));
	}
	(void)close(fd);
	if (master >= 0)
		(void)close(master);
}

static char *help(enum command_id command)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	options_print_help(out, command);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* Every page fits its columns, has examples, and no line ends in a blank. */
static void test_help_pages(void **state)
{
	(void)state;
	for (unsigned c = 0; c <= COMMAND_NONE; c++) {
		char *text = help((enum command_id)c);

		assert_non_null(strstr(text, "usage: plugpull "));
		assert_non_null(strstr(text, "\nExamples:\n"));
		for (const char *line = text; *line != '\0';) {
			size_t n = strcspn(line, "\n");

			if (n > OPTIONS_HELP_WIDTH || (n > 0 && line[n - 1] == ' '))
				fail_msg("%zu columns: %.*s", n, (int)n, line);
			assert_int_equal(line[n], '\n');
			line += n + 1;
		}
		free(text);
	}
}

struct seen {
	const char *page;
	enum command_id command;
	size_t count;
};

static void see_option(void *ctx, const struct option_info *option)
{
	struct seen *seen = ctx;
	char name[64];

	(void)snprintf(name, sizeof name, "--%s ", option->name);
	bool shown = strstr(strstr(seen->page, "\nOptions:"), name) != NULL;

	if (shown != options_applies(option, seen->command))
		fail_msg("--%s on the page of command %d", option->name, (int)seen->command);
	seen->count++;
}

/* A command's page shows its options, and those only. */
static void test_help_shows_what_applies(void **state)
{
	(void)state;
	for (unsigned c = 0; c <= COMMAND_NONE; c++) {
		char *text = help((enum command_id)c);
		char *end = strstr(text, "\nExamples:");

		*end = '\0'; /* examples name options too */
		struct seen seen = {text, (enum command_id)c, 0};

		options_each(see_option, &seen);
		assert_int_equal(seen.count, OPTION_END);
		free(text);
	}
}

static void see_command(void *ctx, const struct command_info *command)
{
	struct seen *seen = ctx;
	char name[64];

	(void)snprintf(name, sizeof name, "\n  %s ", command->name);
	const char *at = strstr(seen->page, name);

	assert_non_null(at);
	/* In the order of the table, the everyday ones above the others. */
	assert_true(at > seen->page + seen->count);
	assert_int_equal(at < strstr(seen->page, "\nBehind them:"), command->everyday);
	seen->count = (size_t)(at - seen->page);
}

static void test_front_page(void **state)
{
	char *text = help(COMMAND_NONE);
	struct seen seen = {text, COMMAND_NONE, 0};

	(void)state;
	options_each_command(see_command, &seen);
	assert_non_null(strstr(text, "Exit codes: 0 held"));
	free(text);
}

/* What the examples of a page tell people to type is a command line. */
static void example_is_valid(void *ctx, const struct command_info *command)
{
	char line[256], memory[256];

	(void)ctx;
	size_t count = 0;

	for (const char *at = command->examples; *at != '\0';) {
		size_t n = strcspn(at, "\n");

		(void)snprintf(line, sizeof line, "%.*s", (int)n, at);
		/* Other programs' command lines are theirs to know. */
		if (strncmp(line, "plugpull ", strlen("plugpull ")) == 0) {
			struct options o = accepted(memory, line);

			assert_int_equal(o.command, command->id);
			options_release(&o);
			count++;
		}
		at += n + (at[n] == '\n');
	}
	assert_in_range(count, 2, 3);
}

static void test_examples(void **state)
{
	(void)state;
	options_each_command(example_is_valid, NULL);
}

/* What judges a trace, beside the trace: each word of --ack, and that no option of the table stands
 * in the row of another. */
static void test_what_judges(void **state)
{
	static const struct {
		const char *word;
		enum history_ack ack;
	} acks[] = {
	    {"lock", HISTORY_ACK_LOCK}, {"output", HISTORY_ACK_OUTPUT}, {"mark", HISTORY_ACK_MARK}};
	char memory[256];
	struct options o = accepted(memory, "plugpull explore t --invariant i.sql --check ./c");

	(void)state;
	assert_string_equal(o.invariant, "i.sql");
	assert_string_equal(o.check, "./c");
	assert_false(o.has_ack);
	options_release(&o);
	for (size_t i = 0; i < sizeof acks / sizeof acks[0]; i++) {
		char line[64];

		(void)snprintf(line, sizeof line, "plugpull explore t --ack %s", acks[i].word);
		o = accepted(memory, line);
		assert_true(o.has_ack);
		assert_int_equal(o.ack, acks[i].ack);
		options_release(&o);
	}
	refused("plugpull explore t --ack exact",
		"option --ack: 'exact' is not lock, output or mark");
	refused("plugpull explore t --check ''", "option --check: CMD is empty");
	refused("plugpull run f --ack lock", "option --ack does not apply to `run`");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_judges),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_every_option),
	    cmocka_unit_test(test_last_one_counts),
	    cmocka_unit_test(test_arguments),
	    cmocka_unit_test(test_no_abbreviations),
	    cmocka_unit_test(test_option_of_another_command),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_models_max),
	    cmocka_unit_test(test_commands),
	    cmocka_unit_test(test_hostile_words),
	    cmocka_unit_test(test_help_and_version),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_color),
	    cmocka_unit_test(test_help_pages),
	    cmocka_unit_test(test_help_shows_what_applies),
	    cmocka_unit_test(test_front_page),
	    cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
