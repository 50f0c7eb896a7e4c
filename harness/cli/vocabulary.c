/* What names in scenario files and in --set mean in this build. */
#include "harness/cli/command.h"

#include "faultinject/clock.h"
#include "faultinject/model.h"
#include "harness/drive/plant.h"
#include "harness/drive/workload.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Settings of a connection that a scenario may make. Those that write to the database
 * (user_version, ...) belong into @setup. `words`: the values that are allowed besides whole
 * numbers, or NULL for numbers only. https://www.sqlite.org/pragma.html */
struct pragma_info {
	const char *name;
	const char *words;
	bool numbers;
};

static const struct pragma_info pragmas[] = {
    {"auto_vacuum", "none full incremental", true},
    {"automatic_index", "on off", true},
    {"busy_timeout", NULL, true},
    {"cache_size", NULL, true},
    {"cache_spill", "on off", true},
    {"cell_size_check", "on off", true},
    {"checkpoint_fullfsync", "on off", true},
    {"defer_foreign_keys", "on off", true},
    {"encoding", "UTF-8 UTF-16 UTF-16le UTF-16be", false},
    {"foreign_keys", "on off", true},
    {"fullfsync", "on off", true},
    {"ignore_check_constraints", "on off", true},
    {"journal_mode", "delete truncate persist memory wal off", false},
    {"journal_size_limit", NULL, true},
    {"legacy_alter_table", "on off", true},
    {"locking_mode", "normal exclusive", false},
    {"mmap_size", NULL, true},
    {"page_size", NULL, true},
    {"recursive_triggers", "on off", true},
    {"reverse_unordered_selects", "on off", true},
    {"secure_delete", "on off fast", true},
    {"synchronous", "off normal full extra", true},
    {"temp_store", "default file memory", true},
    {"trusted_schema", "on off", true},
    {"wal_autocheckpoint", NULL, true},
};

static bool is_number(const char *s)
{
	if (*s == '-')
		s++;
	if (*s == '\0' || strlen(s) > 18)
		return false;
	for (; *s != '\0'; s++)
		if (!isdigit((unsigned char)*s))
			return false;
	return true;
}

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; p != NULL && n > 0; p = strchr(p, ' ')) {
		p += *p == ' ';
		if (strncmp(p, word, n) == 0 && (p[n] == ' ' || p[n] == '\0'))
			return true;
	}
	return false;
}

static bool known_pragma(const char *key, const char *value, struct err *err)
{
	for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0]; i++) {
		const struct pragma_info *p = &pragmas[i];
		if (strcmp(p->name, key) != 0)
			continue;
		if (value == NULL || (p->numbers && is_number(value)) || has_word(p->words, value))
			return true;
		(void)err_set(err, ERR_USAGE, "pragma %s is %s%s%s, not '%s'", key,
			      p->words == NULL ? "" : p->words,
			      p->words != NULL && p->numbers ? " or " : "",
			      p->numbers ? "a whole number" : "", value);
		return false;
	}
	(void)err_set(err, ERR_USAGE, "unknown pragma '%s'", key);
	return false;
}

static bool known_model(const char *name, struct err *err)
{
	struct model model;

	return model_find(name, &model, err) == 0;
}

static bool known_model_param(const char *key, const char *value, struct err *err)
{
	return model_set(NULL, key, value, err) == 0;
}

static bool known_model_defined(const char *name, const struct kv_list *params, struct err *err)
{
	struct model m;
	int rc = 0;

	model_init(&m, name);
	for (size_t i = 0; i < params->count && rc == 0; i++)
		rc = model_set(&m, params->items[i].key, params->items[i].value, err);
	return rc == 0 && model_check(&m, err) == 0;
}

static bool known_workload(const char *name)
{
	return workload_find(name) != NULL;
}

static bool known_workload_param(const char *workload, const char *key, const char *value,
				 struct err *err)
{
	const struct workload *w = workload_find(workload);

	return w != NULL && workload_check_param(w, key, value, err) == 0;
}

static bool known_clock(const char *name)
{
	return fi_clock_find(name) != NULL;
}

static bool known_defect(const char *name)
{
	return plant_find(name) != NULL;
}

const struct scenario_vocabulary *cli_vocabulary(void)
{
	static const struct scenario_vocabulary vocabulary = {
	    .model = known_model,
	    .model_param = known_model_param,
	    .model_defined = known_model_defined,
	    .workload = known_workload,
	    .workload_param = known_workload_param,
	    .defect = known_defect,
	    .clock = known_clock,
	    .pragma = known_pragma,
	};

	return &vocabulary;
}
