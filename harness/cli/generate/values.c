/*
 * What can stand behind an option or a command, read from its row: from the name of the argument
 * where that tells (FILE, DIR, lock|output|mark), else from the option.
 */
#include "harness/cli/generate/generate.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/model.h"

#include <stdlib.h>
#include <string.h>

static void put_words(char ret[VALUES_WORDS_SIZE], const char *words, char separator)
{
	ASSERT_OP(strlen(words), <, VALUES_WORDS_SIZE);
	for (; *words != '\0'; words++)
		*ret++ = *words == separator ? ' ' : *words;
	*ret = '\0';
}

static void put_models(char ret[VALUES_WORDS_SIZE])
{
	size_t count;
	const struct model_info *models = model_presets(&count);
	struct buf words = {0};

	for (size_t i = 0; i < count; i++)
		buf_printf(&words, "%s%s", i == 0 ? "" : " ", models[i].model.name);
	put_words(ret, buf_str(&words), ' ');
	buf_release(&words);
}

static void put_grades(char ret[VALUES_WORDS_SIZE])
{
	struct buf words = {0};

	for (int grade = GRADE_DURABLE; grade >= GRADE_CORRUPT; grade--)
		buf_printf(&words, "%s%s", words.size == 0 ? "" : " ",
			   grade_text((enum grade)grade));
	put_words(ret, buf_str(&words), ' ');
	buf_release(&words);
}

/* "lock|output|mark" are words, "60s|5000r" are examples. */
static bool are_words(const char *argument)
{
	bool all_digits = strspn(argument, "0123456789|") == strlen(argument);

	return strchr(argument, '|') != NULL &&
	       (all_digits || strspn(argument, "abcdefghijklmnopqrstuvwxyz|") == strlen(argument));
}

enum values generate_values(enum option_id id, char ret[VALUES_WORDS_SIZE])
{
	static const struct {
		const char *argument;
		enum values values;
	} named[] = {{"FILE", VALUES_FILE},  {"FILE.sql", VALUES_FILE}, {"PATH", VALUES_FILE},
		     {"TRACE", VALUES_FILE}, {"DIR", VALUES_FOLDER},	{"CMD", VALUES_COMMAND}};
	const char *argument = options_option(id)->argument;

	ret[0] = '\0';
	if (argument == NULL)
		return VALUES_NONE;
	if (id == OPTION_MODEL) {
		put_models(ret);
		return VALUES_LIST;
	}
	if (id == OPTION_REQUIRE) {
		put_grades(ret);
		return VALUES_WORDS;
	}
	if (id == OPTION_COLOR) {
		put_words(ret, "auto always never", ' ');
		return VALUES_WORDS;
	}
	if (are_words(argument)) {
		put_words(ret, argument, '|');
		return VALUES_WORDS;
	}
	for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
		if (strcmp(argument, named[i].argument) == 0)
			return named[i].values;
	return VALUES_FREE;
}

enum operands generate_operands(enum command_id id, char ret[VALUES_WORDS_SIZE])
{
	const struct command_info *c = options_command(id);

	ret[0] = '\0';
	if (id == COMMAND_TRACE)
		put_words(ret, "show stat import", ' ');
	else if (id == COMMAND_LIST)
		put_words(ret, "models defects scenarios", ' ');
	if (ret[0] != '\0')
		return OPERANDS_WORDS;
	if (c->arg_max == 0)
		return OPERANDS_NONE;
	if (strcmp(c->arg_name, "CASE") == 0)
		return OPERANDS_CASE;
	return strcmp(c->arg_name, "DIR") == 0 ? OPERANDS_FOLDER : OPERANDS_FILES;
}

char *generate_sentence(const char *text)
{
	struct buf b = {0};
	char *copy;

	for (; *text != '\0'; text++) {
		if (*text == '`')
			continue;
		if (*text == '.' && (text[1] == ' ' || text[1] == '\0' || text[1] == '\n'))
			break;
		buf_append(&b, *text == '\n' ? " " : text, 1);
	}
	copy = xstrdup(buf_str(&b));
	buf_release(&b);
	return copy;
}
