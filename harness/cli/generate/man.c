/*
 * plugpull(1) in mdoc. The dated line has the date of the version, so that two builds of it are the
 * same.
 */
#include "harness/cli/generate/generate.h"

#include "faultinject/base/buf.h"
#include "harness/case/version.h"

#include <ctype.h>
#include <string.h>

enum { WIDTH = 78 };

/* Text of a table as running text: words that roff would obey are kept from it, `this` is set in
 * bold, and lines are broken between words; a blank line begins a paragraph. */
static void put_text(FILE *out, const char *text)
{
	size_t at = 0;
	bool bold = false;

	while (*text != '\0') {
		size_t n = strcspn(text, " \n");
		bool is_option = text[strspn(text, "`(")] == '-';
		struct buf word = {0};

		if (n > 0 && (text[0] == '.' || text[0] == '\''))
			buf_printf(&word, "\\&");
		for (size_t i = 0; i < n; i++) {
			if (text[i] == '`') {
				bold = !bold;
				buf_printf(&word, bold ? "\\fB" : "\\fP");
			} else if (text[i] == '\\') {
				buf_printf(&word, "\\e");
			} else if (text[i] == '-' && is_option) {
				buf_printf(&word, "\\-");
			} else {
				buf_append(&word, text + i, 1);
			}
		}
		if (at > 0 && at + 1 + word.size > WIDTH) {
			(void)fputc('\n', out);
			at = 0;
		}
		at += (size_t)fprintf(out, "%s%s", at > 0 ? " " : "", buf_str(&word));
		/* A new sentence begins on a new line. */
		bool ends = word.size > 1 && word.data[word.size - 1] == '.' &&
			    word.data[word.size - 2] != '.';
		buf_release(&word);
		text += n;
		if (text[0] == '\n' && text[1] == '\n') {
			(void)fprintf(out, "\n.Pp\n");
			at = 0;
		} else if (ends && *text != '\0') {
			(void)fputc('\n', out);
			at = 0;
		}
		text += strspn(text, " \n");
	}
	(void)fputc('\n', out);
}

/* What stands behind a command's name: "[options] PATH | -- CMD...". */
static void put_usage(FILE *out, const char *usage)
{
	while (*usage != '\0') {
		size_t n = strcspn(usage, " ");
		struct buf word = {0};

		buf_append(&word, usage, n);
		const char *w = buf_str(&word);
		bool dots = n > 3 && strcmp(w + n - 3, "...") == 0;
		int size = (int)(dots ? n - 3 : n);
		if (strcmp(w, "[options]") == 0)
			(void)fprintf(out, " Oo Ar options Oc");
		else if (w[0] == '-')
			(void)fprintf(out, " Fl %s%s", w[1] == '-' ? "\\-" : "",
				      w + (w[1] == '-' ? 2 : 1));
		else if (w[0] == '[')
			(void)fprintf(out, " Oo Ar %.*s%s Oc", (int)strcspn(w + 1, "]."), w + 1,
				      strstr(w, "...") != NULL ? " ..." : "");
		else if (isupper((unsigned char)w[0]))
			(void)fprintf(out, " Ar %.*s", size, w);
		else
			(void)fprintf(out, " No \\&%.*s", size, w);
		if (dots)
			(void)fprintf(out, " ...");
		buf_release(&word);
		usage += n;
		usage += strspn(usage, " ");
	}
	(void)fputc('\n', out);
}

static void put_examples(FILE *out, const char *examples)
{
	(void)fprintf(out, ".Bd -literal -offset indent\n");
	for (const char *line = examples; *line != '\0';) {
		size_t n = strcspn(line, "\n");

		if (line[0] == '.' || line[0] == '\'')
			(void)fprintf(out, "\\&");
		for (size_t i = 0; i < n; i++) {
			if (line[i] == '\\' || line[i] == '-')
				(void)fputs(line[i] == '-' ? "\\-" : "\\e", out);
			else
				(void)fputc(line[i], out);
		}
		(void)fputc('\n', out);
		line += n + (line[n] == '\n');
	}
	(void)fprintf(out, ".Ed\n");
}

static void put_command(void *ctx, const struct command_info *c)
{
	FILE *out = ctx;

	(void)fprintf(out, ".Ss %s\n", c->name);
	(void)fprintf(out, ".Nm\n.Cm %s", c->name);
	put_usage(out, c->usage);
	(void)fprintf(out, ".Pp\n");
	put_text(out, c->about);
	put_examples(out, c->examples);
}

struct listing {
	FILE *out;
	const struct option_info *option;
	size_t count;
};

static void put_command_name(void *ctx, const struct command_info *c)
{
	struct listing *l = ctx;

	if (!options_applies(l->option, c->id))
		return;
	(void)fprintf(l->out, "%s%s", l->count++ == 0 ? "" : ", ", c->name);
}

static void put_option(void *ctx, const struct option_info *o)
{
	struct listing l = {.out = ctx, .option = o};
	FILE *out = ctx;

	(void)fprintf(out, ".It ");
	if (o->short_name != 0)
		(void)fprintf(out, "Fl %c , ", o->short_name);
	(void)fprintf(out, "Fl \\-%s", o->name);
	if (o->argument != NULL)
		(void)fprintf(out, " Ar %s", o->argument);
	(void)fputc('\n', out);
	put_text(out, o->help);
	if (options_applies(o, COMMAND_NONE))
		return;
	(void)fprintf(out, ".Pp\nOf ");
	options_each_command(put_command_name, &l);
	(void)fprintf(out, ".\n");
}

static void put_summary(void *ctx, const struct command_info *c)
{
	FILE *out = ctx;

	(void)fprintf(out, ".It Cm %s\n", c->name);
	put_text(out, c->summary);
}

static const char head[] =
    ".\\\" Made of the tables of commands and options when plugpull is built.\n"
    ".Dd " PLUGPULL_DATE "\n"
    ".Dt PLUGPULL 1\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm plugpull\n"
    ".Nd power\\-loss tests for SQLite applications\n"
    ".Sh SYNOPSIS\n"
    ".Nm\n"
    ".Ar command\n"
    ".Op Ar options\n"
    ".Ar ...\n"
    ".Nm\n"
    ".Fl \\-version\n"
    ".Sh DESCRIPTION\n"
    "Pulls the plug on a SQLite application at every moment that matters, in every\n"
    "way the disk allows, lets SQLite recover, and says what would be lost.\n"
    "This is plugpull " PLUGPULL_VERSION ".\n"
    ".Pp\n"
    "Of every case the verdict is held, violated or inconclusive, and the grade one\n"
    "of\n"
    ".Bl -tag -width consistent\n"
    ".It Sy durable\n"
    "every acknowledged commit is there;\n"
    ".It Sy consistent\n"
    "always a state that existed, but acknowledged commits can be lost;\n"
    ".It Sy torn\n"
    "a state that never existed;\n"
    ".It Sy corrupt\n"
    "cannot be opened, read or written, or a check fails.\n"
    ".El\n"
    ".Pp\n"
    "The commands are\n"
    ".Bl -tag -width explainxx\n";

static const char tail[] =
    ".El\n"
    ".Sh ENVIRONMENT\n"
    ".Bl -tag -width PLUGPULL_MARK\n"
    ".It Ev PLUGPULL_MARK\n"
    "Set for programs that plugpull starts: the file to which they append\n"
    ".Dq ack TEXT\n"
    "when they promise that what was committed is kept, and\n"
    ".Dq mark TEXT\n"
    "as a note.\n"
    ".It Ev PLUGPULL_TOKEN\n"
    "Read by\n"
    ".Fn pp_run ,\n"
    "for people's own C tests: the one state that is asked about again.\n"
    ".It Ev TMPDIR\n"
    "Where working folders are made, instead of\n"
    ".Pa /tmp\n"
    "and\n"
    ".Pa /dev/shm .\n"
    ".It Ev NO_COLOR\n"
    "Not empty: no colour, unless\n"
    ".Fl \\-color\n"
    "says so.\n"
    ".El\n"
    ".Sh FILES\n"
    ".Bl -tag -width .plugpull/cases\n"
    ".It Pa .plugpull/cases\n"
    "The case files of findings, each by its token, in the folder where plugpull was\n"
    "started; with\n"
    ".Fl \\-report Ar DIR\n"
    "they are in\n"
    ".Pa DIR/cases .\n"
    ".It Pa plugpull.waivers\n"
    "Violations that somebody answers for until a day, one on a line: case id, oracle,\n"
    "the most loss, the last day, the reason in quotes.\n"
    "Read beside the scenarios, or by test and explore in the current folder.\n"
    ".El\n"
    ".Sh EXIT STATUS\n"
    ".Bl -tag -width 130\n"
    ".It 0\n"
    "Held.\n"
    ".It 1\n"
    "Violated; of compare, something got worse.\n"
    ".It 2\n"
    "Bad usage or input, or output that cannot be written.\n"
    ".It 3\n"
    "The harness failed.\n"
    ".It 4\n"
    "Inconclusive.\n"
    ".It 130\n"
    "Interrupted.\n"
    ".El\n"
    ".Sh SEE ALSO\n"
    ".Xr sqlite3 1 ,\n"
    ".Xr strace 1\n";

void generate_man(FILE *out)
{
	(void)fputs(head, out);
	options_each_command(put_summary, out);
	(void)fprintf(out, ".El\n.Sh COMMANDS\n");
	options_each_command(put_command, out);
	(void)fprintf(out, ".Sh OPTIONS\n"
			   "Names are matched exactly, and options stand behind the command.\n"
			   "Where one is given twice the last counts, but for\n"
			   ".Fl \\-set ,\n"
			   "which adds.\n"
			   ".Bl -tag -width Ds\n");
	options_each(put_option, out);
	(void)fputs(tail, out);
}
