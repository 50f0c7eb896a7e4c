/*
 * `states SCENARIO SECTOR COUNT FOLDER SHELL`: crash states as files, each checked with the sqlite3
 * shell, against the same crash points explored.
 *
 * The crash points are those of the second half of the run that leave between STATES_MIN and
 * STATES_MAX states, so that they can be enumerated. COUNT states, spread evenly over them, are
 * written to FOLDER (on tmpfs) and opened, recovered and checked by the program SHELL. Timed are
 * writing the files, the shell, and deleting the files; not the enumeration.
 */
#include "harness/bench/bench.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "harness/explore/enumerate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATES_MIN = 100, STATES_MAX = 4000, OUTPUT_SIZE = 4096 };

/* The same questions that the oracles of the reference scenario ask: is the file whole, does every
 * batch have its full count; and all rows are read. */
static const char check_sql[] =
    "PRAGMA integrity_check; "
    "SELECT count(*), sum(length(payload)) FROM events; "
    "SELECT max(version) FROM schema_version; "
    "SELECT 'torn', batch_id FROM events GROUP BY batch_id HAVING count(*) <> max(batch_count);";

struct materialise {
	const char *folder, *shell, *database;
	uint64_t stride, next, seen; /* of the present crash point's states */
	uint64_t count;		     /* states checked */
	double seconds;
};

/* Runs the shell on a database; its output goes to `ret`. */
static int run_shell(const char *shell, const char *database, const char *sql,
		     char ret[OUTPUT_SIZE], struct err *err)
{
	char *argv[] = {(char *)(uintptr_t)shell, (char *)(uintptr_t) "-batch",
			(char *)(uintptr_t)database, (char *)(uintptr_t)sql, NULL};
	posix_spawn_file_actions_t actions;
	int fd[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) != 0)
		return err_set(err, ERR_IO, "pipe: %s", strerror(errno));
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, fd[1], STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, fd[1], STDERR_FILENO);
	int rc = posix_spawnp(&pid, shell, &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(fd[1]);
	while (rc == 0 && (n = read(fd[0], ret + used, OUTPUT_SIZE - 1 - used)) > 0)
		used += (size_t)n;
	ret[used] = '\0';
	(void)close(fd[0]);
	if (rc != 0)
		return err_set(err, ERR_IO, "%s: %s", shell, strerror(rc));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, ERR_HARNESS, "%s failed: %s", shell, ret);
	return 0;
}

static char *place(const struct materialise *m, const char *path)
{
	return xasprintf("%s/%s", m->folder, strrchr(path, '/') + 1);
}

static int write_file(const struct materialise *m, const struct enumerate_file *f, struct err *err)
{
	char *path = place(m, f->path);
	int rc = 0, fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_all(fd, f->data, f->size) != 0)
		rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	free(path);
	return rc;
}

/* Deletes the files, those that SQLite made included. */
static void clear_folder(const struct materialise *m)
{
	DIR *d = opendir(m->folder);
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		(void)closedir(d);
}

/* The explorer found every state durable, so the shell must find each of them whole. */
static int check_output(const char *output, struct err *err)
{
	long events = 0, bytes = 0, version = 0;

	if (sscanf(output, "ok\n%ld|%ld\n%ld\n", &events, &bytes, &version) != 3 || events == 0 ||
	    events % 5 != 0 || strstr(output, "torn") != NULL)
		return err_set(err, ERR_HARNESS, "the sqlite3 shell says: %s", output);
	return 0;
}

static int visit(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct materialise *m = ctx;
	char output[OUTPUT_SIZE];
	int rc = 0;

	if (m->seen++ != m->next)
		return 0;
	m->next += m->stride;
	m->count++;
	double begin = bench_cpu_seconds();
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = write_file(m, &files[i], err);
	char *database = place(m, m->database);
	if (rc == 0)
		rc = run_shell(m->shell, database, check_sql, output, err);
	free(database);
	clear_folder(m);
	m->seconds += bench_cpu_seconds() - begin;
	return rc != 0 ? rc : check_output(output, err);
}

/* The crash points that can be enumerated, and how many states each has. */
static size_t choose_points(const struct bench_case *c, struct explore_point *ret, uint64_t *states)
{
	struct crashdisk *disk = crashdisk_create(c->ix, &c->model);
	size_t count = 0;
	mpz_t total;

	mpz_init(total);
	for (size_t i = 0; i < c->points.count; i++) {
		if (c->points.items[i].position < c->ix->trace->op_count / 2)
			continue;
		crashdisk_open(disk, c->points.items[i].position, SIZE_MAX);
		crashdisk_total(disk, total);
		if (mpz_cmp_ui(total, STATES_MIN) < 0 || mpz_cmp_ui(total, STATES_MAX) > 0)
			continue;
		states[count] = mpz_get_ui(total);
		ret[count++] = c->points.items[i];
	}
	mpz_clear(total);
	crashdisk_free(disk);
	return count;
}

/* What it takes to start the shell, without a database. */
static int time_start(const struct materialise *m, double *ret_seconds, struct err *err)
{
	enum { STARTS = 50 };
	char output[OUTPUT_SIZE];
	double begin = bench_cpu_seconds();
	int rc = 0;

	for (int i = 0; i < STARTS && rc == 0; i++)
		rc = run_shell(m->shell, ":memory:", "SELECT 1", output, err);
	*ret_seconds = (bench_cpu_seconds() - begin) / STARTS;
	return rc;
}

static int materialise(struct materialise *m, const struct bench_case *c,
		       const struct explore_point *points, const uint64_t *states, size_t count,
		       uint64_t wanted, struct err *err)
{
	uint64_t total = 0, visited;
	int rc = 0;

	for (size_t i = 0; i < count; i++)
		total += states[i];
	m->stride = total > wanted ? total / wanted : 1;
	for (size_t i = 0; i < count && rc == 0; i++) {
		/* The stride goes on across crash points. */
		m->next = m->next > m->seen ? m->next - m->seen : 0;
		m->seen = 0;
		rc = enumerate_states(c->ix->trace, &c->model, points[i].position, STATES_MAX,
				      visit, m, &visited, err);
		if (rc == 0 && visited != states[i])
			rc = err_set(err, ERR_HARNESS,
				     "%" PRIu64 " states were enumerated and %" PRIu64 " counted",
				     visited, states[i]);
	}
	return rc;
}

int bench_states(int argc, char **argv, struct err *err)
{
	struct bench_run run = {0};
	struct bench_case c = {0};
	struct explore_stats stats;
	struct explore_point *points = NULL;
	uint64_t *states = NULL;
	double start_seconds = 0;

	if (argc != 5)
		return err_set(err, ERR_USAGE, "states SCENARIO SECTOR COUNT FOLDER SHELL");
	struct materialise m = {.folder = argv[3], .shell = argv[4]};
	explore_stats_init(&stats);
	int rc = bench_run_load(argv[0], argv[1], &run, err);
	if (rc == 0)
		rc = bench_case_open(&run, run.trace, &c, err);
	if (rc != 0)
		goto out;
	m.database = run.subject->database;
	points = xcalloc(c.points.count, sizeof *points);
	states = xcalloc(c.points.count, sizeof *states);
	size_t count = choose_points(&c, points, states);
	struct explore_callbacks callbacks = {.examine = examiner_examine, .ctx = c.examiner};
	double begin = bench_cpu_seconds();
	rc = explore(c.ix, &c.model, points, count, &callbacks, &stats, err);
	double seconds = bench_cpu_seconds() - begin;
	if (rc == 0 && (!stats.exhaustive || examiner_grade(c.examiner) != GRADE_DURABLE))
		rc = err_set(err, ERR_HARNESS, "the crash points are not durable in every state");
	if (rc == 0)
		rc = materialise(&m, &c, points, states, count, strtoull(argv[2], NULL, 10), err);
	if (rc == 0 && m.count == 0)
		rc = err_set(err, ERR_HARNESS, "no crash point can be enumerated");
	if (rc == 0)
		rc = time_start(&m, &start_seconds, err);
	if (rc == 0)
		gmp_printf("{\"points\": %zu, \"states\": %Zd, \"recoveries\": %" PRIu64
			   ", \"seconds\": %.6f, \"checked\": %" PRIu64
			   ", \"check_seconds\": %.6f, \"start_seconds\": %.6f}\n",
			   count, stats.states, stats.recoveries, seconds, m.count, m.seconds,
			   start_seconds);
out:
	free(points);
	free(states);
	bench_case_release(&c);
	bench_run_release(&run);
	explore_stats_release(&stats);
	return rc;
}
