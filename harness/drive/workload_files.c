/* See workload_files.h. */
#include "harness/drive/workload_files.h"

#include "faultinject/base/buf.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

struct open_file {
	uint32_t inode;
	uint64_t size; /* where the next write goes */
};

static struct workload_files *self(void *context)
{
	return context;
}

static struct storage *storage(void *context)
{
	return disk_storage(self(context)->disk);
}

/* As the disk knows it; owned by the caller. NULL: it is too long. */
static char *full_path(const char *path)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	char *full = xcalloc((size_t)vfs->mxPathname + 1, 1);

	if (vfs->xFullPathname(vfs, path, vfs->mxPathname + 1, full) == SQLITE_OK)
		return full;
	free(full);
	return NULL;
}

static int files_create(void *context, const char *path, void **ret_file)
{
	struct storage *s = storage(context);
	char *full = full_path(path);
	uint32_t inode = 0;
	bool created;
	int rc = full == NULL ? -ENAMETOOLONG : s->ops->open(s, full, true, &inode, &created);

	if (rc == 0)
		rc = s->ops->truncate(s, inode, 0);
	if (rc == 0) {
		struct open_file *f = xcalloc(1, sizeof *f);

		f->inode = inode;
		self(context)->open_count++;
		*ret_file = f;
	}
	free(full);
	return -rc;
}

static int files_write(void *context, void *file, const void *data, size_t size)
{
	struct storage *s = storage(context);
	struct open_file *f = file;
	int rc = s->ops->write(s, f->inode, f->size, data, size);

	if (rc == 0)
		f->size += size;
	return -rc;
}

static int files_sync(void *context, void *file)
{
	struct storage *s = storage(context);
	const struct open_file *f = file;

	return -s->ops->sync(s, f->inode, false);
}

static int files_close(void *context, void *file)
{
	free(file);
	self(context)->open_count--;
	return 0;
}

static int files_read(void *context, const char *path, uint64_t offset_bytes, void *buffer,
		      size_t size, size_t *ret_got)
{
	struct storage *s = storage(context);
	char *full = full_path(path);
	uint32_t inode;
	bool created;
	int rc = full == NULL ? -ENAMETOOLONG : s->ops->open(s, full, false, &inode, &created);

	if (rc == 0)
		rc = s->ops->read(s, inode, offset_bytes, buffer, size, ret_got);
	free(full);
	return -rc;
}

static int files_rename(void *context, const char *from, const char *to)
{
	char *full_from = full_path(from), *full_to = full_path(to);
	int rc = full_from == NULL || full_to == NULL
		     ? -ENAMETOOLONG
		     : disk_rename(self(context)->disk, full_from, full_to);

	free(full_from);
	free(full_to);
	return -rc;
}

static int files_remove(void *context, const char *path)
{
	struct storage *s = storage(context);
	char *full = full_path(path);
	int rc = full == NULL ? -ENAMETOOLONG : s->ops->unlink(s, full);

	free(full);
	return -rc;
}

static int files_sync_folder(void *context, const char *folder)
{
	struct storage *s = storage(context);
	char *full = full_path(folder);
	int rc = full == NULL ? -ENAMETOOLONG : s->ops->dirsync(s, full);

	free(full);
	return -rc;
}

void workload_files_init(struct workload_files *f, struct disk *disk)
{
	*f = (struct workload_files){
	    .table = {.context = f,
		      .create = files_create,
		      .write = files_write,
		      .sync = files_sync,
		      .close = files_close,
		      .read = files_read,
		      .rename = files_rename,
		      .remove = files_remove,
		      .sync_folder = files_sync_folder},
	    .disk = disk,
	};
}
