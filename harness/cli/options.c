/*
 * The parser of the command line; see options.h. The tables are in options_table.c.
 *
 * getopt_long() does the splitting and is kept on a short lead: it would accept any unambiguous
 * beginning of a name and permute argv. So each long name is looked up exactly before getopt_long()
 * sees it, and "+" in the short options keeps the order. What is no option is collected here.
 *
 * Which files exist, which models and pragmas there are is not known here.
 */
#include "harness/cli/options.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What getopt_long() returns for long option i is LONG_VALUE + i: above any character. */
enum { LONG_VALUE = 256 };

enum { QUOTED_SIZE = 64 };

struct quoted {
	char text[QUOTED_SIZE];
};

/* What somebody typed, fit for a message of one line: printable ASCII stays, every other byte is a
 * question mark, and what is long is cut. */
static struct quoted quote(const char *text)
{
	struct quoted q;
	size_t n = 0;

	for (; n < sizeof q.text - 1 && text[n] != '\0'; n++)
		q.text[n] = (char)(text[n] >= 0x20 && text[n] < 0x7F ? text[n] : '?');
	q.text[n] = '\0';
	if (text[n] != '\0')
		memcpy(q.text + n - 3, "...", 3);
	return q;
}

/* The whole of `text` as a decimal number from min to max: no sign, blank or anything behind it. */
static bool parse_number(const char *text, size_t size, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (size == 0)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(text[i] - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value < min || value > max)
		return false;
	*ret = value;
	return true;
}

static int parse_budget(struct options *o, const char *text, struct err *err)
{
	size_t n = strlen(text);
	uint64_t seconds = 0, recoveries = 0;
	bool ok = false;

	if (n > 0 && text[n - 1] == 's')
		ok = parse_number(text, n - 1, 1, OPTIONS_BUDGET_SECONDS_MAX, &seconds);
	else if (n > 0 && text[n - 1] == 'r')
		ok = parse_number(text, n - 1, 1, INT64_MAX, &recoveries);
	if (!ok)
		return err_set(
		    err, ERR_USAGE,
		    "option --budget: '%s' is neither seconds such as 60s (at most %ds) nor "
		    "recoveries such as 5000r",
		    quote(text).text, OPTIONS_BUDGET_SECONDS_MAX);
	o->has_budget = true;
	o->budget_seconds = seconds;
	o->budget_recoveries = recoveries;
	return 0;
}

static int parse_shard(struct options *o, const char *text, struct err *err)
{
	const char *slash = strchr(text, '/');
	uint64_t index, count;

	if (slash == NULL || !parse_number(slash + 1, strlen(slash + 1), 1, UINT32_MAX, &count) ||
	    !parse_number(text, (size_t)(slash - text), 1, count, &index))
		return err_set(err, ERR_USAGE,
			       "option --shard: '%s' is not I/N with I from 1 to N, such as 2/4",
			       quote(text).text);
	o->shard_index = (uint32_t)index;
	o->shard_count = (uint32_t)count;
	return 0;
}

static void models_free(char **models, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(models[i]);
	free(models);
}

static int parse_models(struct options *o, const char *text, struct err *err)
{
	char **models = xcalloc(OPTIONS_MODELS_MAX, sizeof *models);
	size_t count = 0;
	int rc;

	for (const char *at = text;; at++) {
		size_t n = strcspn(at, ",");

		if (n == 0) {
			rc = err_set(err, ERR_USAGE, "option --model: '%s' has an empty name",
				     quote(text).text);
			goto out;
		}
		if (count == OPTIONS_MODELS_MAX) {
			rc = err_set(err, ERR_USAGE, "option --model: more than %d names",
				     OPTIONS_MODELS_MAX);
			goto out;
		}
		char *name = strndup(at, n);

		ASSERT(name != NULL);
		models[count++] = name;
		/* Twice the same model would be two cases of one id. */
		for (size_t i = 0; i + 1 < count; i++) {
			if (strcmp(models[i], name) == 0) {
				rc = err_set(err, ERR_USAGE, "option --model: '%s' stands twice",
					     quote(name).text);
				goto out;
			}
		}
		at += n;
		if (*at == '\0')
			break;
	}
	models_free(o->models, o->model_count);
	o->models = models;
	o->model_count = count;
	return 0;
out:
	models_free(models, count);
	return rc;
}

static int parse_set(struct options *o, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');

	if (equals == NULL || equals == text || equals[1] == '\0')
		return err_set(err, ERR_USAGE, "option --set: '%s' is not KEY=VALUE",
			       quote(text).text);
	char *key = strndup(text, (size_t)(equals - text));

	ASSERT(key != NULL);
	kv_set(&o->set, key, equals + 1);
	free(key);
	return 0;
}

static int parse_jobs(struct options *o, const char *text, struct err *err)
{
	uint64_t jobs;

	if (!parse_number(text, strlen(text), 1, OPTIONS_JOBS_MAX, &jobs))
		return err_set(err, ERR_USAGE,
			       "option --jobs: '%s' is no number of workers from 1 to %d",
			       quote(text).text, OPTIONS_JOBS_MAX);
	o->jobs = (unsigned)jobs;
	return 0;
}

static int parse_timeout(struct options *o, const char *text, struct err *err)
{
	size_t n = strlen(text);

	if (n == 0 || text[n - 1] != 's' ||
	    !parse_number(text, n - 1, 1, OPTIONS_BUDGET_SECONDS_MAX, &o->timeout_seconds))
		return err_set(err, ERR_USAGE,
			       "option --timeout: '%s' is not a number of seconds such as 60s (at "
			       "most %ds)",
			       quote(text).text, OPTIONS_BUDGET_SECONDS_MAX);
	return 0;
}

static int parse_depth(struct options *o, const char *text, struct err *err)
{
	if (strcmp(text, "1") != 0 && strcmp(text, "2") != 0)
		return err_set(err, ERR_USAGE, "option --depth: '%s' is neither 1 nor 2",
			       quote(text).text);
	o->depth = text[0] == '2' ? 2 : 1;
	return 0;
}

static int parse_ack(struct options *o, const char *text, struct err *err)
{
	if (strcmp(text, "lock") == 0)
		o->ack = HISTORY_ACK_LOCK;
	else if (strcmp(text, "output") == 0)
		o->ack = HISTORY_ACK_OUTPUT;
	else if (strcmp(text, "mark") == 0)
		o->ack = HISTORY_ACK_MARK;
	else
		return err_set(err, ERR_USAGE, "option --ack: '%s' is not lock, output or mark",
			       quote(text).text);
	o->has_ack = true;
	return 0;
}

static int parse_color(struct options *o, const char *text, struct err *err)
{
	if (strcmp(text, "auto") == 0)
		o->color = COLOR_AUTO;
	else if (strcmp(text, "always") == 0)
		o->color = COLOR_ALWAYS;
	else if (strcmp(text, "never") == 0)
		o->color = COLOR_NEVER;
	else
		return err_set(err, ERR_USAGE, "option --color: '%s' is not auto, always or never",
			       quote(text).text);
	return 0;
}

static int apply(struct options *o, enum option_id id, const char *value, struct err *err)
{
	const struct option_info *option = options_option(id);

	if (value == NULL) {
		ASSERT(option->argument == NULL);
		value = ""; /* Nobody looks at it. */
	} else if (value[0] == '\0') {
		return err_set(err, ERR_USAGE, "option --%s: %s is empty", option->name,
			       option->argument);
	}
	switch (id) {
	case OPTION_JSON:
		o->json = value;
		return 0;
	case OPTION_REPORT:
		o->report = value;
		return 0;
	case OPTION_SEED:
		if (!parse_number(value, strlen(value), 0, INT64_MAX, &o->seed))
			return err_set(
			    err, ERR_USAGE,
			    "option --seed: '%s' is not a whole number from 0 to %" PRId64,
			    quote(value).text, INT64_MAX);
		o->has_seed = true;
		return 0;
	case OPTION_BUDGET:
		return parse_budget(o, value, err);
	case OPTION_MODEL:
		return parse_models(o, value, err);
	case OPTION_SET:
		return parse_set(o, value, err);
	case OPTION_REQUIRE:
		if (grade_parse(value, &o->require) != 0)
			return err_set(err, ERR_USAGE,
				       "option --require: '%s' is not durable, consistent, torn or "
				       "corrupt",
				       quote(value).text);
		o->has_require = true;
		return 0;
	case OPTION_CASE:
		o->case_glob = value;
		return 0;
	case OPTION_LIST:
		o->list = true;
		return 0;
	case OPTION_SHARD:
		return parse_shard(o, value, err);
	case OPTION_SQLITE:
		o->sqlite = value;
		return 0;
	case OPTION_KEEP_GOING:
		o->keep_going = true;
		return 0;
	case OPTION_JOBS:
		return parse_jobs(o, value, err);
	case OPTION_RESUME:
		o->resume = value;
		return 0;
	case OPTION_REPRESENTATIVE:
		o->representative = true;
		return 0;
	case OPTION_DEPTH:
		return parse_depth(o, value, err);
	case OPTION_ACK:
		return parse_ack(o, value, err);
	case OPTION_CHECK:
		o->check = value;
		return 0;
	case OPTION_INVARIANT:
		o->invariant = value;
		return 0;
	case OPTION_STRACE:
		o->strace = value;
		return 0;
	case OPTION_OUTPUT:
		o->output = value;
		return 0;
	case OPTION_TIMEOUT:
		return parse_timeout(o, value, err);
	case OPTION_MATERIALIZE:
		o->materialize = value;
		return 0;
	case OPTION_GDB:
		o->gdb = true;
		return 0;
	case OPTION_SHOW_DATA:
		o->show_data = true;
		return 0;
	case OPTION_TIMING:
		o->timing = true;
		return 0;
	case OPTION_QUIET:
		o->quiet = true;
		return 0;
	case OPTION_VERBOSE:
		o->verbose = true;
		return 0;
	case OPTION_COLOR:
		return parse_color(o, value, err);
	case OPTION_VERSION:
		o->version = true;
		return 0;
	case OPTION_HELP:
		o->help = true;
		return 0;
	case OPTION_END:
		break;
	}
	ASSERT_OP(id, <, OPTION_END);
	return ERR_HARNESS;
}

/* The option of `element` (an argv string that begins with "--") by its exact name, or NULL. */
static const struct option_info *find_long(const char *element)
{
	size_t n = strcspn(element + 2, "=");

	for (unsigned i = 0; i < OPTION_END; i++) {
		const struct option_info *option = options_option((enum option_id)i);

		if (strlen(option->name) == n && strncmp(option->name, element + 2, n) == 0)
			return option;
	}
	return NULL;
}

static int check_applies(const struct option_info *option, enum command_id command, const char *as,
			 struct err *err)
{
	if (options_applies(option, command))
		return 0;
	if (command == COMMAND_NONE)
		return err_set(err, ERR_USAGE, "option %s stands before the command; put it behind",
			       as);
	return err_set(err, ERR_USAGE, "option %s does not apply to `%s`", as,
		       options_command(command)->name);
}

static int check_long(const char *element, enum command_id command, struct err *err)
{
	const struct option_info *option = find_long(element);
	char as[QUOTED_SIZE + 2];

	if (option == NULL) {
		char *name = strndup(element, strcspn(element, "="));

		ASSERT(name != NULL);
		int rc = err_set(err, ERR_USAGE, "unknown option %s", quote(name).text);

		free(name);
		return rc;
	}
	(void)snprintf(as, sizeof as, "--%s", option->name);
	int rc = check_applies(option, command, as, err);

	if (rc == 0 && option->argument == NULL && strchr(element, '=') != NULL)
		rc = err_set(err, ERR_USAGE, "option %s takes no value", as);
	return rc;
}

static int find_command(const char *name, enum command_id *ret_command, struct err *err)
{
	for (unsigned i = 0; i < COMMAND_NONE; i++) {
		if (strcmp(options_command((enum command_id)i)->name, name) == 0) {
			*ret_command = (enum command_id)i;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "unknown command '%s'; `plugpull --help` lists them",
		       quote(name).text);
}

static int check_arguments(const struct options *o, struct err *err)
{
	if (o->quiet && o->verbose)
		return err_set(err, ERR_USAGE, "options -q and -v exclude each other");
	if (o->help || o->version)
		return 0;
	if (o->command == COMMAND_NONE)
		return err_set(err, ERR_USAGE, "no command; `plugpull --help` lists them");

	const struct command_info *command = options_command(o->command);

	if (command->program && o->program == NULL && o->arg_count < command->arg_min)
		return err_set(err, ERR_USAGE, "`%s` needs %s", command->name, command->arg_name);
	if (command->program && command->arg_max == 0 && o->program == NULL)
		return err_set(err, ERR_USAGE, "`%s` needs the program behind --, such as -- ./app",
			       command->name);
	if (o->program != NULL && o->program[0] == NULL)
		return err_set(err, ERR_USAGE, "`%s`: nothing stands behind --", command->name);
	if (o->program != NULL && o->arg_count > 0)
		return err_set(err, ERR_USAGE, "`%s` has no use for '%s' beside a program",
			       command->name, quote(o->args[0]).text);
	if (o->program == NULL && o->arg_count < command->arg_min)
		return err_set(err, ERR_USAGE, "`%s` needs %s", command->name, command->arg_name);
	if (o->arg_count > command->arg_max)
		return err_set(err, ERR_USAGE, "`%s` has no use for '%s'", command->name,
			       quote(o->args[command->arg_max]).text);
	return 0;
}

/* One option by getopt_long, at argv[optind] or within a cluster of short ones. */
static int parse_option(int argc, char **argv, const char *shorts, const struct option *longs,
			struct options *o, struct err *err)
{
	int value = getopt_long(argc, argv, shorts, longs, NULL);

	if (value == ':' && optopt >= LONG_VALUE) {
		const struct option_info *option =
		    options_option((enum option_id)(optopt - LONG_VALUE));

		return err_set(err, ERR_USAGE, "option --%s needs %s", option->name,
			       option->argument);
	}
	if (value == '?' || value == ':') {
		char name[2] = {(char)optopt, '\0'};

		if (value == ':')
			return err_set(err, ERR_USAGE, "option -%s needs a value", name);
		return err_set(err, ERR_USAGE, "unknown option -%s", quote(name).text);
	}
	if (value >= LONG_VALUE)
		return apply(o, (enum option_id)(value - LONG_VALUE), optarg, err);
	for (unsigned i = 0; i < OPTION_END; i++) {
		const struct option_info *option = options_option((enum option_id)i);
		char as[3] = {'-', (char)value, '\0'};

		if (option->short_name != value)
			continue;
		int rc = check_applies(option, o->command, as, err);

		if (rc != 0)
			return rc;
		return apply(o, (enum option_id)i, option->argument == NULL ? NULL : optarg, err);
	}
	ASSERT_OP(value, ==, LONG_VALUE); /* getopt_long knows only what the table has */
	return ERR_HARNESS;
}

int options_parse(int argc, char **argv, struct options *ret, struct err *err)
{
	struct option longs[OPTION_END + 1];
	char shorts[2 * OPTION_END + 3] = "+:";
	size_t short_count = strlen(shorts);
	struct options o = {.command = COMMAND_NONE,
			    .seed = 1,
			    .depth = 1,
			    .timeout_seconds = OPTIONS_TIMEOUT_STANDARD};
	bool options_ended = false;
	int rc = 0;

	memset(longs, 0, sizeof longs);
	for (unsigned i = 0; i < OPTION_END; i++) {
		const struct option_info *option = options_option((enum option_id)i);

		longs[i].name = option->name;
		longs[i].has_arg = option->argument == NULL ? no_argument : required_argument;
		longs[i].val = LONG_VALUE + (int)i;
		if (option->short_name != 0)
			shorts[short_count++] = option->short_name;
		if (option->short_name != 0 && option->argument != NULL)
			shorts[short_count++] = ':';
	}
	shorts[short_count] = '\0';
	o.args = xcalloc((size_t)argc + 1, sizeof *o.args);

	/* optind = 0 makes glibc forget a former command line; it does so within a call, which here
	 * has nothing to parse and leaves optind at 1. */
	opterr = 0;
	optind = 0;
	(void)getopt_long(1, argv, shorts, longs, NULL);
	while (optind < argc) {
		const char *element = argv[optind];

		if (!options_ended && strcmp(element, "--") == 0) {
			options_ended = true;
			optind++;
			if (o.command != COMMAND_NONE && options_command(o.command)->program) {
				o.program = argv + optind;
				break;
			}
		} else if (options_ended || element[0] != '-' || element[1] == '\0') {
			if (o.command == COMMAND_NONE)
				rc = find_command(element, &o.command, err);
			else
				o.args[o.arg_count++] = element;
			optind++;
		} else {
			if (element[1] == '-')
				rc = check_long(element, o.command, err);
			if (rc == 0)
				rc = parse_option(argc, argv, shorts, longs, &o, err);
		}
		if (rc != 0)
			goto out;
	}
	rc = check_arguments(&o, err);
	if (rc != 0)
		goto out;
	*ret = o;
	return 0;
out:
	options_release(&o);
	return rc;
}

void options_release(struct options *options)
{
	free(options->args);
	models_free(options->models, options->model_count);
	kv_release(&options->set);
	memset(options, 0, sizeof *options);
	options->command = COMMAND_NONE;
}

bool options_use_color(const struct options *options, int fd)
{
	if (options->color != COLOR_AUTO)
		return options->color == COLOR_ALWAYS;

	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return (no_color == NULL || no_color[0] == '\0') && term != NULL &&
	       strcmp(term, "dumb") != 0 && isatty(fd);
}
