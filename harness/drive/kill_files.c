/*
 * The files that a workload writes past SQLite (log files, backups), as the operating system has
 * them, with a log of what is done to them: the power cut takes what was not synced of these, too.
 * See faultinject/vfs_kill_log.h.
 *
 * Does not count operations for a kill: a moment between two of them is hit by time.
 */
#include "harness/drive/kill_internal.h"

#include "harness/drive/plant.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

struct file {
	void *real;
	fi_kill_place logged;
	uint64_t size; /* written */
};

struct context {
	const struct store_files *real;
	struct fi_kill_log *log;
	bool folders_unsynced; /* the planted defect */
};

static struct context self;

static int logged(fi_kill_place place, int error)
{
	fi_kill_log_done(self.log, place, error == 0);
	return error;
}

static int file_create(void *context, const char *path, void **ret_file)
{
	struct context *c = context;
	struct file *f = xcalloc(1, sizeof *f);

	f->logged = fi_kill_log_open(c->log, path, true, true);
	int error = logged(f->logged, c->real->create(c->real->context, path, &f->real));

	if (error != 0)
		free(f);
	else
		*ret_file = f;
	return error;
}

static int file_write(void *context, void *file, const void *data, size_t size)
{
	struct context *c = context;
	struct file *f = file;
	fi_kill_place place =
	    f->logged == 0 ? 0 : fi_kill_log_write(c->log, f->logged, data, size, f->size);

	f->size += size;
	return logged(place, c->real->write(c->real->context, f->real, data, size));
}

static int file_sync(void *context, void *file)
{
	struct context *c = context;
	struct file *f = file;
	fi_kill_place place = f->logged == 0 ? 0 : fi_kill_log_sync(c->log, f->logged, false);

	return logged(place, c->real->sync(c->real->context, f->real));
}

static int file_close(void *context, void *file)
{
	struct context *c = context;
	struct file *f = file;
	int error = c->real->close(c->real->context, f->real);

	free(f);
	return error;
}

static int file_read(void *context, const char *path, uint64_t offset_bytes, void *buffer,
		     size_t size, size_t *ret_got)
{
	struct context *c = context;

	return c->real->read(c->real->context, path, offset_bytes, buffer, size, ret_got);
}

static int file_rename(void *context, const char *from, const char *to)
{
	struct context *c = context;
	fi_kill_place place = fi_kill_log_rename(c->log, from, to);

	return logged(place, c->real->rename(c->real->context, from, to));
}

static int file_remove(void *context, const char *path)
{
	struct context *c = context;
	fi_kill_place place = fi_kill_log_unlink(c->log, path);

	return logged(place, c->real->remove(c->real->context, path));
}

static int file_sync_folder(void *context, const char *folder)
{
	struct context *c = context;
	fi_kill_place place = c->folders_unsynced ? 0 : fi_kill_log_folder_sync(c->log, folder);

	return logged(place, c->real->sync_folder(c->real->context, folder));
}

const struct store_files *kill_files(struct fi_kill_log *log, const char *plant)
{
	static const struct store_files files = {
	    .context = &self,
	    .create = file_create,
	    .write = file_write,
	    .sync = file_sync,
	    .close = file_close,
	    .read = file_read,
	    .rename = file_rename,
	    .remove = file_remove,
	    .sync_folder = file_sync_folder,
	};

	self = (struct context){
	    .real = store_files_posix(),
	    .log = log,
	    .folders_unsynced = plant != NULL && strcmp(plant, PLANT_FOLDER_UNSYNCED) == 0,
	};
	return log == NULL ? self.real : &files;
}
