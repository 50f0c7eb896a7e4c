/* See kill_help.h. */
#include "harness/drive/test/kill_help.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FOREIGN_SWEEP_MS = 3000 };

/* In memory where that can be: a sync of a real disk takes longer than the rest of a round. */
static char in_memory[] = "/dev/shm/test-kill-XXXXXX";
static char on_disk[] = "/tmp/test-kill-XXXXXX";
static char *temporary = in_memory;
static int faketime_files;

static struct scenario *parse(const char *text)
{
	struct scenario *s = NULL;
	struct err err = ERR_INIT;

	if (scenario_parse("test.sql", text, strlen(text), NULL, &s, &err) != 0)
		fail_msg("%s", err.message);
	return s;
}

static void first_case(const struct scenario *s, const char *model, struct case_list *ret,
		       struct err *err)
{
	struct case_options options = {
	    .models = &model, .model_count = 1, .default_require = GRADE_DURABLE};

	assert_int_equal(scenario_cases(s, "test.sql", NULL, &options, ret, err), 0);
}

void kill_test_run(const char *text, const struct kill_options *options, struct kill_outcome *ret)
{
	struct scenario *s = parse(text);
	struct case_list cases = {0};

	memset(ret, 0, sizeof *ret);
	first_case(s, KILL_MODEL, &cases, &ret->err);
	result_init(&ret->result, "kill", options->seed);
	ret->c = result_add(&ret->result);
	ret->rc = kill_case(s, &cases.items[0], options, ret->c, &ret->err);
	case_list_release(&cases);
	scenario_free(s);
}

void kill_test_rounds(const char *text, uint64_t rounds, struct kill_outcome *ret)
{
	struct kill_options options = {.seed = 1, .rounds_max = rounds, .jobs = 2};

	kill_test_run(text, &options, ret);
	if (ret->rc != 0)
		fail_msg("%s", ret->err.message);
}

void kill_test_power(const char *text, const char *model, uint64_t rounds, struct kill_outcome *ret)
{
	struct scenario *s = parse(text);
	struct case_list cases = {0};
	struct kill_options options = {.seed = 1, .rounds_max = rounds, .jobs = 2};
	struct err err = ERR_INIT;

	first_case(s, model, &cases, &err);
	options.power = &cases.items[0];
	kill_test_run(text, &options, ret);
	case_list_release(&cases);
	scenario_free(s);
	if (ret->rc != 0)
		fail_msg("%s", ret->err.message);
}

void kill_test_show(const struct case_result *c)
{
	print_message("%s, %s: %s\n", case_verdict_text(c->verdict),
		      grade_text(c->grade) == NULL ? "-" : grade_text(c->grade),
		      c->reason == NULL ? "" : c->reason);
	for (size_t i = 0; i < c->violation_count; i++)
		print_message("  %s: %s\n", c->violations[i].oracle, c->violations[i].message);
	for (size_t i = 0; i < c->note_count; i++)
		print_message("  note: %s\n", c->notes[i]);
}

bool kill_test_violation(const struct case_result *c, const char *oracle)
{
	for (size_t i = 0; i < c->violation_count; i++)
		if (strcmp(c->violations[i].oracle, oracle) == 0)
			return true;
	return false;
}

bool kill_test_note(const struct case_result *c, const char *text)
{
	for (size_t i = 0; i < c->note_count; i++)
		if (strstr(c->notes[i], text) != NULL)
			return true;
	return false;
}

const char *kill_test_unknown(const struct case_result *c)
{
	for (size_t i = 0; i < c->not_applicable_count; i++)
		if (strcmp(c->not_applicable[i].oracle, "history") == 0)
			return c->not_applicable[i].reason;
	return "";
}

/* Entries of a folder whose names begin so. */
static int entries(const char *folder, const char *prefix)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	(void)closedir(dir);
	return count;
}

/* Files of libfaketime whose process is dead. */
static int faketime_entries(void)
{

	DIR *dir = opendir("/dev/shm");
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		int pid;

		if (sscanf(entry->d_name, "faketime_shm_%d", &pid) == 1 ||
		    sscanf(entry->d_name, "sem.faketime_sem_%d", &pid) == 1)
			count += kill(pid, 0) != 0;
	}
	(void)closedir(dir);
	return count;
}

void kill_test_nothing_left(void)
{
	int ms = 0;

	assert_int_equal(entries(temporary, "plugpull"), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child */
	/* Other tests that run beside this one sweep theirs within moments. */
	while (faketime_entries() > faketime_files && ms++ < FOREIGN_SWEEP_MS)
		(void)usleep(1000);
	assert_true(faketime_entries() <= faketime_files);
}

int kill_test_make_folder(void **state)
{
	(void)state;
	faketime_files = faketime_entries();
	if (mkdtemp(temporary) == NULL && mkdtemp(temporary = on_disk) == NULL)
		return -1;
	return setenv("TMPDIR", temporary, 1);
}

int kill_test_remove_folder(void **state)
{
	(void)state;
	/* A harness that was killed leaves its folder. */
	char *command = xasprintf("rm -rf %s", temporary);
	int status = system(command);

	free(command);
	return status;
}

const char *kill_test_folder(void)
{
	return temporary;
}
