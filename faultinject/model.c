/* Presets and parameters; see model.h. */
#include "faultinject/model.h"

#include <string.h>

static const struct model_info presets[] = {
    {
	.model = {.name = "strict-posix", .fsync = MODEL_FSYNC_HONEST},
	.summary = "only what POSIX promises: fsync, and nothing else, makes things durable",
	.parameters = "reorder=any namespace=any hole=zero fsync=honest fsync-entry=no "
		      "fsync-scope=file size-after-data=no psow=yes sector=4096|512",
	.sources = "POSIX.1-2017 fsync(); SQLite 'Atomic Commit' sections 2 and 9 and "
		   "SQLITE_IOCAP_POWERSAFE_OVERWRITE for undamaged neighbours",
	.leaves_out = "holes that show garbage or old data, damage within a sector, "
		      "media errors, file systems that promise more than POSIX",
    },
    {
	.model = {.name = "process-crash", .process_crash = true},
	.summary = "the processes die, the machine lives: what the kernel had, stays",
	.parameters = "crash after every operation; a write may end at a page boundary (D11)",
	.sources = "write(2) copies page by page and a fatal signal ends it between pages "
		   "(Linux mm/filemap.c, generic_perform_write)",
	.leaves_out = "power loss; surviving processes that share the WAL index",
    },
    {
	.model = {.name = "lying-disk", .fsync = MODEL_FSYNC_LIES},
	.summary = "a control: fsync returns and does nothing, so nothing can be durable",
	.parameters = "strict-posix with fsync=lies",
	.sources = "consumer drives with volatile caches that ignore FLUSH CACHE; a run that "
		   "stays green here sees nothing",
	.leaves_out = "drives that lie only sometimes",
    },
};

/* Names of the contract that later versions serve: better refused than guessed at. */
static const char *const planned[] = {
    "ext4-ordered", "ext4-writeback",	 "xfs", "apfs-no-fullfsync", "apfs-barrier",
    "nvme-4k",	    "legacy-512-nopsow",
};

static const char *const planned_params[] = {
    "reorder",	   "namespace",	      "hole", "fsync", "fsync-entry",
    "fsync-scope", "size-after-data", "psow",
};

const struct model_info *model_presets(size_t *ret_count)
{
	*ret_count = sizeof presets / sizeof presets[0];
	return presets;
}

int model_find(const char *name, struct model *ret_model, struct err *err)
{
	for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
		if (strcmp(presets[i].model.name, name) == 0) {
			*ret_model = presets[i].model;
			return 0;
		}
	}
	for (size_t i = 0; i < sizeof planned / sizeof planned[0]; i++)
		if (strcmp(planned[i], name) == 0)
			return err_set(err, ERR_USAGE, "model '%s' is not served by this version",
				       name);
	return err_set(err, ERR_USAGE, "unknown model '%s' (see `plugpull list models`)", name);
}

int model_set(struct model *m, const char *key, const char *value, struct err *err)
{
	if (strcmp(key, "sector") == 0) {
		uint32_t size = strcmp(value, "512") == 0    ? 512
				: strcmp(value, "4096") == 0 ? 4096
							     : 0;
		if (size == 0)
			return err_set(err, ERR_USAGE,
				       "model parameter sector is 512 or 4096, not '%s'", value);
		if (m != NULL)
			m->sector_size_bytes = size;
		return 0;
	}
	for (size_t i = 0; i < sizeof planned_params / sizeof planned_params[0]; i++)
		if (strcmp(planned_params[i], key) == 0)
			return err_set(err, ERR_USAGE,
				       "model parameter '%s' is not served by this version", key);
	return err_set(err, ERR_USAGE, "unknown model parameter '%s'", key);
}
