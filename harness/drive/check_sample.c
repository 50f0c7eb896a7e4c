/* See check_sample.h. */
#include "harness/drive/check_sample.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "harness/drive/check_command.h"
#include "harness/drive/state_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_ATTEMPTS = 4 }; /* for each random state that is still wanted */

/* A byte at which reads of an inode are cut. */
struct cut {
	uint32_t inode;
	uint64_t at;
};

struct sampler {
	const struct check_job *job;
	const struct trace *t;
	struct crashdisk *disk;
	struct check_command *command;
	struct choice choice;
	struct prng random;
	struct state_files files; /* of the present state */
	const char **paths;	  /* owned; of all files that there ever were */
	size_t path_count;
	size_t common_size;		  /* bytes of the folder that all files are in */
	struct state_conflict *conflicts; /* owned */
	size_t conflict_count;
	struct cut *cuts; /* of the present crash point, by inode and place */
	size_t cut_count, cut_cap;
	struct buf output;
	uint64_t *shown; /* hashes of states */
	size_t shown_count, shown_cap;
	struct check_sampled *result;
};

/* ---- the files of a trace ---- */

static void find_files(struct sampler *s)
{
	uint32_t *names = state_files_names(s->t, &s->path_count);

	s->paths = xcalloc(s->path_count + 1, sizeof *s->paths);
	/* The longest folder that all of them are in, with its slash. */
	for (size_t k = 0; k < s->path_count; k++) {
		const char *path = s->paths[k] = s->t->names[names[k]], *first = s->paths[0];
		size_t same = 0;

		if (k == 0)
			s->common_size = (size_t)(strrchr(path, '/') + 1 - path);
		for (size_t i = 0; i < s->common_size && path[i] == first[i]; i++)
			if (path[i] == '/')
				same = i + 1;
		s->common_size = same;
	}
	free(names);
	s->conflicts = state_files_conflicts(s->paths, s->path_count, &s->conflict_count);
}

static int compare_cuts(const void *a, const void *b)
{
	const struct cut *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static void add_cut(struct sampler *s, uint32_t inode, uint64_t at)
{
	s->cuts = xgrow(s->cuts, s->cut_count, &s->cut_cap, sizeof *s->cuts);
	s->cuts[s->cut_count++] = (struct cut){inode, at};
}

/* Where writes up to a position begin and end, in whole sectors: what lies between two of these was
 * written by the same operations. */
static void find_cuts(struct sampler *s, uint64_t position)
{
	uint64_t ss = s->job->ix->sector_size;

	s->cut_count = 0;
	for (uint64_t p = 1; p <= position; p++) {
		const struct op *op = trace_at(s->t, p);

		if (op->kind != OP_WRITE || op->size == 0)
			continue;
		add_cut(s, op->inode, op->offset / ss * ss);
		add_cut(s, op->inode, (op->offset + op->size + ss - 1) / ss * ss);
	}
	if (s->cut_count > 0)
		qsort(s->cuts, s->cut_count, sizeof *s->cuts, compare_cuts);
}

static void find_output(struct sampler *s, uint64_t position)
{
	buf_clear(&s->output);
	for (uint64_t p = 1; p <= position; p++)
		if (trace_at(s->t, p)->kind == OP_OUTPUT)
			buf_append(&s->output, trace_at(s->t, p)->data, trace_at(s->t, p)->size);
}

/* ---- one state ---- */

/* The first cut of an inode behind `at`. */
static uint64_t next_cut(const struct sampler *s, uint32_t inode, uint64_t at, uint64_t end)
{
	size_t low = 0, high = s->cut_count;
	const struct cut key = {inode, at};

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_cuts(&s->cuts[middle], &key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < s->cut_count && s->cuts[low].inode == inode && s->cuts[low].at < end)
		return s->cuts[low].at;
	return end;
}

static int open_file(void *ctx, const char *path, uint32_t *ret_file)
{
	const struct sampler *s = ctx;
	struct state_source disk = state_source_of(crashdisk_storage(s->disk));

	return disk.open(disk.ctx, path, ret_file);
}

static int size_of(void *ctx, uint32_t file, uint64_t *ret_size)
{
	const struct sampler *s = ctx;
	struct state_source disk = state_source_of(crashdisk_storage(s->disk));

	return disk.size(disk.ctx, file, ret_size);
}

/* Reads end at cuts, so that what was written together is decided together, and nothing else. */
static int read_content(void *ctx, uint32_t file, uint64_t offset, void *buf, size_t size)
{
	const struct sampler *s = ctx;
	struct state_source disk = state_source_of(crashdisk_storage(s->disk));
	int code = 0;

	for (uint64_t at = offset, end; at < offset + size && code == 0; at = end) {
		end = next_cut(s, file, at, offset + size);
		code = disk.read(disk.ctx, file, at, (uint8_t *)buf + (at - offset), end - at);
	}
	return code;
}

/* Reads all files, which decides everything. ERR_LIMIT: they are too large. */
static int read_state(struct sampler *s, struct err *err)
{
	const struct state_source source = {open_file, size_of, read_content, s};

	crashdisk_begin(s->disk, &s->choice);
	int rc = state_files_read(&s->files, &source, s->paths, s->path_count, s->common_size, err);
	if (rc == 0 && s->choice.diverged)
		rc = err_set(err, ERR_HARNESS, "the states of --check diverged at '%s'",
			     crashdisk_last_question(s->disk) == NULL
				 ? "the start"
				 : crashdisk_last_question(s->disk));
	return rc;
}

/* A file, and another one in a folder of its name: a disk has one of them. */
static bool is_impossible(const struct sampler *s)
{
	for (size_t i = 0; i < s->conflict_count; i++)
		if (s->files.items[s->conflicts[i].file].present &&
		    s->files.items[s->conflicts[i].below].present)
			return true;
	return false;
}

/* Was the same shown before? Remembers it. */
static bool is_known(struct sampler *s)
{
	uint64_t h = hash64(s->output.data, s->output.size, 1);

	for (size_t i = 0; i < s->files.count; i++) {
		const struct laid_file *f = &s->files.items[i];

		h = hash_mix(h, f->present);
		h = hash_mix(h,
			     f->same_as == NULL ? 0 : 1 + (uint64_t)(f->same_as - s->files.items));
		h = hash_mix(h, hash64(f->data, f->size, f->size));
	}
	for (size_t i = 0; i < s->shown_count; i++)
		if (s->shown[i] == h)
			return true;
	s->shown = xgrow(s->shown, s->shown_count, &s->shown_cap, sizeof *s->shown);
	s->shown[s->shown_count++] = h;
	return false;
}

static bool is_over(const struct sampler *s)
{
	return s->result->states >= s->job->states_max ||
	       (s->job->stopped != NULL && s->job->stopped(s->job->ctx));
}

/* Shows the state that was read. */
static int show(struct sampler *s, enum check_end *ret_end, char message[CHECK_MESSAGE_SIZE],
		struct err *err)
{
	int rc = check_command_run(s->command, s->files.items, s->files.count, &s->output,
				   s->job->stopped, s->job->ctx, ret_end, message, err);

	if (rc == 0 && *ret_end != CHECK_STOPPED)
		s->result->states++;
	return rc;
}

static void set_verdict(struct verdict *v, const char *message)
{
	v->oracle = "check";
	v->grade = GRADE_CORRUPT;
	(void)snprintf(v->message, sizeof v->message, "the command of --check objects: %s",
		       message);
}

static void keep_finding(struct sampler *s, const struct explore_point *point, const char *message)
{
	struct finding *f = &s->result->finding;

	*f = (struct finding){.position = point->position,
			      .cut_bytes = point->cut_bytes,
			      .promise = point->promises[point->promise_count - 1],
			      .answers = xcalloc(s->choice.count, sizeof *f->answers),
			      .answer_count = s->choice.count,
			      .recovery = s->result->states};
	set_verdict(&f->verdict, message);
	for (size_t i = 0; i < s->choice.count; i++)
		f->answers[i] = s->choice.steps[i].answer;
	s->result->objects = true;
}

/* Reads and shows one state, unless it is known. */
static int try_state(struct sampler *s, const struct explore_point *point, const uint32_t *prefix,
		     size_t prefix_count, enum choice_tail tail, struct err *err)
{
	char message[CHECK_MESSAGE_SIZE];
	enum check_end end;
	int rc;

	choice_begin(&s->choice, prefix, prefix_count, 0, tail);
	s->choice.random = &s->random;
	rc = read_state(s, err);
	if (rc != 0 || is_impossible(s) || is_known(s))
		return rc;
	rc = show(s, &end, message, err);
	if (rc == 0 && end == CHECK_OBJECTS)
		keep_finding(s, point, message);
	return rc;
}

/* ---- one crash point ---- */

/* Each single decision of the newest state that could be older: by one, and as old as can be. */
static int try_omissions(struct sampler *s, const struct explore_point *point, uint64_t room,
			 struct err *err)
{
	size_t steps = s->choice.count, count = 0;
	uint32_t *n = xcalloc(steps, sizeof *n), *prefix = xcalloc(steps, sizeof *prefix);
	struct omission {
		size_t step;
		uint32_t answer;
	} *omissions = xcalloc(2 * steps, sizeof *omissions);
	int rc = 0;

	for (size_t i = 0; i < steps; i++)
		n[i] = s->choice.steps[i].n;
	for (size_t i = 0; i < steps; i++) {
		omissions[count++] = (struct omission){i, 1};
		if (n[i] > 2)
			omissions[count++] = (struct omission){i, n[i] - 1};
	}
	uint64_t wanted = count < room ? count : room;
	for (uint64_t k = 0; k < wanted && rc == 0 && !s->result->objects && !is_over(s); k++) {
		const struct omission *o = &omissions[(k + 1) * count / wanted - 1];

		prefix[o->step] = o->answer;
		rc = try_state(s, point, prefix, o->step + 1, CHOICE_FIRST, err);
		prefix[o->step] = 0;
	}
	free(omissions);
	free(prefix);
	free(n);
	return rc;
}

/* The files as the program had left them, and what it had written by then. *ret_fine: the command
 * has nothing against them. The choices of the newest state are left in s->choice. */
static int try_nothing_lost(struct sampler *s, const struct explore_point *point, bool last,
			    bool *ret_fine, struct err *err)
{
	char message[CHECK_MESSAGE_SIZE];
	enum check_end end = CHECK_FINE;
	int rc;

	find_output(s, point->position);
	choice_begin(&s->choice, NULL, 0, 0, CHOICE_FIRST);
	rc = read_state(s, err);
	if (rc == 0 && !is_known(s))
		rc = show(s, &end, message, err);
	*ret_fine = end == CHECK_FINE;
	if (rc == 0 && end == CHECK_OBJECTS) {
		s->result->points_over++;
		if (last)
			s->result->not_applicable = xasprintf(
			    "the command objects to the files as the program left them: %s",
			    message);
	}
	return rc;
}

static int sample_point(struct sampler *s, const struct explore_point *point, bool last,
			uint64_t quota, struct err *err)
{
	uint64_t until = s->result->states + quota;
	uint64_t promise = point->promises[point->promise_count - 1];
	bool fine = true;
	int rc = 0;

	s->result->points++;
	find_cuts(s, point->position);
	crashdisk_open(s->disk, point->position, point->cut_bytes);
	/* A write that was cut is no state that the program left. */
	if (point->cut_bytes == SIZE_MAX)
		rc = try_nothing_lost(s, point, last, &fine, err);
	if (rc != 0 || !fine)
		return rc;
	/* At the time of the crash more may have been said than the disk has followed. */
	find_output(s, promise);
	rc = try_state(s, point, NULL, 0, CHOICE_FIRST, err);
	if (rc != 0 || s->result->objects || s->choice.count == 0)
		return rc;
	uint64_t left = until > s->result->states ? until - s->result->states : 0;
	rc = try_omissions(s, point, left > 3 ? left * 3 / 4 : left, err);
	if (rc == 0 && !s->result->objects && !is_over(s))
		rc = try_state(s, point, NULL, 0, CHOICE_LAST, err);
	for (uint64_t k = 0; k < quota * RANDOM_ATTEMPTS && s->result->states < until && rc == 0 &&
			     !s->result->objects && !is_over(s);
	     k++)
		rc = try_state(s, point, NULL, 0, CHOICE_RANDOM, err);
	return rc;
}

/* ---- all of it ---- */

static uint64_t timeout_ns_of(const struct check_job *job)
{
	return job->timeout_ns != 0 ? job->timeout_ns
				    : (uint64_t)CHECK_COMMAND_SECONDS * 1000000000u;
}

static void sampler_init(struct sampler *s, const struct check_job *job, struct check_sampled *ret)
{
	*s = (struct sampler){.job = job, .t = job->ix->trace, .result = ret};
	choice_init(&s->choice);
	state_files_init(&s->files);
	buf_init(&s->output);
	prng_init(&s->random, job->seed, "check");
	s->disk = crashdisk_create(job->ix, job->model);
	crashdisk_set_representative(s->disk, true);
	find_files(s);
}

static void sampler_release(struct sampler *s)
{
	check_command_free(s->command);
	crashdisk_free(s->disk);
	choice_release(&s->choice);
	state_files_release(&s->files);
	buf_release(&s->output);
	free(s->paths);
	free(s->conflicts);
	free(s->cuts);
	free(s->shown);
}

void check_sampled_release(struct check_sampled *s)
{
	free(s->not_applicable);
	free(s->finding.answers);
	*s = (struct check_sampled){0};
}

int check_sample(const struct check_job *job, struct check_sampled *ret, struct err *err)
{
	const struct explore_points *points = job->points;
	uint64_t points_max = job->model->process_crash ? CHECK_STATES : CHECK_POINTS;
	size_t wanted = points->count < points_max ? points->count : (size_t)points_max;
	struct sampler s;

	*ret = (struct check_sampled){0};
	sampler_init(&s, job, ret);
	int rc = check_command_create(job->command, timeout_ns_of(job), &s.command, err);
	/* The last one first: it tells whether the command can say anything. */
	for (size_t k = wanted; k > 0 && rc == 0 && !ret->objects && !is_over(&s); k--) {
		size_t index = k * points->count / wanted - 1;
		uint64_t quota = (job->states_max - ret->states) / k;

		rc = sample_point(&s, &points->items[index], k == wanted, quota == 0 ? 1 : quota,
				  err);
		if (k == wanted && ret->not_applicable != NULL)
			break;
		ret->whole = k == 1;
	}
	if (rc == ERR_LIMIT) {
		ret->not_applicable = xstrdup(err->message);
		rc = 0;
	}
	bool stopped = job->stopped != NULL && job->stopped(job->ctx);
	ret->whole = ret->objects || (!stopped && (ret->whole || ret->not_applicable != NULL ||
						   ret->states >= CHECK_STATES));
	sampler_release(&s);
	if (rc != 0)
		check_sampled_release(ret);
	return rc;
}

/* Reads the state of a case. */
static int read_case(struct sampler *s, const struct case_state *state,
		     void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n),
		     void *tell_ctx, struct err *err)
{
	size_t cut = state->has_cut ? (size_t)state->cut_bytes : SIZE_MAX;

	find_cuts(s, state->position);
	find_output(s, state->promise);
	crashdisk_open(s->disk, state->position, cut);
	crashdisk_narrate(s->disk, tell, tell_ctx);
	choice_begin(&s->choice, state->answers, state->answer_count, 0, CHOICE_FIRST);
	int rc = read_state(s, err);
	if (rc == 0 && s->choice.count != state->answer_count)
		rc = err_set(err, ERR_HARNESS, "the state asked %zu questions, not %zu",
			     s->choice.count, state->answer_count);
	return rc;
}

int check_again(const struct check_job *job, const struct case_state *state,
		void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n),
		void *tell_ctx, bool *ret_objects, struct verdict *ret_verdict, struct err *err)
{
	struct check_sampled result = {0};
	char message[CHECK_MESSAGE_SIZE];
	enum check_end end = CHECK_FINE;
	struct sampler s;
	int rc;

	sampler_init(&s, job, &result);
	rc = check_command_create(job->command, timeout_ns_of(job), &s.command, err);
	if (rc == 0)
		rc = read_case(&s, state, tell, tell_ctx, err);
	if (rc == 0)
		rc = show(&s, &end, message, err);
	if (rc == 0 && end == CHECK_STOPPED)
		rc = err_set(err, ERR_INTERRUPTED, "stopped");
	*ret_objects = rc == 0 && end == CHECK_OBJECTS;
	if (*ret_objects)
		set_verdict(ret_verdict, message);
	sampler_release(&s);
	return rc;
}

int check_look(const struct check_job *job, const struct case_state *state,
	       void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n),
	       void (*begun)(void *ctx, struct crashdisk *disk),
	       void (*seen)(void *ctx, struct crashdisk *disk), void *ctx, struct err *err)
{
	struct check_sampled result = {0};
	struct sampler s;

	sampler_init(&s, job, &result);
	begun(ctx, s.disk);
	int rc = read_case(&s, state, tell, ctx, err);
	if (rc == 0)
		seen(ctx, s.disk);
	sampler_release(&s);
	return rc;
}

int check_read(const struct check_job *job, const struct case_state *state,
	       struct state_files *ret_files, struct err *err)
{
	struct check_sampled result = {0};
	struct sampler s;

	sampler_init(&s, job, &result);
	/* As they are named in the trace. */
	s.common_size = 0;
	int rc = read_case(&s, state, NULL, NULL, err);
	if (rc == 0) {
		state_files_release(ret_files);
		*ret_files = s.files;
		state_files_init(&s.files);
	}
	sampler_release(&s);
	return rc;
}
