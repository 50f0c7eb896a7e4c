/* What a scenario's own SQL sets in place of what the case says. */
#include "harness/scenario/scenario_internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Behind `at`, a "pragma": [schema.]key, and then = or (. */
static bool sets_key(const char *at, const char *key)
{
	size_t n = strlen(key);

	while (isspace((unsigned char)*at))
		at++;
	/* The schema is any word before a dot. */
	const char *dot = at;
	while (isalnum((unsigned char)*dot) || *dot == '_' || *dot == '"')
		dot++;
	while (isspace((unsigned char)*dot))
		dot++;
	if (*dot == '.') {
		at = dot + 1;
		while (isspace((unsigned char)*at))
			at++;
	}
	if (strncasecmp(at, key, n) != 0)
		return false;
	at += n;
	while (isspace((unsigned char)*at))
		at++;
	return *at == '=' || *at == '(';
}

static int line_in(const struct statement_list *list, const char *key)
{
	for (size_t i = 0; i < list->count; i++)
		for (const char *at = list->items[i].sql; *at != '\0'; at++)
			if (strncasecmp(at, "pragma", strlen("pragma")) == 0 &&
			    isspace((unsigned char)at[strlen("pragma")]) &&
			    sets_key(at + strlen("pragma"), key))
				return list->items[i].line;
	return 0;
}

int scenario_sets_itself(const struct scenario *s, const char *key)
{
	int line = line_in(&s->setup, key);

	for (size_t i = 0; i < s->client_count && line == 0; i++)
		line = line_in(&s->clients[i].statements, key);
	return line;
}
