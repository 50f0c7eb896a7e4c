/*
 * The leaves of a table's b-tree, found without SQLite: what SQL returns for the range of rowids
 * of a leaf is what stands on it, if the tree is sound.
 */
#ifndef DRIVE_LEAVES_H
#define DRIVE_LEAVES_H

#include "harness/drive/image.h"

struct leaf {
	uint64_t content; /* hash of its bytes and of those of its overflow pages */
	int64_t first, last;
	uint32_t row_count; /* at least 1 */
};

struct leaf_list {
	struct leaf *items; /* owned */
	size_t count, cap;
};

/*
 * The leaves below a root page that have rows, in the order of rowids. False: there is no sound
 * b-tree of a table (a page twice, or undecided, or none of it; rowids that do not grow, or are not
 * where the pages above say; payload that is not there), or it belongs to a WITHOUT ROWID table.
 * The caller releases *ret in any case.
 */
bool leaves_list(const struct image *image, size_t file, uint32_t root, struct leaf_list *ret);
void leaves_release(struct leaf_list *list);

#endif
