/*
 * pragma.c: the settings of a connection, in one table: what may be set, to what, and what each
 * profile sets. Each is set and then asked for again, because SQLite answers a setting that it did
 * not take over with silence (an in-memory database stays in journal_mode=memory, a database keeps
 * its page size, a VFS without shared memory stays in journal_mode=delete).
 *
 * No text of the caller's reaches SQL: a value is looked up as a word or parsed as a number, and
 * what is sent is this file's own spelling of it. It does not know which values are wise.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/internal.h"

#define PROFILE_COUNT 3

/*
 * A word that may be written for a value, and how SQLite spells that value when asked. Not every
 * answer is understood as a value: secure_delete=2 is taken for "on".
 */
struct word {
	const char *text;
	const char *answer;
};

struct setting {
	const char *name;
	/* NULL for a number, otherwise ended by a word whose text is NULL. */
	const struct word *words;
	int64_t number_min;
	int64_t number_max;
	/* By enum store_profile; NULL leaves SQLite's default. */
	const char *by_profile[PROFILE_COUNT];
	/* Whether it means something to a connection that cannot write. */
	bool of_readers;
};

static const struct word words_switch[] = {
    {"off", "0"}, {"on", "1"},	  {"0", "0"},	 {"1", "1"},   {"no", "0"},
    {"yes", "1"}, {"false", "0"}, {"true", "1"}, {NULL, NULL},
};
static const struct word words_auto_vacuum[] = {
    {"none", "0"}, {"full", "1"}, {"incremental", "2"}, {"0", "0"},
    {"1", "1"},	   {"2", "2"},	  {NULL, NULL},
};
static const struct word words_locking_mode[] = {
    {"normal", "normal"},
    {"exclusive", "exclusive"},
    {NULL, NULL},
};
static const struct word words_synchronous[] = {
    {"off", "0"}, {"normal", "1"}, {"full", "2"}, {"extra", "3"}, {"0", "0"},
    {"1", "1"},	  {"2", "2"},	   {"3", "3"},	  {NULL, NULL},
};
static const struct word words_journal_mode[] = {
    {"wal", "wal"},	    {"delete", "delete"}, {"truncate", "truncate"},
    {"persist", "persist"}, {"memory", "memory"}, {"off", "off"},
    {NULL, NULL},
};
static const struct word words_temp_store[] = {
    {"default", "0"}, {"file", "1"}, {"memory", "2"}, {"0", "0"},
    {"1", "1"},	      {"2", "2"},    {NULL, NULL},
};
static const struct word words_secure_delete[] = {
    {"off", "0"}, {"on", "1"}, {"fast", "2"}, {"0", "0"}, {"1", "1"}, {NULL, NULL},
};

/*
 * In the order in which they are applied. page_size and auto_vacuum can only be set before the
 * first page is written, locking_mode has to precede WAL, and the change to WAL writes the first
 * page, which has to happen under the synchronous setting that was asked for.
 */
static const struct setting settings[] = {
    {"page_size", NULL, 512, 65536, {NULL, NULL, NULL}, false},
    {"auto_vacuum", words_auto_vacuum, 0, 0, {NULL, NULL, NULL}, false},
    {"locking_mode", words_locking_mode, 0, 0, {NULL, NULL, NULL}, false},
    {"synchronous", words_synchronous, 0, 0, {"full", "normal", "off"}, false},
    {"fullfsync", words_switch, 0, 0, {NULL, NULL, NULL}, false},
    {"checkpoint_fullfsync", words_switch, 0, 0, {NULL, NULL, NULL}, false},
    {"journal_mode", words_journal_mode, 0, 0, {"wal", "wal", "wal"}, false},
    {"foreign_keys", words_switch, 0, 0, {"on", "on", "on"}, true},
    {"cache_size", NULL, -INT32_MAX, INT32_MAX, {NULL, NULL, "-65536"}, true},
    {"mmap_size", NULL, 0, INT64_MAX, {NULL, NULL, NULL}, true},
    {"temp_store", words_temp_store, 0, 0, {NULL, NULL, NULL}, true},
    {"secure_delete", words_secure_delete, 0, 0, {NULL, NULL, NULL}, false},
    {"wal_autocheckpoint", NULL, 0, INT32_MAX, {NULL, NULL, "10000"}, false},
    {"journal_size_limit", NULL, -1, INT64_MAX, {NULL, NULL, NULL}, false},
};
#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

/* Long enough for any number and any word of the tables above. */
#define ANSWER_BYTES 32

static const struct setting *setting_find(const char *name)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		if (strcasecmp(settings[i].name, name) == 0)
			return &settings[i];
	}
	return NULL;
}

/* A value as it is sent to SQLite, and as SQLite will spell it when asked. */
struct value {
	char sent[ANSWER_BYTES];
	char answer[ANSWER_BYTES];
};

/* False if it is no value of this setting. */
static bool setting_parse(const struct setting *setting, const char *value, struct value *ret_value)
{
	long long number;
	char *end;

	if (setting->words) {
		for (const struct word *word = setting->words; word->text; word++) {
			if (strcasecmp(word->text, value) != 0)
				continue;
			snprintf(ret_value->sent, ANSWER_BYTES, "%s", word->text);
			snprintf(ret_value->answer, ANSWER_BYTES, "%s", word->answer);
			return true;
		}
		return false;
	}
	/* strtoll skips blanks, which have no place here. */
	if (*value != '-' && (*value < '0' || *value > '9'))
		return false;
	errno = 0;
	number = strtoll(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0')
		return false;
	if (number < setting->number_min || number > setting->number_max)
		return false;
	/* SQLite ignores a page size that is no power of two, also on a new database. */
	if (strcmp(setting->name, "page_size") == 0 && (number & (number - 1)) != 0)
		return false;
	snprintf(ret_value->sent, ANSWER_BYTES, "%lld", number);
	snprintf(ret_value->answer, ANSWER_BYTES, "%lld", number);
	return true;
}

enum store_code store_pragmas_check(const struct store_options *options, struct store_error *err)
{
	if ((unsigned)options->profile >= PROFILE_COUNT)
		return store_error_set(err, STORE_ERR_INVALID, 0, "unknown profile %d",
				       (int)options->profile);
	if (options->pragma_count > STORE_PRAGMA_COUNT_MAX)
		return store_error_set(err, STORE_ERR_INVALID, 0, "%zu pragmas; the most is %d",
				       options->pragma_count, STORE_PRAGMA_COUNT_MAX);
	if (!options->pragmas && options->pragma_count > 0)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "pragma_count is %zu and pragmas is NULL",
				       options->pragma_count);
	for (size_t i = 0; i < options->pragma_count; i++) {
		const struct store_pragma *pragma = &options->pragmas[i];
		const struct setting *setting;
		struct value value;

		if (!pragma->name || !pragma->value)
			return store_error_set(err, STORE_ERR_INVALID, 0,
					       "pragma %zu has no name or no value", i);
		setting = setting_find(pragma->name);
		if (!setting)
			return store_error_set(err, STORE_ERR_INVALID, 0,
					       "'%s' is not a setting of the store", pragma->name);
		if (!setting_parse(setting, pragma->value, &value))
			return store_error_set(err, STORE_ERR_INVALID, 0,
					       "'%s' is not a value of %s", pragma->value,
					       setting->name);
	}
	return STORE_OK;
}

/* The caller's last word on a setting, or the profile's. */
static const char *setting_wanted(const struct setting *setting,
				  const struct store_options *options)
{
	for (size_t i = options->pragma_count; i-- > 0;) {
		if (strcasecmp(options->pragmas[i].name, setting->name) == 0)
			return options->pragmas[i].value;
	}
	return setting->by_profile[options->profile];
}

/* Runs a pragma and copies its answer, which is empty where it gives none. */
static int pragma_run(sqlite3 *db, const char *sql, char ret_answer[ANSWER_BYTES])
{
	sqlite3_stmt *stmt = NULL;
	const unsigned char *text;
	int rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	ret_answer[0] = '\0';
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		text = sqlite3_column_text(stmt, 0);
		snprintf(ret_answer, ANSWER_BYTES, "%s", text ? (const char *)text : "");
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static enum store_code setting_apply(sqlite3 *db, const struct setting *setting, const char *value,
				     struct store_error *err)
{
	struct value wanted;
	char answer[ANSWER_BYTES];
	char sql[96];
	int rc;

	if (!setting_parse(setting, value, &wanted))
		return store_error_set(err, STORE_ERR_INVALID, 0, "'%s' is not a value of %s",
				       value, setting->name);
	snprintf(sql, sizeof(sql), "PRAGMA %s=%s", setting->name, wanted.sent);
	rc = pragma_run(db, sql, answer);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot set %s=%s", setting->name,
					      wanted.sent);
	snprintf(sql, sizeof(sql), "PRAGMA %s", setting->name);
	rc = pragma_run(db, sql, answer);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot read %s back", setting->name);
	if (strcasecmp(answer, wanted.answer) != 0)
		return store_error_set(err, STORE_ERR_SETTING, 0,
				       "%s=%s did not take: the database says '%s'", setting->name,
				       wanted.sent, answer);
	return STORE_OK;
}

bool store_pragma_is_set(const struct store_options *options, const char *name)
{
	for (size_t i = 0; i < options->pragma_count; i++) {
		if (strcasecmp(options->pragmas[i].name, name) == 0)
			return true;
	}
	return false;
}

enum store_code store_pragmas_apply(sqlite3 *db, const struct store_options *options, bool reader,
				    struct store_error *err)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const char *value = setting_wanted(&settings[i], options);
		enum store_code code;

		if (!value || (reader && !settings[i].of_readers))
			continue;
		code = setting_apply(db, &settings[i], value, err);
		if (code != STORE_OK)
			return code;
	}
	return STORE_OK;
}
