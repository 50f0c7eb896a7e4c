/*
 * Disk models: what a disk may leave behind when the power goes. Rules D1 to D12 are stated in
 * docs/disk-model.md; a model is an assignment of their parameters, a preset has a name.
 */
#ifndef FI_MODEL_H
#define FI_MODEL_H

#include "faultinject/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum model_fsync {
	MODEL_FSYNC_HONEST,
	MODEL_FSYNC_LIES, /* D8: returns, does nothing */
};

struct model {
	const char *name;
	/* D11: the machine goes on, the processes die. Nothing is lost; the other parameters do
	 * not apply. */
	bool process_crash;
	enum model_fsync fsync;
	/* D2: 512 or 4096; 0 = the sector size that the trace's device reported. */
	uint32_t sector_size_bytes;
};

/* A preset, with what people need to know of it. */
struct model_info {
	struct model model;
	const char *summary;	/* one line */
	const char *parameters; /* in the words of docs/disk-model.md */
	const char *sources;	/* where the values come from */
	const char *leaves_out;
};

/* All presets that this version serves. */
const struct model_info *model_presets(size_t *ret_count);

/* The preset of a name. ERR_USAGE for an unknown one, and, by name, for one that is planned but
 * not served. */
int model_find(const char *name, struct model *ret_model, struct err *err);

/* Sets a parameter ("sector" = "512" or "4096"). ERR_USAGE for an unknown key or value. `m` may be
 * NULL to check only. */
int model_set(struct model *m, const char *key, const char *value, struct err *err);

#endif
