/*
 * The databases as their readers see them, page by page: a page is where the WAL index says, or in
 * the database file. Two crash states with equal images may differ in where their pages lie (before
 * and after a checkpoint, before and after a rollback) and look the same to every query.
 *
 * Looking decides nothing. A page whose content is undecided counts as such, so equal images are
 * undecided at the same pages.
 */
#ifndef DRIVE_IMAGE_H
#define DRIVE_IMAGE_H

#include "faultinject/crashdisk.h"
#include "harness/case/subject.h"
#include "harness/judge/observation.h"

struct sqlite3;

enum {
	IMAGE_PAGES_MAX = 1 << 20, /* of all files together; more have no image */
};

struct image_file {
	uint32_t page_size, page_count;
	uint32_t db_path, wal_path; /* numbers of the disk */
	uint32_t *frame_of;	    /* [page]: in the log, 0 = in the database file; NULL: all 0 */
	uint64_t *contents;	    /* [page]: hash of its bytes, or CRASHDISK_OPEN */
};

struct image {
	struct crashdisk *disk; /* borrowed */
	struct image_file files[OBSERVED_FILES_MAX];
	size_t file_count;
	uint64_t hash; /* of all of it */
};

/*
 * What `db`, as observer_connect() returned it, will see on `disk`. Every page is a look of the
 * disk's log. False: there is no image, because there are too many pages, or a part of a log is in
 * the database file already and both would have to be looked at. The caller releases *ret in any
 * case; it is good for as long as nothing is written.
 */
bool image_look(const struct subject *s, struct sqlite3 *db, struct crashdisk *disk,
		struct image *ret);
void image_release(struct image *i);

/* The first `size` bytes of a page. False: some are undecided, or there is no such page. */
bool image_page(const struct image *i, size_t file, uint32_t page, size_t size, uint8_t *buf);

#endif
