/*
 * Parameters of disk models: words, defaults, and which go together; see model.h. One table drives
 * parsing, printing and `list models`.
 */
#include "faultinject/model.h"

#include "faultinject/base/prng.h"

#include <string.h>

#define PARAMETER(key, field, rule, summary, ...)                                                  \
	{                                                                                          \
		key, {__VA_ARGS__, NULL}, rule, summary, offsetof(struct model, field)             \
	}

static const struct model_parameter parameters[] = {
    PARAMETER("reorder", reorder, "D4",
	      "how pending operations depend on each other: sectors independently, one prefix of "
	      "each file's operations, or one prefix of all",
	      "any", "file", "none"),
    PARAMETER("namespace", namespace, "D7",
	      "pending creates, unlinks, renames and links: a prefix for each name, or for each "
	      "directory",
	      "any", "ordered"),
    PARAMETER("hole", hole, "D6",
	      "what a sector holds whose size survived and whose data did not: zeros, garbage "
	      "(a function of seed, file and sector), or bytes that were deleted earlier",
	      "zero", "garbage", "stale"),
    PARAMETER("fsync", fsync, "D8",
	      "what a sync does: keeps, keeps nothing, or only orders what is before and after it",
	      "honest", "lies", "barrier"),
    PARAMETER("fsync-entry", fsync_entry, "D7",
	      "does a sync of a file keep its name, too (fdatasync: only its creation)", "no",
	      "yes"),
    PARAMETER("fsync-scope", fsync_scope, "D8",
	      "does a sync that has metadata to commit (creation, size) commit the earlier "
	      "metadata of all files",
	      "file", "filesystem"),
    PARAMETER("size-after-data", size_after_data, "D8",
	      "does a new size survive only together with the data in new 4096-byte blocks", "no",
	      "yes"),
    PARAMETER("psow", no_psow, "D9",
	      "powersafe overwrite: without it, writing a part of a sector may damage the rest",
	      "yes", "no"),
    PARAMETER("sector", sector, "D2",
	      "bytes that are written whole or not at all; default: what the device reported",
	      "device", "512", "4096"),
};

enum { PARAMETER_COUNT = sizeof parameters / sizeof parameters[0] };

const struct model_parameter *model_parameters(size_t *ret_count)
{
	*ret_count = PARAMETER_COUNT;
	return parameters;
}

static uint8_t *field_of(struct model *m, const struct model_parameter *p)
{
	return (uint8_t *)m + p->offset;
}

static uint8_t value_of(const struct model *m, const struct model_parameter *p)
{
	return *((const uint8_t *)m + p->offset);
}

void model_init(struct model *m, const char *name)
{
	memset(m, 0, sizeof *m);
	m->name = name;
}

int model_find(const char *name, struct model *ret_model, struct err *err)
{
	size_t count;
	const struct model_info *presets = model_presets(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(presets[i].model.name, name) == 0) {
			*ret_model = presets[i].model;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "unknown model '%s' (see `plugpull list models`)", name);
}

int model_set(struct model *m, const char *key, const char *value, struct err *err)
{
	for (size_t i = 0; i < PARAMETER_COUNT; i++) {
		const struct model_parameter *p = &parameters[i];
		if (strcmp(p->key, key) != 0)
			continue;
		struct buf words = {0};
		for (uint8_t w = 0; p->words[w] != NULL; w++) {
			if (strcmp(p->words[w], value) == 0) {
				if (m != NULL)
					*field_of(m, p) = w;
				buf_release(&words);
				return 0;
			}
			buf_printf(&words, "%s%s",
				   w == 0		     ? ""
				   : p->words[w + 1] == NULL ? " or "
							     : ", ",
				   p->words[w]);
		}
		int rc = err_set(err, ERR_USAGE, "model parameter %s is %s, not '%s'", key,
				 buf_str(&words), value);
		buf_release(&words);
		return rc;
	}
	return err_set(err, ERR_USAGE, "unknown model parameter '%s'", key);
}

uint32_t model_sector_size(const struct model *m, uint32_t device_sector_size_bytes)
{
	static const uint32_t sizes[] = {0, 512, 4096};

	return m->sector == 0 ? device_sector_size_bytes : sizes[m->sector];
}

void model_garbage(const struct model *m, uint32_t inode, uint32_t sector, uint8_t *ret,
		   size_t size)
{
	struct prng r;

	prng_init(&r, prng_mix(m->seed + inode) + sector, "garbage");
	prng_bytes(&r, ret, size);
}

void model_print(const struct model *m, struct buf *ret)
{
	if (m->process_crash) {
		buf_printf(ret, "none applies: nothing is lost but the processes (D11)");
		return;
	}
	for (size_t i = 0; i < PARAMETER_COUNT; i++)
		buf_printf(ret, "%s%s=%s", i == 0 ? "" : " ", parameters[i].key,
			   parameters[i].words[value_of(m, &parameters[i])]);
}

/* Two parameters that exclude each other, and why. */
struct conflict {
	const char *key, *value;   /* this one */
	const char *other, *wants; /* needs the other to have this value */
	const char *why;
};

static const struct conflict conflicts[] = {
    {"reorder", "none", "namespace", "any",
     "names are part of the one prefix, so there is no order of names to choose"},
    {"reorder", "none", "fsync", "honest or lies",
     "everything is in order already, so a barrier would add nothing"},
    {"reorder", "none", "fsync-entry", "no", "a sync forces everything earlier, names included"},
    {"reorder", "none", "fsync-scope", "file", "a sync forces everything earlier, of every file"},
    {"reorder", "none", "hole", "zero", "data and size are one prefix, which leaves no hole"},
    {"reorder", "none", "size-after-data", "no",
     "data and size are one prefix, so no size is ahead of its data"},
    {"reorder", "file", "fsync-scope", "file",
     "a file's data and metadata are one prefix, so its metadata cannot be committed alone"},
    {"reorder", "file", "hole", "zero", "data and size are one prefix, which leaves no hole"},
    {"reorder", "file", "size-after-data", "no",
     "data and size are one prefix, so no size is ahead of its data"},
    {"fsync", "lies", "fsync-entry", "no", "a sync that does nothing keeps no name either"},
    {"fsync", "lies", "fsync-scope", "file", "a sync that does nothing commits nothing"},
    {"size-after-data", "yes", "hole", "zero",
     "a size that waits for its data leaves no hole to fill"},
};

static const struct model_parameter *parameter(const char *key)
{
	size_t i = 0;

	while (strcmp(parameters[i].key, key) != 0)
		i++;
	return &parameters[i];
}

int model_check(const struct model *m, struct err *err)
{
	if (m->process_crash) {
		for (size_t i = 0; i < PARAMETER_COUNT; i++)
			if (value_of(m, &parameters[i]) != 0)
				return err_set(err, ERR_USAGE,
					       "model '%s': %s does not apply: when only the "
					       "processes die, the disk loses nothing (D11)",
					       m->name, parameters[i].key);
		return 0;
	}
	for (size_t i = 0; i < sizeof conflicts / sizeof conflicts[0]; i++) {
		const struct conflict *c = &conflicts[i];
		const struct model_parameter *p = parameter(c->key), *o = parameter(c->other);
		const char *other = o->words[value_of(m, o)];
		if (strcmp(p->words[value_of(m, p)], c->value) == 0 &&
		    strstr(c->wants, other) == NULL)
			return err_set(err, ERR_USAGE,
				       "model '%s': %s=%s and %s=%s do not go together: %s",
				       m->name, c->key, c->value, c->other, other, c->why);
	}
	return 0;
}
