/*
 * Lifetime of scenarios and case lists, lists of keys and values, and the one place that asks the
 * vocabulary whether a setting exists. See scenario.h.
 *
 * Does not read text (scenario_text.c), know directives (scenario_parse.c) or expand cases
 * (scenario_cases.c).
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

const char *kv_find(const struct kv_list *list, const char *key)
{
	for (size_t i = list->count; i > 0; i--) {
		if (strcmp(list->items[i - 1].key, key) == 0)
			return list->items[i - 1].value;
	}
	return NULL;
}

void kv_set(struct kv_list *list, const char *key, const char *value)
{
	/* Copied before anything is freed: `value` may be the very one that is replaced. */
	char *copy = xstrdup(value);

	for (size_t i = list->count; i > 0; i--) {
		if (strcmp(list->items[i - 1].key, key) == 0) {
			free(list->items[i - 1].value);
			list->items[i - 1].value = copy;
			return;
		}
	}
	list->items = xgrow(list->items, list->count, &list->cap, sizeof *list->items);
	list->items[list->count].key = xstrdup(key);
	list->items[list->count].value = copy;
	list->count++;
}

void kv_release(struct kv_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].key);
		free(list->items[i].value);
	}
	free(list->items);
	memset(list, 0, sizeof *list);
}

static void statements_release(struct statement_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].sql);
	free(list->items);
}

static void strings_free(char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

void scenario_free(struct scenario *s)
{
	if (s == NULL)
		return;
	free(s->path);
	free(s->text);
	free(s->title);
	kv_release(&s->pragmas);
	for (size_t i = 0; i < s->attached_count; i++) {
		free(s->attached[i].name);
		free(s->attached[i].file);
	}
	free(s->attached);
	strings_free(s->models, s->model_count);
	for (size_t i = 0; i < s->defined_count; i++) {
		free(s->defined[i].name);
		kv_release(&s->defined[i].params);
	}
	free(s->defined);
	for (size_t i = 0; i < s->axis_count; i++) {
		free(s->axes[i].key);
		strings_free(s->axes[i].values, s->axes[i].value_count);
	}
	free(s->axes);
	for (size_t i = 0; i < s->rule_count; i++)
		kv_release(&s->rules[i].conditions);
	free(s->rules);
	for (size_t i = 0; i < s->redundant_count; i++)
		scenario_redundant_release(&s->redundant[i]);
	free(s->redundant);
	statements_release(&s->open);
	strings_free(s->loads, s->load_count);
	statements_release(&s->setup);
	for (size_t i = 0; i < s->client_count; i++) {
		free(s->clients[i].name);
		statements_release(&s->clients[i].statements);
	}
	free(s->clients);
	free(s->workload);
	kv_release(&s->workload_params);
	kv_release(&s->kill_params);
	for (size_t i = 0; i < s->invariant_count; i++) {
		free(s->invariants[i].text);
		free(s->invariants[i].sql);
	}
	free(s->invariants);
	for (size_t i = 0; i < s->batch_count; i++) {
		free(s->batches[i].table);
		free(s->batches[i].id_column);
		free(s->batches[i].count_column);
	}
	free(s->batches);
	for (size_t i = 0; i < s->order_count; i++) {
		free(s->orders[i].table);
		free(s->orders[i].column);
	}
	free(s->orders);
	free(s->schema_versions);
	free(s->clock);
	free(s->plant);
	free(s);
}

void case_spec_release(struct case_spec *c)
{
	free(c->id);
	free(c->model);
	kv_release(&c->config);
	kv_release(&c->model_params);
	kv_release(&c->workload_params);
	kv_release(&c->kill_params);
	free(c->redundant);
	memset(c, 0, sizeof *c);
}

void case_list_release(struct case_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		case_spec_release(&list->items[i]);
	free(list->items);
	memset(list, 0, sizeof *list);
}

bool scenario_key_valid(const char *key)
{
	for (const char *p = key; *p != '\0'; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
		bool inner = (*p >= '0' && *p <= '9') || *p == '-' || *p == '.';

		if (!letter && (!inner || p == key))
			return false;
	}
	return key[0] != '\0';
}

const char *scenario_key_after(const char *key, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(key, prefix, n) == 0 ? key + n : NULL;
}

int scenario_kill_check(const char *key, const char *value, int code, struct err *err)
{
	static const struct {
		const char *key;
		uint64_t min, max;
	} params[] = {
	    {"writers", 1, SCENARIO_KILL_WRITERS_MAX},
	    {"readers", 0, SCENARIO_KILL_READERS_MAX},
	    {"checkpointers", 0, SCENARIO_KILL_CHECKPOINTERS_MAX},
	};
	uint64_t n;

	for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
		if (strcmp(params[i].key, key) != 0)
			continue;
		if (text_number(value, params[i].min, params[i].max, &n) == 0)
			return 0;
		return err_set(err, code, "%s is a number from %llu to %llu, not '%.60s'", key,
			       (unsigned long long)params[i].min, (unsigned long long)params[i].max,
			       value);
	}
	return err_set(err, code, "'%.60s' is none of writers, readers, checkpointers", key);
}

int scenario_setting_check(const struct scenario_vocabulary *vocabulary, const char *workload,
			   const char *key, const char *value, int code, struct err *err)
{
	const char *model_key = scenario_key_after(key, "model.");
	const char *workload_key = scenario_key_after(key, "workload.");
	const char *kill_key = scenario_key_after(key, "kill.");
	struct err inner = ERR_INIT;
	bool known = true;

	if (!scenario_key_valid(key))
		return err_set(err, code, "'%.60s' cannot be a key", key);
	if (!text_printable(value) || value[0] == '\0')
		return err_set(err, code, "'%s' needs a printable value", key);
	if (strcmp(key, "model") == 0)
		return err_set(err, code,
			       "'model' is no setting; models stand in @models or --model");
	if (workload_key != NULL && workload == NULL)
		return err_set(err, code, "'%s' needs a scenario with @workload", key);
	if ((model_key != NULL && *model_key == '\0') ||
	    (workload_key != NULL && *workload_key == '\0'))
		return err_set(err, code, "'%s' names no parameter", key);
	if (kill_key != NULL && vocabulary != NULL && !vocabulary->kills)
		return err_set(err, code, "'%s' stands in @kill, or in --set of `plugpull kill`",
			       key);
	if (kill_key != NULL)
		return scenario_kill_check(kill_key, value, code, err);
	if (vocabulary == NULL)
		return 0;
	if (model_key != NULL) {
		if (vocabulary->model_param != NULL)
			known = vocabulary->model_param(model_key, value, &inner);
	} else if (workload_key != NULL) {
		if (vocabulary->workload_param != NULL)
			known = vocabulary->workload_param(workload, workload_key, value, &inner);
	} else if (vocabulary->pragma != NULL) {
		known = vocabulary->pragma(key, value, &inner);
	}
	if (known)
		return 0;
	if (inner.message[0] != '\0')
		return err_set(err, code, "%s", inner.message);
	return err_set(err, code, "unknown key or value '%.60s=%.60s'", key, value);
}
