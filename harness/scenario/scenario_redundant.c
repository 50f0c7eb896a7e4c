/*
 * @redundant: the syncs that a scenario can do without, and the defects that do no harm to it, by
 * the names that `plugpull mutate` gives them:
 *
 *     -- @redundant "sync main.db-wal #2-19,21" "dirsync / #1" [if KEY=VALUE ...]
 *     -- @redundant "defect directory-never-synced" if model=ext4-ordered
 *     -- @redundant none if model=strict-posix journal_mode=delete
 *
 * Behind '#' are numbers and ranges. All directives whose conditions hold count together; where
 * none holds, and where --set adds something to a case, nothing is said about it.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* Is `number` (0: none is looked for) in "2-19,21"? False with *ret_good = false when that is no
 * such list. */
static bool in_ranges(const char *text, uint64_t number, bool *ret_good)
{
	char *copy = xstrdup(text);
	bool found = false;

	*ret_good = true;
	for (char *at = copy, *comma; at != NULL; at = comma) {
		uint64_t from, to;
		comma = strchr(at, ',');
		if (comma != NULL)
			*comma++ = '\0';
		char *dash = strchr(at, '-');
		if (dash != NULL)
			*dash++ = '\0';
		if (text_number(at, 1, UINT32_MAX, &from) != 0 ||
		    text_number(dash != NULL ? dash : at, 1, UINT32_MAX, &to) != 0 || to < from) {
			*ret_good = false;
			break;
		}
		found = found || (number >= from && number <= to);
	}
	free(copy);
	return found && *ret_good;
}

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int check_word(struct parser *p, const char *word)
{
	const struct scenario_vocabulary *v = p->vocabulary;
	const char *mark = strrchr(word, '#');
	bool good = strcmp(word, "none") == 0;

	if (begins_with(word, "defect ")) {
		const char *name = word + strlen("defect ");
		if (v != NULL && v->defect != NULL && !v->defect(name))
			return parser_fail(p, p->line, "unknown defect '%.60s'", name);
		return 0;
	}
	if ((begins_with(word, "sync ") || begins_with(word, "dirsync ")) && mark != NULL &&
	    mark > word && mark[-1] == ' ')
		(void)in_ranges(mark + 1, 0, &good);
	if (good)
		return 0;
	return parser_fail(p, p->line,
			   "'%.60s': a name that `plugpull mutate` gives is expected: \"sync FILE "
			   "#N-M,...\", \"dirsync FOLDER #N\", \"defect NAME\", or none",
			   word);
}

int directive_redundant(struct parser *p)
{
	struct scenario *s = p->s;
	int rc = parser_words_expect(p, 1, SIZE_MAX, "NAME ... [if KEY=VALUE ...]");
	size_t i = 0;

	if (rc != 0 || (rc = parser_list_room(p, s->redundant_count)) != 0)
		return rc;
	s->redundant =
	    xgrow(s->redundant, s->redundant_count, &s->redundant_cap, sizeof *s->redundant);
	struct scenario_redundant *r = &s->redundant[s->redundant_count++];
	*r = (struct scenario_redundant){.line = p->line};
	for (; i < p->word_count && strcmp(p->words[i].text, "if") != 0; i++) {
		rc = check_word(p, p->words[i].text);
		if (rc == 0)
			rc = parser_string_add(p, &r->names, &r->name_count, &r->name_cap,
					       p->words[i].text);
		if (rc != 0)
			return rc;
	}
	if (i == 0)
		return parser_fail(p, p->line, "'@redundant' without a name");
	if (i + 1 == p->word_count)
		return parser_fail(p, p->line, "'if' without a condition");
	for (i++; i < p->word_count; i++) {
		const char *key;
		char *value;
		rc = parser_setting_split(p, &p->words[i], &key, &value);
		if (rc != 0 || (rc = parser_setting_add(p, &r->conditions, key, value)) != 0)
			return rc;
	}
	return 0;
}

void scenario_redundant_release(struct scenario_redundant *r)
{
	for (size_t i = 0; i < r->name_count; i++)
		free(r->names[i]);
	free(r->names);
	kv_release(&r->conditions);
}

bool case_spec_redundant(const struct case_spec *c, const char *name)
{
	const char *mark = strrchr(name, '#');
	uint64_t number = 0;
	bool good;

	if (mark != NULL)
		(void)text_number(mark + 1, 1, UINT32_MAX, &number);
	for (size_t i = 0; i < c->redundant_count; i++) {
		const char *word = c->redundant[i];
		const char *list = strrchr(word, '#');
		if (strcmp(word, name) == 0)
			return true;
		if (mark != NULL && list != NULL && mark - name == list - word &&
		    memcmp(name, word, (size_t)(mark - name)) == 0 &&
		    in_ranges(list + 1, number, &good))
			return true;
	}
	return false;
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The first number of a list that makes a name which is none of `names`. */
static char *stranger_of(const char *word, const char *const *names, size_t count)
{
	const char *mark = strrchr(word, '#');
	char *copy = xstrdup(mark + 1), *found = NULL;

	for (char *at = copy, *comma; at != NULL && found == NULL; at = comma) {
		uint64_t from = 0, to = 0;
		comma = strchr(at, ',');
		if (comma != NULL)
			*comma++ = '\0';
		char *dash = strchr(at, '-');
		if (dash != NULL)
			*dash++ = '\0';
		(void)text_number(at, 1, UINT32_MAX, &from);
		(void)text_number(dash != NULL ? dash : at, 1, UINT32_MAX, &to);
		/* A name in `names` for each number: the range is no longer than they are. */
		for (uint64_t n = from; n <= to && found == NULL; n++) {
			char *name =
			    xasprintf("%.*s#%llu", (int)(mark - word), word, (unsigned long long)n);
			if (is_among(name, names, count))
				free(name);
			else
				found = name;
		}
	}
	free(copy);
	return found;
}

char *case_spec_redundant_stranger(const struct case_spec *c, const char *const *names,
				   size_t count)
{
	for (size_t i = 0; i < c->redundant_count; i++) {
		const char *word = c->redundant[i];
		char *found = NULL;
		if (strcmp(word, "none") == 0)
			continue;
		if (strchr(word, '#') != NULL)
			found = stranger_of(word, names, count);
		else if (!is_among(word, names, count))
			found = xstrdup(word);
		if (found != NULL)
			return found;
	}
	return NULL;
}
