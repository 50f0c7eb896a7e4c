/*
 * Completion for bash, 4 or later; it needs nothing of the package bash-completion. What stands
 * behind "--" is a command line of its own: its files are completed, and with that package it is
 * completed as it would be alone.
 */
#include "harness/cli/generate/generate.h"

#include <string.h>

static const char head[] =
    "# Completion of plugpull for bash, made of its tables of commands and options.\n"
    "_plugpull_files()\n"
    "{\n"
    "\tcompopt -o filenames 2>/dev/null\n"
    "\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen \"$1\" -- \"$2\")\n"
    "}\n"
    "\n"
    "_plugpull_words()\n"
    "{\n"
    "\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W \"$1\" -- \"$2\")\n"
    "}\n"
    "\n"
    "# Tokens of the case files that are kept here, and files.\n"
    "_plugpull_cases()\n"
    "{\n"
    "\tlocal path\n"
    "\tfor path in .plugpull/cases/\"$1\"*.ppcase; do\n"
    "\t\tpath=${path##*/}\n"
    "\t\t[[ $path != '*.ppcase' && -e .plugpull/cases/$path ]] && "
    "COMPREPLY+=(\"${path%.ppcase}\")\n"
    "\tdone\n"
    "\t_plugpull_files -f \"$1\"\n"
    "}\n"
    "\n"
    "# One of several words with commas between them.\n"
    "_plugpull_list()\n"
    "{\n"
    "\tlocal done='' word\n"
    "\t[[ $2 == *,* ]] && done=${2%,*},\n"
    "\tfor word in $1; do\n"
    "\t\t[[ $done$word == \"$2\"* ]] && COMPREPLY+=(\"$done$word\")\n"
    "\tdone\n"
    "}\n"
    "\n"
    "_plugpull()\n"
    "{\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i options=''\n"
    "\tCOMPREPLY=()\n"
    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
    "\t\t[[ ${COMP_WORDS[i]} == -- ]] || continue\n"
    "\t\tif declare -F _command_offset >/dev/null; then\n"
    "\t\t\t_command_offset $((i + 1))\n"
    "\t\telif ((COMP_CWORD == i + 1)); then\n"
    "\t\t\t_plugpull_files -c \"$cur\"\n"
    "\t\telse\n"
    "\t\t\t_plugpull_files -f \"$cur\"\n"
    "\t\tfi\n"
    "\t\treturn\n"
    "\tdone\n"
    "\t# --option=value comes as three words.\n"
    "\t[[ $cur == = ]] && cur=''\n"
    "\t[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "\tcase $prev in\n";

static void put_action(FILE *out, enum values values, const char *words)
{
	switch (values) {
	case VALUES_WORDS:
		(void)fprintf(out, "_plugpull_words '%s' \"$cur\"", words);
		break;
	case VALUES_LIST:
		(void)fprintf(out, "_plugpull_list '%s' \"$cur\"", words);
		break;
	case VALUES_FILE:
		(void)fprintf(out, "_plugpull_files -f \"$cur\"");
		break;
	case VALUES_FOLDER:
		(void)fprintf(out, "_plugpull_files -d \"$cur\"");
		break;
	case VALUES_COMMAND:
		(void)fprintf(out, "_plugpull_files -c \"$cur\"");
		break;
	case VALUES_NONE:
	case VALUES_FREE:
	default:
		(void)fprintf(out, ":");
		break;
	}
}

static void put_values(FILE *out)
{
	for (unsigned i = 0; i < OPTION_END; i++) {
		const struct option_info *o = options_option((enum option_id)i);
		char words[VALUES_WORDS_SIZE];
		enum values values = generate_values((enum option_id)i, words);

		if (values == VALUES_NONE)
			continue;
		if (o->short_name != 0)
			(void)fprintf(out, "\t-%c | ", o->short_name);
		else
			(void)fputc('\t', out);
		(void)fprintf(out, "--%s) ", o->name);
		put_action(out, values, words);
		(void)fprintf(out, "; return ;;\n");
	}
}

static void put_command_name(void *ctx, const struct command_info *c)
{
	(void)fprintf(ctx, "%s ", c->name);
}

static void put_options(FILE *out, enum command_id command)
{
	const char *blank = "";

	for (unsigned i = 0; i < OPTION_END; i++) {
		const struct option_info *o = options_option((enum option_id)i);

		if (!options_applies(o, command))
			continue;
		(void)fprintf(out, "%s--%s", blank, o->name);
		blank = " ";
		if (o->short_name != 0)
			(void)fprintf(out, " -%c", o->short_name);
	}
}

static void put_command(void *ctx, const struct command_info *c)
{
	char words[VALUES_WORDS_SIZE];
	FILE *out = ctx;

	(void)fprintf(out, "\t%s)\n\t\toptions='", c->name);
	put_options(out, c->id);
	(void)fprintf(out, "'\n");
	switch (generate_operands(c->id, words)) {
	case OPERANDS_WORDS:
		(void)fprintf(out,
			      "\t\tif ((COMP_CWORD == 2)); then\n"
			      "\t\t\t[[ $cur == -* ]] || _plugpull_words '%s' \"$cur\"\n"
			      "\t\telse\n"
			      "\t\t\t[[ $cur == -* ]] || _plugpull_files -f \"$cur\"\n"
			      "\t\tfi\n",
			      words);
		break;
	case OPERANDS_CASE:
		(void)fprintf(out, "\t\t[[ $cur == -* ]] || _plugpull_cases \"$cur\"\n");
		break;
	case OPERANDS_FILES:
		(void)fprintf(out, "\t\t[[ $cur == -* ]] || _plugpull_files -f \"$cur\"\n");
		break;
	case OPERANDS_FOLDER:
		(void)fprintf(out, "\t\t[[ $cur == -* ]] || _plugpull_files -d \"$cur\"\n");
		break;
	case OPERANDS_NONE:
	default:
		break;
	}
	if (c->program)
		(void)fprintf(out, "\t\toptions+=' --'\n");
	(void)fprintf(out, "\t\t;;\n");
}

void generate_bash(FILE *out)
{
	(void)fputs(head, out);
	put_values(out);
	(void)fprintf(out, "\tesac\n"
			   "\tif ((COMP_CWORD == 1)); then\n"
			   "\t\t_plugpull_words '");
	options_each_command(put_command_name, out);
	put_options(out, COMMAND_NONE);
	(void)fprintf(out, "' \"$cur\"\n"
			   "\t\treturn\n"
			   "\tfi\n"
			   "\tcase ${COMP_WORDS[1]} in\n");
	options_each_command(put_command, out);
	(void)fprintf(out, "\tesac\n"
			   "\t# Options only where one was begun, or nothing else can stand.\n"
			   "\tif [[ $cur == -* || ${#COMPREPLY[@]} == 0 ]]; then\n"
			   "\t\t_plugpull_words \"$options\" \"$cur\"\n"
			   "\tfi\n"
			   "}\n"
			   "complete -F _plugpull plugpull\n");
}
