/* See own_check.h. */
#include "harness/drive/own_check.h"

#include "harness/drive/observe.h"

#include <stdio.h>
#include <string.h>

/* Of the machine that the check sees; any number, the same for all states. */
enum { SEED = 0x6f776e };

static struct {
	own_check_fn *check;
	void (*strays)(void *ctx);
	void *ctx;
	bool forgets;
} own;

void own_check_set(own_check_fn *check, void (*strays)(void *ctx), void *ctx)
{
	own.check = check;
	own.strays = strays;
	own.ctx = ctx;
	own.forgets = false;
}

bool own_check_is_set(void)
{
	return own.check != NULL;
}

bool own_check_is_oracle(const char *oracle)
{
	return strcmp(oracle, "own-check") == 0;
}

void own_check_boot(struct storage *storage, struct trace_device device)
{
	fi_vfs_boot(storage, SEED, device);
	fi_vfs_call_limit(OBSERVE_CALLS_MAX);
}

void own_check_ask(char ret[OBSERVATION_TEXT_SIZE])
{
	int answer;

	ret[0] = '\0';
	answer = own.check(own.ctx, ret, OBSERVATION_TEXT_SIZE);
	ret[OBSERVATION_TEXT_SIZE - 1] = '\0';
	if (answer == 0)
		ret[0] = '\0';
	else if (ret[0] == '\0')
		(void)snprintf(ret, OBSERVATION_TEXT_SIZE, "it returned %d", answer);
}

void own_check_strays(void)
{
	if (own.strays != NULL)
		own.strays(own.ctx);
}

void own_check_forget(bool forget)
{
	own.forgets = forget;
}

bool own_check_forgets(void)
{
	return own.forgets;
}
