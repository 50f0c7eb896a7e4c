/* See check_sample.h. */
#include "harness/drive/check_sample.h"

#include "faultinject/base/arena.h"
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "harness/drive/check_command.h"

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
	struct arena arena;	  /* contents of the present state */
	struct check_file *files; /* [names] of the present state */
	uint32_t *inodes;	  /* [names] that they have, beside them */
	size_t file_count;
	size_t common_size; /* bytes of the folder that all files are in */
	bool *is_file;	    /* [name_count + 1] */
	struct cut *cuts;   /* of the present crash point, by inode and place */
	size_t cut_count, cut_cap;
	struct buf output;
	uint64_t *shown; /* hashes of states */
	size_t shown_count, shown_cap;
	struct check_sampled *result;
};

/* ---- the files of a trace ---- */

static void find_files(struct sampler *s)
{
	const struct trace *t = s->t;
	const char *first = NULL;

	s->is_file = xcalloc((size_t)t->name_count + 1, sizeof *s->is_file);
	for (size_t i = 0; i < t->base_count; i++)
		s->is_file[t->base[i].name] = true;
	for (size_t i = 0; i < t->op_count; i++) {
		const struct op *op = &t->ops[i];

		if (op->kind == OP_CREATE)
			s->is_file[op->name] = true;
		if (op->kind == OP_RENAME || op->kind == OP_LINK)
			s->is_file[op->name2] = true;
	}
	/* The longest folder that all of them are in, with its slash. */
	for (uint32_t n = 1; n <= t->name_count; n++) {
		const char *path = t->names[n];
		size_t same = 0;

		if (!s->is_file[n])
			continue;
		if (first == NULL) {
			first = path;
			s->common_size = (size_t)(strrchr(path, '/') + 1 - path);
		}
		for (size_t i = 0; i < s->common_size && path[i] == first[i]; i++)
			if (path[i] == '/')
				same = i + 1;
		s->common_size = same;
	}
	s->files = xcalloc((size_t)t->name_count + 1, sizeof *s->files);
	s->inodes = xcalloc((size_t)t->name_count + 1, sizeof *s->inodes);
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

static int disk_failed(const char *path, int code, struct err *err)
{
	return err_set(err, ERR_HARNESS, "the disk cannot be read at %s: %s", path,
		       strerror(-code));
}

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

static int read_content(struct sampler *s, uint32_t inode, struct check_file *f, struct err *err)
{
	struct storage *disk = crashdisk_storage(s->disk);
	uint8_t *data = f->size == 0 ? NULL : arena_alloc(&s->arena, f->size);

	for (uint64_t at = 0, end; at < f->size; at = end) {
		size_t got = 0;

		end = next_cut(s, inode, at, f->size);
		int code = disk->ops->read(disk, inode, at, data + at, end - at, &got);
		if (code != 0 || got != end - at)
			return disk_failed(f->path, code, err);
	}
	f->data = data;
	return 0;
}

/* Reads all files, which decides everything. ERR_LIMIT: they are too large. */
static int read_state(struct sampler *s, struct err *err)
{
	struct storage *disk = crashdisk_storage(s->disk);
	uint64_t total = 0;

	crashdisk_begin(s->disk, &s->choice);
	arena_reset(&s->arena);
	s->file_count = 0;
	for (uint32_t n = 1; n <= s->t->name_count; n++) {
		const char *path = s->t->names[n];
		struct check_file *f = &s->files[s->file_count];
		uint32_t inode = 0;
		bool created;

		if (!s->is_file[n])
			continue;
		*f = (struct check_file){.path = path + s->common_size};
		int code = disk->ops->open(disk, path, false, &inode, &created);
		if (code != 0 && code != -ENOENT)
			return disk_failed(path, code, err);
		f->present = code == 0;
		for (size_t i = 0; f->present && i < s->file_count && f->same_as == NULL; i++)
			if (s->files[i].present && s->inodes[i] == inode)
				f->same_as = &s->files[i];
		if (f->present && f->same_as == NULL) {
			code = disk->ops->size(disk, inode, &f->size);
			if (code != 0)
				return disk_failed(path, code, err);
			total += f->size;
			if (f->size > CHECK_STATE_BYTES_MAX || total > CHECK_STATE_BYTES_MAX)
				return err_set(err, ERR_LIMIT,
					       "the files of one state are larger than %d MiB",
					       (int)(CHECK_STATE_BYTES_MAX >> 20));
			int rc = read_content(s, inode, f, err);
			if (rc != 0)
				return rc;
		}
		s->inodes[s->file_count++] = inode;
	}
	if (s->choice.diverged)
		return err_set(err, ERR_HARNESS, "the states of --check diverged at '%s'",
			       crashdisk_last_question(s->disk) == NULL
				   ? "the start"
				   : crashdisk_last_question(s->disk));
	return 0;
}

/* Was the same shown before? Remembers it. */
static bool is_known(struct sampler *s)
{
	uint64_t h = hash64(s->output.data, s->output.size, 1);

	for (size_t i = 0; i < s->file_count; i++) {
		const struct check_file *f = &s->files[i];

		h = hash_mix(h, f->present);
		h = hash_mix(h, f->same_as == NULL ? 0 : 1 + (uint64_t)(f->same_as - s->files));
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
	int rc = check_command_run(s->command, s->files, s->file_count, &s->output, s->job->stopped,
				   s->job->ctx, ret_end, message, err);

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
	if (rc != 0 || is_known(s))
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

static int sampler_init(struct sampler *s, const struct check_job *job, struct check_sampled *ret,
			struct err *err)
{
	uint64_t timeout_ns =
	    job->timeout_ns != 0 ? job->timeout_ns : (uint64_t)CHECK_COMMAND_SECONDS * 1000000000u;

	*s = (struct sampler){.job = job, .t = job->ix->trace, .result = ret};
	choice_init(&s->choice);
	arena_init(&s->arena);
	buf_init(&s->output);
	prng_init(&s->random, job->seed, "check");
	s->disk = crashdisk_create(job->ix, job->model);
	crashdisk_set_representative(s->disk, true);
	find_files(s);
	return check_command_create(job->command, timeout_ns, &s->command, err);
}

static void sampler_release(struct sampler *s)
{
	check_command_free(s->command);
	crashdisk_free(s->disk);
	choice_release(&s->choice);
	arena_release(&s->arena);
	buf_release(&s->output);
	free(s->files);
	free(s->inodes);
	free(s->is_file);
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
	int rc = sampler_init(&s, job, ret, err);
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

int check_again(const struct check_job *job, const struct case_state *state,
		void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n),
		void *tell_ctx, bool *ret_objects, struct verdict *ret_verdict, struct err *err)
{
	size_t cut = state->has_cut ? (size_t)state->cut_bytes : SIZE_MAX;
	struct check_sampled result = {0};
	char message[CHECK_MESSAGE_SIZE];
	enum check_end end = CHECK_FINE;
	struct sampler s;
	int rc = sampler_init(&s, job, &result, err);

	if (rc != 0)
		goto out;
	find_cuts(&s, state->position);
	find_output(&s, state->promise);
	crashdisk_open(s.disk, state->position, cut);
	crashdisk_narrate(s.disk, tell, tell_ctx);
	choice_begin(&s.choice, state->answers, state->answer_count, 0, CHOICE_FIRST);
	rc = read_state(&s, err);
	if (rc == 0 && s.choice.count != state->answer_count)
		rc = err_set(err, ERR_HARNESS, "the state asked %zu questions, not %zu",
			     s.choice.count, state->answer_count);
	if (rc == 0)
		rc = show(&s, &end, message, err);
	if (rc == 0 && end == CHECK_STOPPED)
		rc = err_set(err, ERR_INTERRUPTED, "stopped");
	*ret_objects = rc == 0 && end == CHECK_OBJECTS;
	if (*ret_objects)
		set_verdict(ret_verdict, message);
out:
	sampler_release(&s);
	return rc;
}
