/*
 * A process of the real kills, from its start to its end: it gets its job, waits until all of the
 * round are let go, works, and reports every promise at once. See kill.h and kill_internal.h.
 *
 * It is forked, which costs a quarter of a millisecond. Where a library has to be in place before
 * SQLite asks it anything (libfaketime), the same program is executed again, which costs ten times
 * that, and the job goes through a file descriptor.
 *
 * A forked one has the parent's SQLite, configured for one thread and for recoveries without
 * malloc, and the state of its random numbers. It starts SQLite over, or its parent has (a lane,
 * for all of them), and draws new random numbers: two processes whose logs have the same salts
 * would not be two processes.
 *
 * A promise is reported after the call that gave it has returned, by one write(2) of less than
 * PIPE_BUF bytes: a kill leaves the whole record in the pipe or nothing of it.
 */
#include "harness/drive/kill.h"
#include "harness/drive/kill_internal.h"

#include "faultinject/base/assert.h"
#include "harness/drive/observe.h"
#include "harness/drive/plant.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#ifdef PLUGPULL_COVERAGE
extern void __gcov_dump(void);
#endif

enum {
	BUSY_TIMEOUT_MS = 1000,
	BUSY_RETRIES_MAX = 30, /* each after the timeout, or at once where SQLite sees a deadlock */
	BUSY_PAUSE_US = 1000,
};

_Static_assert(KILL_RECORD_SIZE_MAX <= PIPE_BUF, "a record is written whole or not at all");

_Noreturn static void process_exit(int status)
{
#ifdef PLUGPULL_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* ---- reports ---- */

void kill_report(struct kill_process *p, const struct kill_record *r)
{
	struct buf b;

	buf_init(&b);
	kill_record_encode(r, &b);
	(void)pthread_mutex_lock(&p->reporting);
	/* Nobody is there to be told that this failed: without its parent a process ends. */
	if (write(p->out, b.data, b.size) != (ssize_t)b.size)
		process_exit(1);
	(void)pthread_mutex_unlock(&p->reporting);
	buf_release(&b);
}

static void report_failure(struct kill_process *p, const struct err *err)
{
	struct kill_record r = {.type = KILL_RECORD_FAILED, .code = err->code};

	(void)snprintf(r.text, sizeof r.text, "%s", err->message);
	kill_report(p, &r);
}

/* ---- connections ---- */

static int run_sql(const struct kill_process *p, sqlite3 *db, const char *sql, struct err *err)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, ERR_INPUT, "%s: %s: %s", p->job->path, sql, sqlite3_errmsg(db));
	return 0;
}

static int load_extension(const struct kill_process *p, sqlite3 *db, const char *file,
			  struct err *err)
{
	char *message = NULL;
	int rc = 0;

	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
	if (sqlite3_load_extension(db, file, NULL, &message) != SQLITE_OK)
		rc = err_set(err, ERR_INPUT, "%s: @load %s: %s", p->job->path, file,
			     message == NULL ? "failed" : message);
	sqlite3_free(message);
	return rc;
}

bool kill_is_busy(sqlite3 *db)
{
	int rc = sqlite3_errcode(db) & 0xff;

	return rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
}

/* Pragmas that write to the database, or shut others out of it: who only reads must not. */
static bool changes_files(const char *sql)
{
	static const char *const keys[] = {".journal_mode = ", ".page_size = ", ".auto_vacuum = ",
					   ".encoding = ", ".locking_mode = "};

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (strcasestr(sql, keys[i]) != NULL)
			return true;
	return false;
}

/* Extensions, attached files, pragmas. Processes that start together are in each other's way here:
 * to set a journal mode takes a lock, for which SQLite does not always wait. */
static int prepare_connection(struct kill_process *p, sqlite3 *db, bool all, struct err *err)
{
	const struct subject *s = p->job->subject;
	int rc = 0;

	for (size_t i = 0; i < s->load_count && rc == 0; i++)
		rc = load_extension(p, db, s->loads[i], err);
	for (size_t i = 0; i < s->attached_count && rc == 0; i++) {
		char *name = quote_identifier(s->attached[i].name);
		char *sql = sqlite3_mprintf("ATTACH %Q AS %s", s->attached[i].file, name);

		rc = run_sql(p, db, sql, err);
		sqlite3_free(sql);
		free(name);
	}
	for (size_t i = 0; i < p->observer->pragma_count && rc == 0; i++) {
		unsigned retries = 0;

		if (!all && changes_files(p->observer->pragma_sql[i]))
			continue;
		while ((rc = run_sql(p, db, p->observer->pragma_sql[i], err)) != 0 &&
		       kill_is_busy(db) && retries++ < BUSY_RETRIES_MAX)
			(void)usleep(BUSY_PAUSE_US);
	}
	return rc;
}

int kill_connect(struct kill_process *p, bool all, sqlite3 **ret_db, struct err *err)
{
	const char *path = p->job->subject->database;
	int flags = SQLITE_OPEN_READWRITE | (all ? SQLITE_OPEN_CREATE : 0);
	sqlite3 *db = NULL;
	int rc = 0;

	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
		rc = err_set(err, ERR_INPUT, "%s: cannot open the database: %s", p->job->path,
			     sqlite3_errmsg(db));
	/* Where there is no file yet os_unix tries once more, read-only; when somebody makes the
	 * file in between, that succeeds, and a checkpoint on the connection then is an I/O error.
	 */
	if (rc == 0 && sqlite3_db_readonly(db, "main") == 1)
		rc = err_set(err, ERR_INPUT, "%s: the database was made while it was opened",
			     p->job->path);
	if (rc == 0) {
		(void)sqlite3_extended_result_codes(db, 1);
		(void)sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
		rc = prepare_connection(p, db, all, err);
	}
	if (rc != 0) {
		(void)sqlite3_close(db);
		return rc;
	}
	*ret_db = db;
	return 0;
}

/* ---- the process ---- */

/* All processes of a round begin together: when the other end is closed. */
static void wait_for_start(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	(void)close(fd);
}

static enum fi_kill_defect defect_of(const char *plant)
{
	static const struct {
		const char *plant;
		enum fi_kill_defect defect;
	} defects[] = {
	    {PLANT_LOG_UNSYNCED, FI_KILL_LOG_UNSYNCED},
	    {PLANT_FOLDER_UNSYNCED, FI_KILL_FOLDER_UNSYNCED},
	    {PLANT_LOG_HOLES, FI_KILL_LOG_HOLES},
	};

	for (size_t i = 0; plant != NULL && i < sizeof defects / sizeof defects[0]; i++)
		if (strcmp(defects[i].plant, plant) == 0)
			return defects[i].defect;
	return FI_KILL_SOUND;
}

static int work(struct kill_process *p, struct err *err)
{
	switch (p->job->role) {
	case KILL_ROLE_READER:
		return kill_reader_work(p, err);
	case KILL_ROLE_CHECKPOINTER:
		return kill_checkpointer_work(p, err);
	case KILL_ROLE_SETUP:
	case KILL_ROLE_REFERENCE:
	case KILL_ROLE_WRITER:
		break;
	}
	return kill_writer_work(p, err);
}

/* 0, or 1 after a failure that was reported. */
static int live(struct kill_process *p, int go, struct err *err)
{
	struct kill_record started = {.type = KILL_RECORD_STARTED};
	struct kill_record done = {.type = KILL_RECORD_DONE};
	struct observer observer;
	int rc;

	fi_vfs_kill_log(p->log);
	fi_vfs_kill_plant(defect_of(p->job->plant));
	observer_init(&observer, p->job->subject,
		      p->job->reading == NULL ? NULL : p->job->reading->probes);
	p->observer = &observer;
	started.clock = (int64_t)time(NULL);
	kill_report(p, &started);
	wait_for_start(go);
	fi_vfs_kill_arm(p->job->plan);
	rc = work(p, err);
	done.counts = fi_vfs_kill_counts();
	if (rc == 0)
		kill_report(p, &done);
	else
		report_failure(p, err);
	observer_release(&observer);
	return rc == 0 ? 0 : 1;
}

int kill_process_prepare(const char *folder, struct err *err)
{
	static const sqlite3_mem_methods standard; /* all NULL: SQLite's own */
	static bool prepared;
	int rc = SQLITE_OK;

	if (prepared)
		return 0;
	prepared = true;
	/* SQLite unlinks a temporary file when it has opened it; a kill in between leaves it. */
	(void)setenv("SQLITE_TMPDIR", folder, 1);
	rc = sqlite3_shutdown();
	if (rc == SQLITE_OK)
		rc = sqlite3_config(SQLITE_CONFIG_SERIALIZED);
	if (rc == SQLITE_OK)
		rc = sqlite3_config(SQLITE_CONFIG_MALLOC, &standard);
	if (rc == SQLITE_OK)
		rc = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (rc == SQLITE_OK)
		rc = sqlite3_initialize();
	if (rc != SQLITE_OK)
		return err_set(err, ERR_HARNESS, "cannot start SQLite over: %s",
			       sqlite3_errstr(rc));
	return fi_vfs_kill_register(err);
}

void kill_process_run(const struct kill_job *job, const struct kill_round *r, int go, int out,
		      uint16_t number)
{
	struct kill_process p = {
	    .job = job,
	    .over = r->over,
	    .out = out,
	    .log = r->log,
	    .reporting = PTHREAD_MUTEX_INITIALIZER,
	};
	struct err err = ERR_INIT;

	(void)prctl(PR_SET_NAME, "plugpull-kill");
	fi_kill_log_actor(number);
	if (kill_process_prepare(r->folder->path, &err) != 0) {
		report_failure(&p, &err);
		process_exit(1);
	}
	sqlite3_randomness(0, NULL);
	process_exit(live(&p, go, &err));
}

/* ---- executed again ---- */

bool kill_is_writer(void)
{
	return getenv(KILL_ENVIRONMENT) != NULL;
}

static int read_job(int fd, struct kill_job *ret_job, struct err *err)
{
	struct buf text;
	ssize_t n;
	int rc = 0;

	buf_init(&text);
	do {
		buf_reserve(&text, PIPE_BUF);
		n = read(fd, text.data + text.size, PIPE_BUF);
		if (n > 0)
			text.size += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		rc = err_set(err, ERR_HARNESS, "cannot read a job: %s", strerror(errno));
	else
		rc = kill_job_decode((const char *)text.data, text.size, ret_job, err);
	buf_release(&text);
	(void)close(fd);
	return rc;
}

int kill_writer_main(void)
{
	const char *fds = getenv(KILL_ENVIRONMENT);
	struct kill_process p = {.reporting = PTHREAD_MUTEX_INITIALIZER};
	struct kill_job job = {0};
	struct err err = ERR_INIT;
	int fd, go, rc;

	/* /proc/self/exe was executed, and names the process "exe". */
	(void)prctl(PR_SET_NAME, "plugpull-kill");
	if (fds == NULL || sscanf(fds, "%d %d %d", &fd, &go, &p.out) != 3)
		return err_exit_code(ERR_USAGE);
	rc = kill_clock_begin(&err);
	if (rc == 0)
		rc = read_job(fd, &job, &err);
	if (rc == 0)
		rc = fi_vfs_kill_register(&err);
	if (rc != 0) {
		kill_job_release(&job);
		report_failure(&p, &err);
		return 1;
	}
	p.job = &job;
	rc = live(&p, go, &err);
	kill_job_release(&job);
	return rc;
}
