/*
 * What a power cut at the moment of a kill might have left; see foreign_internal.h.
 *
 *     trace of the round ─> index ─> undecided disk at its end ─> choices ─> files, in their place
 *
 * The files of a state are opened where they are, through SQLite's own VFS, like those that the
 * kill left: a journal names its super-journal by the path that the program spelt.
 */
#include "harness/drive/foreign_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/crashdisk.h"

#include <stdlib.h>
#include <string.h>

void foreign_power_choose(const struct foreign_run *f, const struct foreign_round *r,
			  unsigned state, struct prng *random, struct choice *choice)
{
	prng_init(random, prng_mix(prng_mix(f->o->seed) + r->number) + state, "power");
	choice->random = random;
	choice_begin(choice, NULL, 0, 0, state == 0 ? CHOICE_LAST : CHOICE_RANDOM);
}

/* Decides about a file, all of it. */
static void decide(struct storage *s, struct foreign_file *file)
{
	uint32_t inode;
	uint64_t size = 0;
	size_t got = 0;
	bool created;

	free(file->data);
	file->data = NULL;
	file->size = 0;
	file->exists = s->ops->open(s, file->path, false, &inode, &created) == 0 &&
		       s->ops->size(s, inode, &size) == 0;
	if (!file->exists)
		return;
	file->data = xmalloc((size_t)size + 1);
	file->size = size;
	if (size > 0)
		(void)s->ops->read(s, inode, 0, file->data, (size_t)size, &got);
	memset(file->data + got, 0, (size_t)size - got);
}

static int judge_state(struct foreign_run *f, struct foreign_round *r, size_t m,
		       const struct foreign_disk *disk, struct crashdisk *undecided,
		       struct foreign_files *files, unsigned state, struct err *err)
{
	struct storage *storage = crashdisk_storage(undecided);
	struct observation o = {0};
	struct choice choice;
	struct prng random;
	int crash = 0, rc;

	choice_init(&choice);
	foreign_power_choose(f, r, state, &random, &choice);
	crashdisk_begin(undecided, &choice);
	for (size_t i = 0; i < files->count; i++)
		decide(storage, &files->items[i]);
	choice_release(&choice);
	rc = foreign_files_put(files, false, err);
	if (rc == 0)
		rc = kill_check_observe(&r->checker, r->subject,
					judge_probes(examiner_judge(r->examiner)), foreign_stop, f,
					&o, &crash, err);
	if (rc != 0)
		return rc;
	f->score[1 + m].checks++;
	f->score[1 + m].states++;
	foreign_round_weigh(f, r, 1 + m, disk, state, &o, crash);
	observation_release(&o);
	return 0;
}

static int judge_model(struct foreign_run *f, struct foreign_round *r, size_t m,
		       struct foreign_files *files, struct err *err)
{
	struct foreign_disk disk = {0};
	int rc = foreign_subject(f, r->trace, f->o->models[m], &disk.subject, err);

	if (rc == 0)
		rc = subject_model(disk.subject, &disk.model, err);
	if (rc == 0)
		rc = trace_index_build(r->trace, &disk.model, &disk.index, err);
	if (rc == 0) {
		struct crashdisk *undecided = crashdisk_create(disk.index, &disk.model);

		crashdisk_open(undecided, r->trace->op_count, SIZE_MAX);
		for (unsigned i = 0; i < FOREIGN_POWER_STATES && rc == 0; i++)
			rc = judge_state(f, r, m, &disk, undecided, files, i, err);
		crashdisk_free(undecided);
		f->score[1 + m].cuts++;
		f->score[1 + m].rounds++;
		f->score[1 + m].acked +=
		    history_acked(examiner_history(r->examiner), r->trace->op_count);
	}
	trace_index_free(disk.index);
	subject_free(disk.subject);
	return rc;
}

int foreign_power_judge(struct foreign_run *f, struct foreign_round *r, struct err *err)
{
	struct foreign_files files = {0};
	int rc = foreign_files_name(&files, r->trace, err);

	for (size_t m = 0; m < f->o->model_count && rc == 0; m++)
		rc = judge_model(f, r, m, &files, err);
	foreign_files_release(&files);
	return rc;
}
