/* See kill_clock.h. */
#include "harness/drive/kill_clock.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "harness/drive/kill.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* "PLAN FILE" */
#define PLAN_VARIABLE "PLUGPULL_CLOCK"

enum { HALF_A_DAY_S = 12 * 60 * 60, STILL_NS = 2 * 1000 * 1000 };

/* Under these sanitizers a program with libfaketime in front hangs before
 * main(): their start-up asks for the time while libfaketime waits for its own.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_FAKE_TIME 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CAN_FAKE_TIME 0
#endif
#endif
#ifndef CAN_FAKE_TIME
#define CAN_FAKE_TIME 1
#endif

bool kill_can_fake_time(void)
{
	return CAN_FAKE_TIME;
}

/* The one for threads: in the other, which has a lock less, a thread that asks
 * for the time while the clock is moved can give its stale answer to another
 * thread. */
char *kill_find_faketime(void)
{
	static const char *const patterns[] = {
	    "/usr/lib/*/faketime/libfaketimeMT.so.1",
	    "/usr/lib/faketime/libfaketimeMT.so.1",
	    "/usr/lib64/faketime/libfaketimeMT.so.1",
	    "/usr/local/lib/faketime/libfaketimeMT.so.1",
	};
	char *found = NULL;

	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0] && found == NULL; i++) {
		glob_t g;

		if (glob(patterns[i], 0, NULL, &g) != 0)
			continue;
		found = xstrdup(g.gl_pathv[0]);
		globfree(&g);
	}
	return found;
}

const char *kill_clock_problem(const char *library)
{
	if (!kill_can_fake_time())
		return "this build has a sanitizer under which libfaketime hangs";
	return library == NULL ? "libfaketime is not installed" : NULL;
}

/* ---- what libfaketime is told ---- */

static const char *const variables[] = {
    "LD_PRELOAD",
    "TZ",
    "FAKETIME",
    "FAKETIME_TIMESTAMP_FILE",
    "FAKETIME_NO_CACHE",
    "FAKETIME_DONT_FAKE_MONOTONIC",
    "FAKETIME_FORCE_MONOTONIC_FIX",
    "FAKETIME_SHARED",
    PLAN_VARIABLE,
};

bool kill_clock_replaces(const char *variable)
{
	size_t n = strcspn(variable, "=");

	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
		if (strlen(variables[i]) == n && strncmp(variables[i], variable, n) == 0)
			return true;
	return false;
}

static int failed(struct err *err, const char *what, const char *path)
{
	return err_set(err, ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

static int replace(const char *file, const char *text, struct err *err)
{
	char *next = xasprintf("%s.next", file);
	int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0) {
		rc = failed(err, "create", next);
		goto out;
	}
	if (fd_write_all(fd, text, strlen(text)) != 0)
		rc = failed(err, "write", next);
	(void)close(fd);
	/* Who asks for the time at this moment must find one of the two whole. */
	if (rc == 0 && rename(next, file) != 0)
		rc = failed(err, "replace", file);
out:
	free(next);
	return rc;
}

int kill_clock_set(const char *file, int64_t offset_s, struct err *err)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%+" PRId64 "\n", offset_s);
	return replace(file, text, err);
}

static int freeze(const char *file, struct err *err)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL ||
	    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S\n", &tm) == 0)
		return err_set(err, ERR_IO, "what time it is cannot be written");
	return replace(file, text, err);
}

int kill_clock_environment(const struct kill_clock *clock, uint32_t number, char **ret_own,
			   size_t *ret_count, struct err *err)
{
	const char *preload = getenv("LD_PRELOAD");
	char *file = clock->plan == NULL ? xstrdup(clock->file)
					 : xasprintf("%s-%" PRIu32, clock->file, number);
	size_t n = 0;
	int rc = 0;

	if (clock->plan != NULL)
		rc = clock->plan->frozen ? freeze(file, err) : kill_clock_set(file, 0, err);
	if (rc != 0)
		goto out;
	/* What was to be loaded first still is loaded: another SQLite, for one. */
	ret_own[n++] = xasprintf("LD_PRELOAD=%s%s%s", clock->library, preload == NULL ? "" : ":",
				 preload == NULL ? "" : preload);
	ret_own[n++] = xstrdup("TZ=UTC");
	ret_own[n++] = xasprintf("FAKETIME_TIMESTAMP_FILE=%s", file);
	ret_own[n++] = xstrdup("FAKETIME_NO_CACHE=1");
	ret_own[n++] =
	    xasprintf("FAKETIME_DONT_FAKE_MONOTONIC=%d", clock->monotonic_follows ? 0 : 1);
	ret_own[n++] =
	    xasprintf("FAKETIME_FORCE_MONOTONIC_FIX=%d", clock->monotonic_follows ? 1 : 0);
	if (clock->plan != NULL)
		ret_own[n++] = xasprintf(PLAN_VARIABLE "=%s %s", clock->plan->name, file);
	*ret_count = n;
out:
	free(file);
	return rc;
}

void kill_clock_sweep(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/dev/shm/faketime_shm_%ld", (long)pid);
	(void)unlink(path);
	(void)snprintf(path, sizeof path, "/dev/shm/sem.faketime_sem_%ld", (long)pid);
	(void)unlink(path);
}

/* ---- in the process ---- */

static struct {
	pthread_mutex_t mutex;
	const struct fi_clock_plan *plan; /* NULL: none */
	char *file;
	uint64_t moves;
} own = {.mutex = PTHREAD_MUTEX_INITIALIZER};

int64_t kill_clock_us(void *ignored)
{
	struct timespec now;

	(void)ignored;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool kill_clock_has_plan(void)
{
	return own.plan != NULL;
}

static int stands_still(struct err *err)
{
	const struct timespec pause = {.tv_nsec = STILL_NS};
	int64_t before_us = kill_clock_us(NULL);

	(void)nanosleep(&pause, NULL);
	if (kill_clock_us(NULL) == before_us)
		return 0;
	return err_set(err, ERR_HARNESS, "libfaketime does not stop the clock");
}

int kill_clock_begin(struct err *err)
{
	const char *text = getenv(PLAN_VARIABLE);
	const char *blank = text == NULL ? NULL : strchr(text, ' ');
	char *name;

	kill_clock_sweep(getpid());
	if (blank == NULL)
		return 0;
	name = xasprintf("%.*s", (int)(blank - text), text);
	own.plan = fi_clock_find(name);
	free(name);
	if (own.plan == NULL)
		return err_set(err, ERR_HARNESS, "there is no clock '%s'", text);
	own.file = xstrdup(blank + 1);
	return own.plan->frozen ? stands_still(err) : 0;
}

/* By how much our clock is wrong. libfaketime does not stand in front of
 * syscall(). */
static int64_t wrong_by_s(void)
{
	struct timespec now;

	if (syscall(SYS_clock_gettime, CLOCK_REALTIME, &now) != 0)
		return 0;
	return kill_clock_us(NULL) / 1000000 - (int64_t)now.tv_sec;
}

int kill_clock_move(void *ignored, struct err *err)
{
	int64_t offset_s, seen_s;
	int rc = 0;

	(void)ignored;
	if (own.plan == NULL || own.plan->frozen)
		return 0;
	(void)pthread_mutex_lock(&own.mutex);
	offset_s = fi_clock_offset_s(own.plan, ++own.moves);
	rc = kill_clock_set(own.file, offset_s, err);
	seen_s = wrong_by_s();
	if (rc == 0 && llabs(seen_s - offset_s) > HALF_A_DAY_S)
		rc = err_set(err, ERR_HARNESS,
			     "libfaketime was told %+" PRId64 " s, and the clock is wrong by "
			     "%" PRId64 " s",
			     offset_s, seen_s);
	(void)pthread_mutex_unlock(&own.mutex);
	return rc;
}
