/* The command line again, for reports: see command.h. */
#include "harness/cli/command.h"

#include "faultinject/base/buf.h"

#include <inttypes.h>
#include <stdlib.h>

static void put_value(struct buf *b, enum option_id id, const char *value)
{
	buf_printf(b, " --%s ", options_option(id)->name);
	buf_put_word(b, value);
}

static void put_flag(struct buf *b, enum option_id id, bool set)
{
	if (set)
		buf_printf(b, " --%s", options_option(id)->name);
}

static const char *ack_word(enum history_ack ack)
{
	return ack == HISTORY_ACK_OUTPUT ? "output" : ack == HISTORY_ACK_MARK ? "mark" : "lock";
}

static void put_models(struct buf *b, const struct options *o)
{
	struct buf list;

	if (o->model_count == 0)
		return;
	buf_init(&list);
	for (size_t i = 0; i < o->model_count; i++)
		buf_printf(&list, "%s%s", i == 0 ? "" : ",", o->models[i]);
	put_value(b, OPTION_MODEL, buf_str(&list));
	buf_release(&list);
}

static void put_budget(struct buf *b, const struct options *o)
{
	if (!o->has_budget)
		return;
	buf_printf(b, " --%s ", options_option(OPTION_BUDGET)->name);
	if (o->budget_seconds > 0)
		buf_printf(b, "%" PRIu64 "s", o->budget_seconds);
	else
		buf_printf(b, "%" PRIu64 "r", o->budget_recoveries);
}

/* Options that only say where a result goes, or how fast, are left out. */
static void put_options(struct buf *b, const struct options *o)
{
	if (o->has_seed)
		buf_printf(b, " --%s %" PRIu64, options_option(OPTION_SEED)->name, o->seed);
	put_budget(b, o);
	put_models(b, o);
	for (size_t i = 0; i < o->set.count; i++) {
		char *pair = xasprintf("%s=%s", o->set.items[i].key, o->set.items[i].value);

		put_value(b, OPTION_SET, pair);
		free(pair);
	}
	if (o->has_require)
		put_value(b, OPTION_REQUIRE, grade_text(o->require));
	if (o->case_glob != NULL)
		put_value(b, OPTION_CASE, o->case_glob);
	if (o->shard_count > 0)
		buf_printf(b, " --%s %" PRIu32 "/%" PRIu32, options_option(OPTION_SHARD)->name,
			   o->shard_index, o->shard_count);
	if (o->sqlite != NULL)
		put_value(b, OPTION_SQLITE, o->sqlite);
	put_flag(b, OPTION_KEEP_GOING, o->keep_going);
	if (o->depth == 2)
		put_value(b, OPTION_DEPTH, "2");
	put_flag(b, OPTION_REPRESENTATIVE, o->representative);
	if (o->has_ack)
		put_value(b, OPTION_ACK, ack_word(o->ack));
	if (o->invariant != NULL)
		put_value(b, OPTION_INVARIANT, o->invariant);
	if (o->check != NULL)
		put_value(b, OPTION_CHECK, o->check);
	if (o->timeout_seconds != OPTIONS_TIMEOUT_STANDARD)
		buf_printf(b, " --%s %" PRIu64 "s", options_option(OPTION_TIMEOUT)->name,
			   o->timeout_seconds);
	put_flag(b, OPTION_SHOW_DATA, o->show_data);
}

void cli_again(const struct options *options, struct result *r)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "plugpull %s", options_command(options->command)->name);
	for (size_t i = 0; i < options->arg_count; i++) {
		buf_printf(&b, " ");
		buf_put_word(&b, options->args[i]);
	}
	put_options(&b, options);
	r->again = xstrdup(buf_str(&b));
	buf_clear(&b);
	for (size_t i = 0; options->program != NULL && options->program[i] != NULL; i++) {
		buf_printf(&b, i == 0 ? " -- " : " ");
		buf_put_word(&b, options->program[i]);
	}
	r->again_program = xstrdup(buf_str(&b));
	buf_release(&b);
}
