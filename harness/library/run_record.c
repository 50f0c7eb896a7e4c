/*
 * setup and work, on the simulated disk. What SQLite does is recorded as one process and one
 * thread; which connection did what is read from the order of locks and writes afterwards
 * (connections.h), because the VFS is not told. pp_ack() is a mark: it promises what everybody had
 * committed.
 */
#include "harness/library/run.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/disk.h"
#include "faultinject/record/connections.h"
#include "faultinject/vfs.h"
#include "harness/case/version.h"

#include <sqlite3.h>
#include <stdlib.h>

static struct disk *recording; /* while work runs */

/* What connections that were never closed may still be closed on. */
static struct disk *abandoned;

void pp_ack(void)
{
	if (recording != NULL)
		disk_note(recording, OP_ACK, "");
}

bool run_is_anything_open(void)
{
	if (fi_vfs_open_count() > 0)
		return true;
	disk_free(abandoned);
	abandoned = NULL;
	return false;
}

static int run_step(const struct run *r, pp_step_fn *step, const char *name, struct err *err)
{
	int answer = step == NULL ? 0 : step(r->ctx);

	if (fi_vfs_open_count() > 0)
		return err_set(err, ERR_INPUT,
			       "%s left %u file%s open: every connection has to be closed when it "
			       "returns%s",
			       name, fi_vfs_open_count(), fi_vfs_open_count() == 1 ? "" : "s",
			       answer != 0 ? " (and it failed)" : "");
	if (answer != 0)
		return err_set(err, ERR_INPUT, "%s failed: it returned %d", name, answer);
	return 0;
}

int run_record(const struct run *r, struct trace **ret_trace, struct err *err)
{
	char *producer =
	    xasprintf("pp_run, plugpull " PLUGPULL_VERSION ", SQLite %s", sqlite3_libversion());
	struct trace *t = trace_create(fi_vfs_default_device(), producer);
	struct disk *disk = disk_create();
	struct storage *storage = disk_storage(disk);
	int rc;

	free(producer);
	fi_vfs_boot(storage, prng_mix(r->seed), fi_vfs_default_device());
	fi_vfs_call_limit(0);
	storage->actor = (struct storage_actor){.process = 1, .thread = 1};
	rc = run_step(r, r->setup, "setup", err);
	if (rc != 0)
		goto out;
	disk_record(disk, t);
	recording = disk;
	rc = run_step(r, r->work, "work", err);
	recording = NULL;
	disk_record(disk, NULL);
	connections_assign(t);
out:
	if (fi_vfs_open_count() > 0)
		abandoned = disk;
	else
		disk_free(disk);
	if (rc != 0) {
		trace_free(t);
		return rc;
	}
	*ret_trace = t;
	return 0;
}
