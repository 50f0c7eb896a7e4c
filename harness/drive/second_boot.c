/* See second_boot.h. */
#include "harness/drive/second_boot.h"

#include "faultinject/base/assert.h"
#include "harness/drive/own_check.h"

struct running {
	const struct second_boot *boot;
	struct scratch *scratch;
};

static const char *changed(void *ctx)
{
	const struct running *r = ctx;

	return scratch_change(r->scratch);
}

static bool is_same(void *ctx)
{
	const struct running *r = ctx;

	return r->boot->may_skip && scratch_change(r->scratch)[0] == '\0' &&
	       fi_vfs_shm_hash() == r->boot->indexes;
}

static void empty_journal(void *ctx, const char *path)
{
	const struct running *r = ctx;

	scratch_empty(r->scratch, path);
}

struct aftermath second_boot_run(const struct observer *o, const struct observation *seen,
				 const struct second_boot *boot, struct scratch *scratch)
{
	struct running running = {boot, scratch};
	struct aftermath_view view = {.changed = changed,
				      .is_same = is_same,
				      .empty_journal = empty_journal,
				      .ctx = &running};
	struct aftermath a = {0};

	aftermath_leftovers(o, &a);
	fi_vfs_boot(scratch_begin(scratch, boot->storage), boot->seed, boot->device);
	fi_vfs_plant(boot->defect);
	aftermath_second_open(o, seen, &view, &a);
	ASSERT_OP(fi_vfs_open_count(), ==, 0);
	if (own_check_is_set()) {
		own_check_boot(scratch_begin(scratch, boot->storage), boot->device);
		/* A cold one is read by nobody but whoever writes over it. */
		if (a.hot[0] == '\0')
			aftermath_empty_journals(o, &view);
		own_check_ask(a.objection);
		ASSERT_OP(fi_vfs_open_count(), ==, 0);
	}
	return a;
}
