/*
 * The power cut of the real kills: what was not synced when a process died inside xSync is dropped
 * from the files, as the disk model allows it, and the files are put back where they were. See
 * kill_internal.h and faultinject/vfs_kill_log.h.
 *
 *     files before the round + log ─> trace ─> index ─> undecided disk at the end of the trace
 *                                       │                      │ choices: oldest, or drawn
 *                                       │ is it what is there? ▼
 *                                       └──> files       files of one state, in their place
 *
 * What a round found when it began counts as durable: a machine that was up that long has written
 * it back, and what a kill alone may lose is judged by the rounds without a power cut.
 *
 * The log is held against the files that the processes really left: a byte that was written past
 * the log would be missing in every state, and nobody would know why. Not where an operation was
 * under way, which the log leaves out and the kernel may have done.
 */
#include "harness/drive/kill_internal.h"

#include "faultinject/base/prng.h"
#include "faultinject/crashdisk.h"
#include "faultinject/trace_image.h"
#include "faultinject/trace_index.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

struct kill_power {
	char *folder; /* owned */
	struct trace *trace;
	struct trace_index *index;
	struct crashdisk *disk;
	struct choice choice;
};

/* ---- the log against the files ---- */

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t size)
{
	uint64_t i = 0;

	while (i < size && a[i] == b[i])
		i++;
	return i;
}

static int compare(const struct trace *t, const char *folder, struct err *err)
{
	struct trace_image *image = trace_image_create(t);
	struct fi_kill_file *files = NULL;
	size_t count = 0;
	int rc = kill_folder_read(folder, &files, &count, err);

	for (size_t i = 0; i < count && rc == 0; i++) {
		uint64_t size = 0;
		const uint8_t *data = trace_image_file(image, files[i].path, &size);
		uint64_t shorter = size < files[i].size ? size : files[i].size;
		uint64_t at = data == NULL ? 0 : first_difference(data, files[i].data, shorter);

		if (data == NULL)
			rc = err_set(err, ERR_HARNESS,
				     "the log of a round does not make its files: it has no %s",
				     files[i].path);
		else if (at < shorter || size != files[i].size)
			rc = err_set(err, ERR_HARNESS,
				     "the log of a round does not make its files: %s differs at "
				     "byte %" PRIu64 " (%" PRIu64 " bytes, the log says %" PRIu64
				     ")",
				     files[i].path, at, files[i].size, size);
	}
	for (uint32_t name = 1; name <= t->name_count && rc == 0; name++) {
		uint64_t size;
		size_t i = 0;

		if (trace_image_file(image, t->names[name], &size) == NULL)
			continue;
		while (i < count && strcmp(files[i].path, t->names[name]) != 0)
			i++;
		if (i == count)
			rc = err_set(err, ERR_HARNESS,
				     "the log of a round does not make its files: there is no %s",
				     t->names[name]);
	}
	kill_files_release(files, count);
	trace_image_free(image);
	return rc;
}

/* ---- states ---- */

int kill_power_create(const struct fi_kill_log *log, const struct fi_kill_file *base,
		      size_t base_count, const char *folder, const struct model *model,
		      struct kill_power **ret, struct err *err)
{
	struct kill_power *p = xcalloc(1, sizeof *p);
	size_t open_count;
	int rc = 0;

	p->folder = xstrdup(folder);
	choice_init(&p->choice);
	fi_kill_log_trace(log, base, base_count, &p->trace, &open_count);
	if (open_count == 0)
		rc = compare(p->trace, folder, err);
	if (rc == 0)
		rc = trace_index_build(p->trace, model, &p->index, err);
	if (rc != 0) {
		(void)err_context(err, "power cut");
		kill_power_free(p);
		return rc == ERR_IO ? rc : (err->code = ERR_HARNESS);
	}
	p->disk = crashdisk_create(p->index, model);
	crashdisk_open(p->disk, p->trace->op_count, SIZE_MAX);
	*ret = p;
	return 0;
}

void kill_power_free(struct kill_power *p)
{
	if (p == NULL)
		return;
	crashdisk_free(p->disk);
	trace_index_free(p->index);
	trace_free(p->trace);
	choice_release(&p->choice);
	free(p->folder);
	free(p);
	/* What stays mapped here is copied with every process of every later round. */
	(void)malloc_trim(0);
}

/* Decides about a file, all of it. False: in this state there is none. */
static bool decide_file(struct storage *s, const char *path, struct fi_kill_file *ret)
{
	uint32_t inode;
	uint64_t size = 0;
	size_t got = 0;
	bool created;

	if (s->ops->open(s, path, false, &inode, &created) != 0 ||
	    s->ops->size(s, inode, &size) != 0)
		return false;
	*ret = (struct fi_kill_file){xstrdup(path), xmalloc((size_t)size + 1), size};
	if (size > 0)
		(void)s->ops->read(s, inode, 0, ret->data, (size_t)size, &got);
	memset(ret->data + got, 0, (size_t)size - got);
	return true;
}

int kill_power_state(struct kill_power *p, unsigned number, uint64_t seed, struct err *err)
{
	struct storage *s = crashdisk_storage(p->disk);
	struct fi_kill_file *files = xcalloc(p->trace->name_count + 1, sizeof *files);
	size_t count = 0;
	struct prng random;

	prng_init(&random, prng_mix(seed) + number, "power");
	p->choice.random = &random;
	choice_begin(&p->choice, NULL, 0, 0, number == 0 ? CHOICE_LAST : CHOICE_RANDOM);
	crashdisk_begin(p->disk, &p->choice);
	for (uint32_t name = 1; name <= p->trace->name_count; name++)
		if (decide_file(s, p->trace->names[name], &files[count]))
			count++;
	int rc = kill_folder_fill(p->folder, files, count, err);

	p->choice.random = NULL;
	kill_files_release(files, count);
	return rc;
}
