/* See fold.h. Parameters of the model are written as an axis with one value: there is no other
 * directive that sets one. */
#include "harness/shrink/fold.h"

#include "faultinject/base/buf.h"
#include "harness/drive/workload.h"
#include "harness/scenario/scenario_items.h"
#include "harness/scenario/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct case_source *shrink_source_copy(const struct case_source *from, const char *text)
{
	struct case_source *c = xcalloc(1, sizeof *c);

	c->path = xstrdup(from->path);
	c->text = xstrdup(text == NULL ? from->text : text);
	c->id = xstrdup(from->id);
	c->model = xstrdup(from->model);
	c->seed = from->seed;
	for (size_t i = 0; i < from->set.count; i++)
		kv_set(&c->set, from->set.items[i].key, from->set.items[i].value);
	return c;
}

/* As a word of a directive: in quotes where it has to be. */
static void put_setting(struct buf *b, const char *key, const char *value)
{
	bool plain = value[0] != '\0' && strpbrk(value, " \t\",") == NULL;

	buf_printf(b, " %s=", key);
	if (plain) {
		buf_printf(b, "%s", value);
		return;
	}
	buf_append(b, "\"", 1);
	for (const char *p = value; *p != '\0'; p++)
		buf_append(b, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
	buf_append(b, "\"", 1);
}

static bool has_prefix(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* What the case sets, as directives behind the first line. */
static void put_settings(struct buf *b, const struct case_source *from, const struct scenario *s)
{
	struct buf pragmas = {0}, axes = {0};
	bool defined = false;

	for (size_t i = 0; i < from->set.count; i++) {
		const struct kv *kv = &from->set.items[i];

		if (has_prefix(kv->key, "model."))
			put_setting(&axes, kv->key, kv->value);
		else if (!has_prefix(kv->key, "workload."))
			put_setting(&pragmas, kv->key, kv->value);
	}
	if (pragmas.size > 0)
		buf_printf(b, "-- @pragma%s\n", buf_str(&pragmas));
	for (size_t i = 0; i < s->defined_count; i++)
		defined = defined || strcmp(s->defined[i].name, from->model) == 0;
	if (defined || strcmp(from->model, "strict-posix") != 0)
		buf_printf(b, "-- @models %s\n", from->model);
	if (axes.size > 0)
		buf_printf(b, "-- @matrix%s\n", buf_str(&axes));
	buf_release(&pragmas);
	buf_release(&axes);
}

static void put_workload(struct buf *b, const struct case_source *from, const struct scenario *s)
{
	const struct workload *w = workload_find(s->workload);

	buf_printf(b, "-- @workload %s", s->workload);
	for (size_t i = 0; w != NULL && i < w->param_count; i++) {
		const struct workload_param *p = &w->params[i];
		char *key = xasprintf("workload.%s", p->name);
		const char *value = kv_find(&from->set, key);
		char *standard = xasprintf("%" PRId64, p->standard);

		if (value == NULL)
			value = kv_find(&s->workload_params, p->name);
		put_setting(b, p->name, value == NULL ? standard : value);
		free(standard);
		free(key);
	}
	buf_append(b, "\n", 1);
}

/* A model of the scenario's own that another case uses. */
static bool other_model(const char *text, const struct scenario_item *it, const char *model)
{
	const char *name = memmem(text + it->begin, it->end - it->begin, "define-model", 12) + 12;

	name += strspn(name, " \t");
	size_t size = strcspn(name, " \t\r\n");
	return size != strlen(model) || strncmp(name, model, size) != 0;
}

static char *fold_text(const struct case_source *from, const struct scenario *s,
		       const struct scenario_items *items)
{
	static const char *const dropped[] = {"pragma", "models",    "matrix", "require",
					      "expect", "redundant", "kill"};
	struct buf b = {0}, settings = {0};

	put_settings(&settings, from, s);
	/* Models are defined before they are named. */
	bool put = s->defined_count == 0;
	for (size_t i = 0; i < items->count; i++) {
		const struct scenario_item *it = &items->items[i];
		bool drop = false;

		for (size_t k = 0; it->directive && k < sizeof dropped / sizeof dropped[0]; k++)
			drop = drop || strcmp(it->word, dropped[k]) == 0;
		if (it->directive && strcmp(it->word, "define-model") == 0)
			drop = other_model(from->text, it, from->model);
		if (drop)
			continue;
		if (it->directive && strcmp(it->word, "workload") == 0)
			put_workload(&b, from, s);
		else
			buf_printf(&b, "%.*s\n", (int)(it->end - it->begin),
				   from->text + it->begin);
		bool defines = it->directive && strcmp(it->word, "define-model") == 0;
		if (settings.size > 0 && (defines || (i == 0 && put)))
			buf_append(&b, settings.data, settings.size);
		if (defines || (i == 0 && put))
			buf_clear(&settings);
	}
	/* None of the models that were defined is the case's. */
	if (settings.size > 0) {
		char *rest = xstrdup(buf_str(&b));
		size_t first = strcspn(rest, "\n") + 1;

		buf_clear(&b);
		buf_printf(&b, "%.*s%s%s", (int)first, rest, buf_str(&settings), rest + first);
		free(rest);
	}
	buf_release(&settings);
	(void)buf_str(&b);
	return (char *)b.data;
}

int shrink_fold(const struct case_source *from, const char *path,
		const struct scenario_vocabulary *vocabulary, struct case_source **ret,
		struct err *err)
{
	struct scenario_items items = {0};
	struct case_again again = {0};
	int rc = case_source_read(from, vocabulary, &again, err);

	if (rc == 0)
		rc = scenario_items_read(from->path, from->text, strlen(from->text), &items, err);
	if (rc == 0) {
		/* All that holds in the case, whether the text says it or `from` adds it. */
		struct case_source *all =
		    case_source_create(again.scenario, &again.cases.items[0], from->seed);
		char *text = fold_text(all, again.scenario, &items);
		struct case_source *c = shrink_source_copy(from, text);

		free(text);
		case_source_free(all);
		kv_release(&c->set);
		free(c->path);
		c->path = xstrdup(path);
		*ret = c;
	}
	scenario_items_release(&items);
	case_again_release(&again);
	return rc;
}

/* The words of "-- @workload NAME k=v ..." that are not at their standard. */
static void put_unusual(struct buf *b, const char *line, size_t size)
{
	char *copy = xasprintf("%.*s", (int)size, line);
	const char *rest = strstr(copy, "workload") + strlen("workload");
	const struct workload *w = NULL;
	struct text_word *words = NULL;
	size_t count = 0;

	if (text_words(rest, &words, &count) == 0 && count > 0)
		w = workload_find(words[0].text);
	if (w == NULL) {
		buf_append(b, copy, size);
	} else {
		buf_printf(b, "-- @workload %s", w->name);
		for (size_t i = 1; i < count; i++) {
			char *standard = NULL;

			for (size_t k = 0; k < w->param_count && standard == NULL; k++)
				if (has_prefix(words[i].text, w->params[k].name) &&
				    words[i].text[strlen(w->params[k].name)] == '=')
					standard = xasprintf("%s=%" PRId64, w->params[k].name,
							     w->params[k].standard);
			if (standard == NULL || strcmp(standard, words[i].text) != 0)
				buf_printf(b, " %s", words[i].text);
			free(standard);
		}
	}
	text_words_free(words, count);
	free(copy);
}

/* "-- @client NAME repeat=1" without its repeat. */
static void put_client(struct buf *b, const char *line, size_t size)
{
	static const char once[] = " repeat=1";
	const char *at = memmem(line, size, once, sizeof once - 1);
	const char *behind = at == NULL ? NULL : at + sizeof once - 1;

	if (at == NULL || (behind < line + size && *behind != ' ')) {
		buf_append(b, line, size);
		return;
	}
	buf_append(b, line, (size_t)(at - line));
	buf_append(b, behind, (size_t)(line + size - behind));
}

/* The text, with each directive of that name put by `put`. */
static char *put_directives(const char *text, const char *word,
			    void (*put)(struct buf *b, const char *line, size_t size))
{
	struct scenario_items items = {0};
	struct err ignored = ERR_INIT;
	struct buf b = {0};

	if (scenario_items_read("scenario", text, strlen(text), &items, &ignored) != 0)
		return xstrdup(text);
	for (size_t i = 0; i < items.count; i++) {
		const struct scenario_item *it = &items.items[i];

		if (it->directive && strcmp(it->word, word) == 0)
			put(&b, text + it->begin, it->end - it->begin);
		else
			buf_append(&b, text + it->begin, it->end - it->begin);
		buf_append(&b, "\n", 1);
	}
	scenario_items_release(&items);
	(void)buf_str(&b);
	return (char *)b.data;
}

char *shrink_without_repeats(const char *text)
{
	return put_directives(text, "client", put_client);
}

char *shrink_without_standards(const char *text)
{
	return put_directives(text, "workload", put_unusual);
}
