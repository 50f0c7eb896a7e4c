/*
 * What a crash left, after a recovery has changed it: each decision of a run is kept as it was
 * made, beside what recovery wrote on top (run_sector.base and its likes). What is still open is
 * decided here, by the run's choice. See crashdisk_left_open() in crashdisk.h.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/assert.h"

#include <string.h>

bool crashdisk_left_open(struct crashdisk *cd, const char *path_text, struct crashdisk_left *ret)
{
	/* What the first recovery never touched is as the first crash left it. */
	while (cd->below != NULL && trace_find_name(cd->ix->trace, path_text) == 0)
		cd = cd->below;
	uint32_t path = crashdisk_path(cd, path_text);

	(void)crashdisk_decide_name(cd, path);
	const struct run_path *known = &cd->run_paths[path];
	uint32_t inode = known->run == cd->run ? known->base : 0;

	if (inode == 0)
		return false;
	*ret = (struct crashdisk_left){cd, inode};
	return true;
}

uint64_t crashdisk_left_size(const struct crashdisk_left *file)
{
	return crashdisk_decide_meta(file->disk, file->inode)->base_size;
}

void crashdisk_left_read(const struct crashdisk_left *file, uint64_t offset, void *buf, size_t size)
{
	struct crashdisk *cd = file->disk;
	struct run_inode *ri = crashdisk_decide_meta(cd, file->inode);
	uint64_t ss = cd->ix->sector_size, id;

	ASSERT(offset <= ri->base_size && size <= ri->base_size - offset);
	for (size_t done = 0; done < size;) {
		uint64_t at = offset + done;
		size_t n = ss - at % ss < size - done ? (size_t)(ss - at % ss) : size - done;
		const uint8_t *content =
		    crashdisk_base_sector(cd, file->inode, ri, (uint32_t)(at / ss), &id);

		memcpy((uint8_t *)buf + done, content + at % ss, n);
		done += n;
	}
}
