/* Completion for zsh, 5 or later, with its function _arguments. */
#include "harness/cli/generate/generate.h"

#include <stdlib.h>
#include <string.h>

/* Part of an argument of _arguments, in single quotes: brackets and colons mean something there. */
static void put_part(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			(void)fputs("'\\'", out);
		if (strchr("[]:\\", *text) != NULL)
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
}

static const char head[] =
    "#compdef plugpull\n"
    "# Completion of plugpull for zsh, made of its tables of commands and options.\n"
    "_plugpull_cases() {\n"
    "\tlocal -a tokens\n"
    "\ttokens=(.plugpull/cases/*.ppcase(N:t:r))\n"
    "\tcompadd -a tokens\n"
    "\t_files -g '*.ppcase'\n"
    "}\n"
    "\n";

static void put_value(FILE *out, const struct option_info *o, enum values values, const char *words)
{
	if (values == VALUES_NONE)
		return;
	(void)fputc(':', out);
	put_part(out, o->argument);
	(void)fputc(':', out);
	switch (values) {
	case VALUES_WORDS:
		(void)fprintf(out, "(%s)", words);
		break;
	case VALUES_LIST:
		(void)fprintf(out, "_values -s , model %s", words);
		break;
	case VALUES_FILE:
		(void)fputs("_files", out);
		break;
	case VALUES_FOLDER:
		(void)fputs("_files -/", out);
		break;
	case VALUES_COMMAND:
		(void)fputs("_cmdstring", out);
		break;
	case VALUES_FREE:
	case VALUES_NONE:
	default:
		(void)fputc(' ', out);
		break;
	}
}

static void put_option(FILE *out, enum option_id id)
{
	const struct option_info *o = options_option(id);
	char words[VALUES_WORDS_SIZE];
	enum values values = generate_values(id, words);
	char *help = generate_sentence(o->help);

	for (int is_short = 0; is_short < 2; is_short++) {
		if (is_short && o->short_name == 0)
			continue;
		(void)fprintf(out, " \\\n\t\t\t'%s", id == OPTION_SET ? "*" : "");
		if (is_short)
			(void)fprintf(out, "-%c", o->short_name);
		else
			(void)fprintf(out, "--%s%s", o->name, values == VALUES_NONE ? "" : "=");
		(void)fputc('[', out);
		put_part(out, help);
		(void)fputc(']', out);
		put_value(out, o, values, words);
		(void)fputc('\'', out);
	}
	free(help);
}

static void put_summary(void *ctx, const struct command_info *c)
{
	FILE *out = ctx;

	(void)fprintf(out, "\t\t'%s:", c->name);
	put_part(out, c->summary);
	(void)fprintf(out, "'\n");
}

static void put_operands(FILE *out, const struct command_info *c)
{
	char words[VALUES_WORDS_SIZE];

	switch (generate_operands(c->id, words)) {
	case OPERANDS_WORDS:
		(void)fprintf(out, " \\\n\t\t\t'1:what:(%s)' \\\n\t\t\t'*:file:_files'", words);
		break;
	case OPERANDS_CASE:
		(void)fprintf(out, " \\\n\t\t\t'1:case:_plugpull_cases'");
		break;
	case OPERANDS_FILES:
		(void)fprintf(out, " \\\n\t\t\t'*:file:_files'");
		break;
	case OPERANDS_FOLDER:
		(void)fprintf(out, " \\\n\t\t\t'1:folder:_files -/'");
		break;
	case OPERANDS_NONE:
	default:
		break;
	}
}

static void put_command(void *ctx, const struct command_info *c)
{
	FILE *out = ctx;

	(void)fprintf(out, "\t%s)\n", c->name);
	if (c->program)
		(void)fprintf(out, "\t\tif ((${words[(i)--]} < CURRENT)); then\n"
				   "\t\t\twords=(\"${(@)words[${words[(i)--]}+1,-1]}\")\n"
				   "\t\t\tCURRENT=$((CURRENT - before + ${#words}))\n"
				   "\t\t\t_normal\n"
				   "\t\t\treturn\n"
				   "\t\tfi\n");
	(void)fprintf(out, "\t\t_arguments");
	for (unsigned i = 0; i < OPTION_END; i++)
		if (options_applies(options_option((enum option_id)i), c->id))
			put_option(out, (enum option_id)i);
	put_operands(out, c);
	(void)fprintf(out, "\n\t\t;;\n");
}

void generate_zsh(FILE *out)
{
	(void)fputs(head, out);
	(void)fprintf(out, "_plugpull() {\n\tlocal -a commands\n\tlocal before\n\tcommands=(\n");
	options_each_command(put_summary, out);
	(void)fprintf(out, "\t)\n"
			   "\tif ((CURRENT == 2)); then\n"
			   "\t\tif [[ $words[2] == -* ]]; then\n"
			   "\t\t\tcompadd -- --version --help -h\n"
			   "\t\telse\n"
			   "\t\t\t_describe command commands\n"
			   "\t\tfi\n"
			   "\t\treturn\n"
			   "\tfi\n"
			   "\tlocal command=$words[2]\n"
			   "\tshift words\n"
			   "\t((CURRENT--))\n"
			   "\tbefore=${#words}\n"
			   "\tcase $command in\n");
	options_each_command(put_command, out);
	(void)fprintf(out, "\tesac\n}\n\n_plugpull \"$@\"\n");
}
