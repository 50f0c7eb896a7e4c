/*
 * Expansion of a scenario into cases: models x axes, in that order, the last axis turning fastest.
 *
 * A command can bring axes of its own, which replace those of the scenario that have their keys.
 * --set fixes an axis to one value; any other key of it is added to every case and shows in the id.
 * Globs and shards select whole cases by their ids alone, after the expansion, so that what a case
 * is never depends on which others run.
 *
 * Does not know which keys exist (the vocabulary does) and runs nothing.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

/* One axis as it holds under --set. Everything is borrowed. */
struct dimension {
	const char *key;
	const char *const *values;
	size_t value_count;
	const char *fixed; /* where values points to when --set picked one */
};

struct expansion {
	const struct scenario *s;
	const struct case_options *options;
	const char *relative;
	const char *const *models;
	size_t model_count;
	struct dimension *dimensions; /* owned */
	size_t dimension_count;
	struct kv_list extra; /* --set keys that are no axis */
};

/* '*' stands for any text, '/' included, and '?' for one byte. Brackets are ordinary, so that an id
 * can be given as it was printed. Backtracks to the last '*' only, which suffices. */
static bool glob_match(const char *glob, const char *text)
{
	const char *star = NULL, *resume = NULL;

	while (*text != '\0') {
		if (*glob == '*') {
			star = glob++;
			resume = text;
		} else if (*glob == '?' || *glob == *text) {
			glob++;
			text++;
		} else if (star != NULL) {
			glob = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}

/* ---- --model and --set ---- */

static int models_resolve(struct expansion *x, const struct scenario_vocabulary *vocabulary,
			  struct err *err)
{
	x->models = (const char *const *)x->s->models;
	x->model_count = x->s->model_count;
	if (x->options->models == NULL || x->options->model_count == 0)
		return 0;
	x->models = x->options->models;
	x->model_count = x->options->model_count;
	for (size_t i = 0; i < x->model_count; i++) {
		if (!scenario_key_valid(x->models[i]) ||
		    (scenario_model_find(x->s, x->models[i]) == NULL && vocabulary != NULL &&
		     vocabulary->model != NULL && !vocabulary->model(x->models[i], NULL)))
			return err_set(err, ERR_USAGE, "--model: unknown model '%.60s'",
				       x->models[i]);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(x->models[k], x->models[i]) == 0)
				return err_set(err, ERR_USAGE, "--model: '%s' stands twice",
					       x->models[i]);
		}
	}
	return 0;
}

static struct dimension *dimension_find(struct expansion *x, const char *key)
{
	for (size_t i = 0; i < x->dimension_count; i++) {
		if (strcmp(x->dimensions[i].key, key) == 0)
			return &x->dimensions[i];
	}
	return NULL;
}

static void dimension_add(struct expansion *x, const struct scenario_axis *axis)
{
	x->dimensions[x->dimension_count++] =
	    (struct dimension){.key = axis->key,
			       .values = (const char *const *)axis->values,
			       .value_count = axis->value_count};
}

static bool axis_replaced(const struct case_options *options, const char *key)
{
	for (size_t i = 0; i < options->axis_count; i++) {
		if (strcmp(options->axes[i].key, key) == 0)
			return true;
	}
	return false;
}

static void dimensions_resolve(struct expansion *x)
{
	x->dimensions = xcalloc(x->s->axis_count + x->options->axis_count, sizeof *x->dimensions);
	for (size_t i = 0; i < x->s->axis_count; i++) {
		if (!axis_replaced(x->options, x->s->axes[i].key))
			dimension_add(x, &x->s->axes[i]);
	}
	for (size_t i = 0; i < x->options->axis_count; i++)
		dimension_add(x, &x->options->axes[i]);
}

static bool axis_has(const struct dimension *d, const char *value)
{
	for (size_t i = 0; i < d->value_count; i++) {
		if (strcmp(d->values[i], value) == 0)
			return true;
	}
	return false;
}

static int set_resolve(struct expansion *x, const struct scenario_vocabulary *vocabulary,
		       struct err *err)
{
	const struct kv_list *set = x->options->set;

	for (size_t i = 0; set != NULL && i < set->count; i++) {
		const char *key = set->items[i].key;
		const char *value = kv_find(set, key); /* the last one wins */
		struct dimension *d = dimension_find(x, key);

		if (d != NULL && d->fixed != NULL)
			continue; /* the same key again */
		if (d == NULL || !axis_has(d, value)) {
			int rc = scenario_setting_check(vocabulary, x->s->workload, key, value,
							ERR_USAGE, err);

			if (rc != 0) {
				(void)err_context(err, "--set %.60s", key);
				return rc;
			}
		}
		if (d == NULL) {
			kv_set(&x->extra, key, value);
		} else {
			d->fixed = value;
			d->values = &d->fixed;
			d->value_count = 1;
		}
	}
	return 0;
}

/* ---- one case ---- */

static void case_apply(struct case_spec *c, const char *key, const char *value)
{
	const char *model_key = scenario_key_after(key, "model.");
	const char *workload_key = scenario_key_after(key, "workload.");
	const char *kill_key = scenario_key_after(key, "kill.");

	if (kill_key != NULL)
		kv_set(&c->kill_params, kill_key, value);
	else if (model_key != NULL)
		kv_set(&c->model_params, model_key, value);
	else if (workload_key != NULL)
		kv_set(&c->workload_params, workload_key, value);
	else
		kv_set(&c->config, key, value);
}

static bool condition_holds(const struct case_spec *c, const struct kv *condition)
{
	const char *model_key = scenario_key_after(condition->key, "model.");
	const char *workload_key = scenario_key_after(condition->key, "workload.");
	const char *value;

	if (strcmp(condition->key, "model") == 0)
		value = c->model;
	else if (model_key != NULL)
		value = kv_find(&c->model_params, model_key);
	else if (workload_key != NULL)
		value = kv_find(&c->workload_params, workload_key);
	else
		value = kv_find(&c->config, condition->key);
	return value != NULL && strcmp(value, condition->value) == 0;
}

static bool conditions_hold(const struct case_spec *c, const struct kv_list *conditions)
{
	for (size_t i = 0; i < conditions->count; i++)
		if (!condition_holds(c, &conditions->items[i]))
			return false;
	return true;
}

static void redundant_apply(const struct scenario *s, struct case_spec *c)
{
	for (size_t i = 0; i < s->redundant_count; i++) {
		const struct scenario_redundant *r = &s->redundant[i];
		for (size_t k = 0; conditions_hold(c, &r->conditions) && k < r->name_count; k++) {
			c->redundant = xgrow(c->redundant, c->redundant_count, &c->redundant_cap,
					     sizeof *c->redundant);
			c->redundant[c->redundant_count++] = r->names[k];
		}
	}
}

static void rules_apply(const struct expansion *x, struct case_spec *c)
{
	c->required = x->options->default_require;
	for (size_t i = 0; i < x->s->rule_count && !x->options->unjudged; i++) {
		const struct scenario_rule *rule = &x->s->rules[i];
		bool holds = conditions_hold(c, &rule->conditions);

		if (holds && rule->expect) {
			c->has_expect = true;
			c->expected = rule->grade;
		} else if (holds) {
			c->required = rule->grade;
		}
	}
	if (x->options->require != NULL)
		c->required = *x->options->require;
	c->has_required = !c->has_expect && (!x->options->unjudged || x->options->require != NULL);
}

/* Whatever could be taken for a part of the id's own syntax is written as %XX, so that different
 * settings never have one id. */
static void id_append(struct buf *id, const char *value)
{
	for (const char *p = value; *p != '\0'; p++) {
		if ((unsigned char)*p <= ' ' || strchr("%,=[]@\"'*?", *p) != NULL)
			buf_printf(id, "%%%02X", (unsigned)(unsigned char)*p);
		else
			buf_append(id, p, 1);
	}
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(((const struct kv *)a)->key, ((const struct kv *)b)->key);
}

static char *case_id(const struct expansion *x, const char *model, const struct kv_list *shown)
{
	size_t size = strlen(x->relative);
	struct buf id;
	char *copy;

	buf_init(&id);
	if (size > 4 && strcmp(x->relative + size - 4, ".sql") == 0)
		size -= 4;
	buf_append(&id, x->relative, size);
	buf_printf(&id, "@%s", model);
	for (size_t i = 0; i < shown->count; i++) {
		buf_printf(&id, "%c%s=", i == 0 ? '[' : ',', shown->items[i].key);
		id_append(&id, shown->items[i].value);
	}
	if (shown->count > 0)
		buf_append(&id, "]", 1);
	copy = xstrdup(buf_str(&id));
	buf_release(&id);
	return copy;
}

/* `number` counts the assignments of the axes in product order. */
static void case_build(const struct expansion *x, const char *model, size_t number,
		       struct case_spec *ret_case)
{
	struct case_spec c = {.model = xstrdup(model)};
	struct kv_list shown = {NULL, 0, 0};
	size_t stride = 1;

	const struct scenario_model *defined = scenario_model_find(x->s, model);
	c.model_defined = defined != NULL;
	for (size_t i = 0; defined != NULL && i < defined->params.count; i++)
		kv_set(&c.model_params, defined->params.items[i].key,
		       defined->params.items[i].value);
	for (size_t i = 0; i < x->dimension_count; i++)
		stride *= x->dimensions[i].value_count;
	for (size_t i = 0; i < x->s->pragmas.count; i++)
		kv_set(&c.config, x->s->pragmas.items[i].key, x->s->pragmas.items[i].value);
	for (size_t i = 0; i < x->s->workload_params.count; i++)
		kv_set(&c.workload_params, x->s->workload_params.items[i].key,
		       x->s->workload_params.items[i].value);
	for (size_t i = 0; i < x->s->kill_params.count; i++)
		kv_set(&c.kill_params, x->s->kill_params.items[i].key,
		       x->s->kill_params.items[i].value);
	for (size_t i = 0; i < x->dimension_count; i++) {
		const struct dimension *d = &x->dimensions[i];

		stride /= d->value_count;
		kv_set(&shown, d->key, d->values[number / stride % d->value_count]);
	}
	for (size_t i = 0; i < x->extra.count; i++)
		kv_set(&shown, x->extra.items[i].key, x->extra.items[i].value);
	for (size_t i = 0; i < shown.count; i++)
		case_apply(&c, shown.items[i].key, shown.items[i].value);
	if (shown.count > 1)
		qsort(shown.items, shown.count, sizeof *shown.items, compare_keys);
	c.id = case_id(x, model, &shown);
	kv_release(&shown);
	rules_apply(x, &c);
	if (x->extra.count == 0)
		redundant_apply(x->s, &c);
	*ret_case = c;
}

static bool case_selected(const struct case_options *options, const char *id)
{
	if (options->glob != NULL && !glob_match(options->glob, id))
		return false;
	return options->shard_count == 0 ||
	       hash64(id, strlen(id), 0) % options->shard_count == options->shard_index - 1;
}

int scenario_cases(const struct scenario *s, const char *relative,
		   const struct scenario_vocabulary *vocabulary, const struct case_options *options,
		   struct case_list *ret_list, struct err *err)
{
	struct expansion x = {.s = s, .options = options, .relative = relative};
	struct case_list list = {NULL, 0, 0};
	size_t product = 1;
	int rc = 0;

	if (options->shard_count == 0
		? options->shard_index != 0
		: options->shard_index < 1 || options->shard_index > options->shard_count)
		return err_set(err, ERR_USAGE, "--shard %u/%u: expected i/n with 1 <= i <= n",
			       options->shard_index, options->shard_count);
	dimensions_resolve(&x);
	rc = models_resolve(&x, vocabulary, err);
	if (rc == 0)
		rc = set_resolve(&x, vocabulary, err);
	if (rc != 0)
		goto out;
	/* Checked at every factor, so that the product cannot overflow. */
	for (size_t i = 0; i < x.dimension_count && product <= SCENARIO_CASES_MAX; i++)
		product *= x.dimensions[i].value_count;
	if (product > SCENARIO_CASES_MAX || product * x.model_count > SCENARIO_CASES_MAX) {
		rc = err_set(err, ERR_INPUT, "%s:%d: models and '@matrix' make more than %d cases",
			     s->path, s->axis_count > 0 ? s->axes[0].line : 1, SCENARIO_CASES_MAX);
		goto out;
	}
	for (size_t m = 0; m < x.model_count; m++) {
		for (size_t number = 0; number < product; number++) {
			struct case_spec c;

			case_build(&x, x.models[m], number, &c);
			if (!case_selected(options, c.id)) {
				case_spec_release(&c);
				continue;
			}
			list.items = xgrow(list.items, list.count, &list.cap, sizeof *list.items);
			list.items[list.count++] = c;
		}
	}
	*ret_list = list;
	list = (struct case_list){NULL, 0, 0};
out:
	if (rc != 0 && err != NULL)
		text_repair(err->message);
	case_list_release(&list);
	kv_release(&x.extra);
	free(x.dimensions);
	return rc;
}
