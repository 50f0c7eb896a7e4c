/* Completion for fish, 3 or later. */
#include "harness/cli/generate/generate.h"

#include <stdlib.h>
#include <string.h>

/* Within single quotes, where only these two are special. */
static void put_quoted(FILE *out, const char *text)
{
	(void)fputc('\'', out);
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
	(void)fputc('\'', out);
}

static const char head[] =
    "# Completion of plugpull for fish, made of its tables of commands and options.\n"
    "function __plugpull_command\n"
    "\tset -l words (commandline -opc)\n"
    "\ttest (count $words) -ge 2; and contains -- $words[2] $argv; and not contains -- -- $words\n"
    "end\n"
    "\n"
    "function __plugpull_no_command\n"
    "\ttest (count (commandline -opc)) -eq 1\n"
    "end\n"
    "\n"
    "# The how-manieth word comes behind the program's name, which is 0.\n"
    "function __plugpull_word\n"
    "\ttest (count (commandline -opc)) -eq $argv[1]\n"
    "end\n"
    "\n"
    "function __plugpull_program\n"
    "\tcontains -- -- (commandline -opc)\n"
    "end\n"
    "\n"
    "function __plugpull_cases\n"
    "\tfor path in .plugpull/cases/*.ppcase\n"
    "\t\tbasename $path .ppcase\n"
    "\tend\n"
    "end\n"
    "\n"
    "function __plugpull_list\n"
    "\tset -l done (commandline -ct | string match -r '^.*,')\n"
    "\tfor word in $argv\n"
    "\t\techo \"$done$word\"\n"
    "\tend\n"
    "end\n"
    "\n"
    "complete -c plugpull -e\n"
    "complete -c plugpull -f -n __plugpull_no_command\n"
    "complete -c plugpull -n __plugpull_program -a '(__fish_complete_subcommand --commandline "
    "(string match -r -- \\'(?<= -- ).*\\' (commandline -cp)))'\n";

struct place {
	FILE *out;
	const struct option_info *option;
};

static void put_name_of_command(void *ctx, const struct command_info *c)
{
	const struct place *p = ctx;

	if (options_applies(p->option, c->id))
		(void)fprintf(p->out, " %s", c->name);
}

static void put_option(FILE *out, enum option_id id)
{
	const struct option_info *o = options_option(id);
	struct place place = {out, o};
	char words[VALUES_WORDS_SIZE];
	enum values values = generate_values(id, words);
	char *help = generate_sentence(o->help);

	(void)fprintf(out, "complete -c plugpull -n '__plugpull_command");
	options_each_command(put_name_of_command, &place);
	(void)fprintf(out, "' -l %s", o->name);
	if (o->short_name != 0)
		(void)fprintf(out, " -s %c", o->short_name);
	switch (values) {
	case VALUES_WORDS:
		(void)fprintf(out, " -x -a '%s'", words);
		break;
	case VALUES_LIST:
		(void)fprintf(out, " -x -a '(__plugpull_list %s)'", words);
		break;
	case VALUES_FILE:
		(void)fprintf(out, " -r -F");
		break;
	case VALUES_FOLDER:
		(void)fprintf(out, " -x -a '(__fish_complete_directories)'");
		break;
	case VALUES_COMMAND:
		(void)fprintf(out, " -x -a '(__fish_complete_command)'");
		break;
	case VALUES_FREE:
		(void)fprintf(out, " -x");
		break;
	case VALUES_NONE:
	default:
		(void)fprintf(out, " -f");
		break;
	}
	(void)fprintf(out, " -d ");
	put_quoted(out, help);
	(void)fputc('\n', out);
	free(help);
	if (!options_applies(o, COMMAND_NONE))
		return;
	(void)fprintf(out, "complete -c plugpull -n __plugpull_no_command -f -l %s", o->name);
	if (o->short_name != 0)
		(void)fprintf(out, " -s %c", o->short_name);
	(void)fputc('\n', out);
}

static void put_command(void *ctx, const struct command_info *c)
{
	char words[VALUES_WORDS_SIZE];
	FILE *out = ctx;

	(void)fprintf(out, "complete -c plugpull -f -n __plugpull_no_command -a %s -d ", c->name);
	put_quoted(out, c->summary);
	(void)fputc('\n', out);
	switch (generate_operands(c->id, words)) {
	case OPERANDS_WORDS:
		(void)fprintf(out,
			      "complete -c plugpull -f -n '__plugpull_command %s; and "
			      "__plugpull_word 2' -a '%s'\n",
			      c->name, words);
		break;
	case OPERANDS_CASE:
		(void)fprintf(out,
			      "complete -c plugpull -n '__plugpull_command %s' -a "
			      "'(__plugpull_cases)'\n",
			      c->name);
		break;
	case OPERANDS_FOLDER:
		(void)fprintf(out,
			      "complete -c plugpull -f -n '__plugpull_command %s' -a "
			      "'(__fish_complete_directories)'\n",
			      c->name);
		break;
	case OPERANDS_NONE:
		(void)fprintf(out, "complete -c plugpull -f -n '__plugpull_command %s'\n", c->name);
		break;
	case OPERANDS_FILES:
	default:
		break;
	}
}

void generate_fish(FILE *out)
{
	(void)fputs(head, out);
	options_each_command(put_command, out);
	for (unsigned i = 0; i < OPTION_END; i++)
		put_option(out, (enum option_id)i);
}
