/* See image.h. */
#include "harness/drive/image.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/vfs.h"
#include "harness/drive/observe.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static uint32_t page_size(sqlite3 *db, const char *schema)
{
	char *quoted = quote_identifier(schema);
	char *sql = xasprintf("PRAGMA %s.page_size", quoted);
	sqlite3_stmt *stmt = NULL;
	uint32_t size = 0;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		size = (uint32_t)sqlite3_column_int(stmt, 0);
	(void)sqlite3_finalize(stmt);
	free(sql);
	free(quoted);
	return size;
}

/* The last frame that holds a page wins. */
static uint32_t *map_frames(const struct wal_index *w)
{
	uint32_t *frame_of = xcalloc((size_t)w->page_count + 1, sizeof *frame_of);

	for (uint32_t frame = 1; frame <= w->last_frame; frame++) {
		uint32_t page = wal_index_page(w, frame);
		if (page <= w->page_count)
			frame_of[page] = frame;
	}
	return frame_of;
}

/* False: undecided. The file is open, so its size was decided when that was read from, if ever. */
static bool count_pages(struct crashdisk *disk, uint32_t path, uint32_t size, uint64_t *ret_count)
{
	struct crashdisk_look look = {.kind = CRASHDISK_LOOK_SIZE, .path = path};
	uint64_t bytes;

	if (!crashdisk_peek(disk, &look, &bytes))
		return false;
	*ret_count = (bytes + size - 1) / size;
	return true;
}

/* Where a page begins, and in which file. */
static uint64_t locate(const struct image_file *f, uint32_t page, uint32_t *ret_path)
{
	uint32_t frame = f->frame_of == NULL ? 0 : f->frame_of[page];

	*ret_path = frame != 0 ? f->wal_path : f->db_path;
	return frame != 0 ? wal_frame_content(frame, f->page_size)
			  : (page - 1) * (uint64_t)f->page_size;
}

static bool look_at_file(sqlite3 *db, const char *schema, uint32_t pages_max, struct image *image)
{
	struct image_file *f = &image->files[image->file_count];
	/* sqlite3_db_filename() is younger than the oldest libraries that --sqlite takes. */
	const char *path =
	    sqlite3_libversion_number() < 3007010 ? NULL : sqlite3_db_filename(db, schema);
	struct wal_index w;

	if (path == NULL || !fi_vfs_wal_index(db, schema, &w) || w.backfilled != 0)
		return false;
	f->page_size = page_size(db, schema);
	if (f->page_size == 0 || (w.last_frame != 0 && w.page_size != f->page_size))
		return false;
	char *log_path = xasprintf("%s-wal", path);
	f->db_path = crashdisk_path(image->disk, path);
	f->wal_path = crashdisk_path(image->disk, log_path);
	free(log_path);
	uint64_t count = w.page_count;
	if (w.last_frame == 0 && !count_pages(image->disk, f->db_path, f->page_size, &count))
		return false;
	if (count > pages_max)
		return false;
	f->page_count = (uint32_t)count;
	image->file_count++;
	if (w.last_frame != 0)
		f->frame_of = map_frames(&w);
	f->contents = xcalloc(count + 1, sizeof *f->contents);
	uint64_t h = hash_mix(f->page_size, count);
	for (uint32_t page = 1; page <= count; page++) {
		uint32_t where;
		uint64_t at = locate(f, page, &where);
		f->contents[page] = crashdisk_look_content(image->disk, where, at, f->page_size);
		h = hash_mix(h, f->contents[page]);
	}
	image->hash = hash_mix(image->hash, h);
	return true;
}

bool image_look(const struct subject *s, sqlite3 *db, struct crashdisk *disk, struct image *ret)
{
	uint32_t left = IMAGE_PAGES_MAX;

	*ret = (struct image){.disk = disk};
	for (size_t f = 0; f < 1 + s->attached_count; f++) {
		if (!look_at_file(db, subject_schema(s, f), left, ret))
			return false;
		left -= ret->files[f].page_count;
	}
	return true;
}

void image_release(struct image *i)
{
	for (size_t f = 0; f < i->file_count; f++) {
		free(i->files[f].frame_of);
		free(i->files[f].contents);
	}
	*i = (struct image){0};
}

bool image_page(const struct image *i, size_t file, uint32_t page, size_t size, uint8_t *buf)
{
	const struct image_file *f = &i->files[file];
	uint32_t where;

	if (page == 0 || page > f->page_count)
		return false;
	uint64_t at = locate(f, page, &where);
	return crashdisk_peek_bytes(i->disk, where, at, size, buf);
}
