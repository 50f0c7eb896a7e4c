/*
 * See case_source.h. JSON: {"path", "text", "id", "model": strings, "seed": decimal digits,
 * "set": [{"key", "value"}, ...]}, no other keys.
 */
#include "harness/case/case_source.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/case/json_text.h"
#include "harness/drive/plant.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_all(struct kv_list *list, const char *prefix, const struct kv_list *from)
{
	for (size_t i = 0; i < from->count; i++) {
		char *key = xasprintf("%s%s", prefix, from->items[i].key);

		kv_set(list, key, from->items[i].value);
		free(key);
	}
}

/* What a model of the scenario's own is defined with is in its text; what an axis or --set made of
 * it is not. */
static void set_model(struct kv_list *list, const struct scenario *s, const struct case_spec *spec)
{
	const struct kv_list *defined = NULL;

	for (size_t i = 0; i < s->defined_count && spec->model_defined; i++)
		if (strcmp(s->defined[i].name, spec->model) == 0)
			defined = &s->defined[i].params;
	for (size_t i = 0; i < spec->model_params.count; i++) {
		const struct kv *kv = &spec->model_params.items[i];
		const char *same = defined == NULL ? NULL : kv_find(defined, kv->key);

		if (same != NULL && strcmp(same, kv->value) == 0)
			continue;
		char *key = xasprintf("model.%s", kv->key);
		kv_set(list, key, kv->value);
		free(key);
	}
}

struct case_source *case_source_create(const struct scenario *s, const struct case_spec *spec,
				       uint64_t seed)
{
	struct case_source *c = xcalloc(1, sizeof *c);

	c->path = xstrdup(s->path);
	c->text = xstrdup(s->text);
	c->id = xstrdup(spec->id);
	c->model = xstrdup(spec->model);
	c->seed = seed;
	set_all(&c->set, "", &spec->config);
	set_model(&c->set, s, spec);
	set_all(&c->set, "workload.", &spec->workload_params);
	return c;
}

void case_source_free(struct case_source *c)
{
	if (c == NULL)
		return;
	free(c->path);
	free(c->text);
	free(c->id);
	free(c->model);
	kv_release(&c->set);
	free(c);
}

/* ---- JSON */

static void set(json_t *object, const char *key, json_t *value)
{
	int failed = json_object_set_new(object, key, value);

	ASSERT(!failed); /* jansson fails only for want of memory here */
}

json_t *case_source_to_json(const struct case_source *c)
{
	json_t *object = json_object(), *list = json_array();
	char seed[32];

	ASSERT(object != NULL && list != NULL);
	set(object, "path", json_text_write(c->path));
	set(object, "text", json_text_write(c->text));
	set(object, "id", json_text_write(c->id));
	set(object, "model", json_text_write(c->model));
	(void)snprintf(seed, sizeof seed, "%" PRIu64, c->seed);
	set(object, "seed", json_string(seed));
	for (size_t i = 0; i < c->set.count; i++) {
		json_t *item = json_object();

		ASSERT(item != NULL);
		set(item, "key", json_text_write(c->set.items[i].key));
		set(item, "value", json_text_write(c->set.items[i].value));
		int failed = json_array_append_new(list, item);

		ASSERT(!failed);
	}
	set(object, "set", list);
	return object;
}

static int set_from_json(const json_t *list, struct kv_list *ret, struct err *err)
{
	if (!json_is_array(list) || json_array_size(list) > CASE_SOURCE_SET_MAX)
		return err_set(err, ERR_INPUT, "'set': an array of at most %d is expected",
			       CASE_SOURCE_SET_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		char *key = NULL, *value = NULL;
		int rc = json_text_read(json_object_get(item, "key"), &key, err);

		if (rc == 0)
			rc = json_text_read(json_object_get(item, "value"), &value, err);
		if (rc == 0 && json_object_size(item) != 2)
			rc = err_set(err, ERR_INPUT, "an unknown key");
		if (rc == 0)
			kv_set(ret, key, value);
		free(key);
		free(value);
		if (rc != 0)
			return err_context(err, "'set' item %zu", i + 1);
	}
	return 0;
}

static int seed_from_json(const json_t *json, uint64_t *ret_seed, struct err *err)
{
	const char *text = json_string_value(json);
	char again[32];

	errno = 0;
	uint64_t seed = text == NULL ? 0 : strtoull(text, NULL, 10);

	(void)snprintf(again, sizeof again, "%" PRIu64, seed);
	if (text == NULL || errno != 0 || strcmp(text, again) != 0)
		return err_set(err, ERR_INPUT, "'seed': not a number from 0 to 2^64 - 1");
	*ret_seed = seed;
	return 0;
}

int case_source_from_json(const json_t *json, struct case_source **ret_source, struct err *err)
{
	struct case_source *c = xcalloc(1, sizeof *c);
	const struct {
		const char *key;
		char **text;
	} texts[] = {{"path", &c->path}, {"text", &c->text}, {"id", &c->id}, {"model", &c->model}};
	int rc = 0;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0] && rc == 0; i++) {
		rc = json_text_read(json_object_get(json, texts[i].key), texts[i].text, err);
		if (rc != 0)
			(void)err_context(err, "'%s'", texts[i].key);
	}
	if (rc == 0 && strlen(c->text) > SCENARIO_FILE_SIZE_MAX)
		rc =
		    err_set(err, ERR_INPUT, "'text': larger than %d bytes", SCENARIO_FILE_SIZE_MAX);
	if (rc == 0)
		rc = seed_from_json(json_object_get(json, "seed"), &c->seed, err);
	if (rc == 0)
		rc = set_from_json(json_object_get(json, "set"), &c->set, err);
	if (rc == 0 && json_object_size(json) != 6)
		rc = err_set(err, ERR_INPUT, "an unknown key");
	if (rc == 0) {
		*ret_source = c;
		c = NULL;
	} else {
		(void)err_context(err, "scenario");
	}
	case_source_free(c);
	return rc;
}

/* ---- again */

void case_again_release(struct case_again *a)
{
	case_list_release(&a->cases);
	scenario_free(a->scenario);
	subject_free(a->subject);
	memset(a, 0, sizeof *a);
}

int case_source_read(const struct case_source *c, const struct scenario_vocabulary *vocabulary,
		     struct case_again *ret, struct err *err)
{
	struct case_again again = {0};
	const char *model = c->model;
	struct case_options options = {.models = &model,
				       .model_count = 1,
				       .set = &c->set,
				       .default_require = GRADE_CONSISTENT};
	int rc =
	    scenario_parse(c->path, c->text, strlen(c->text), vocabulary, &again.scenario, err);

	if (rc == 0)
		rc = scenario_cases(again.scenario, c->path, vocabulary, &options, &again.cases,
				    err);
	if (rc == 0 && again.cases.count != 1)
		rc = err_set(err, ERR_INPUT, "%s: %zu cases instead of one", c->path,
			     again.cases.count);
	if (rc != 0) {
		case_again_release(&again);
		return rc;
	}
	again.subject = subject_from_scenario(again.scenario, &again.cases.items[0], c->seed);
	free(again.subject->id);
	again.subject->id = xstrdup(c->id);
	again.subject->unsynced_recovery =
	    again.scenario->plant != NULL &&
	    strcmp(again.scenario->plant, PLANT_UNSYNCED_RECOVERY) == 0;
	*ret = again;
	return 0;
}
