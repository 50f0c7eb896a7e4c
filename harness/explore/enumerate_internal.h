/* Shared by enumerate.c (states, one by one), enumerate_rules.c (what is durable, what was deleted)
 * and enumerate_prefix.c (rule D4). */
#ifndef EXPLORE_ENUMERATE_INTERNAL_H
#define EXPLORE_ENUMERATE_INTERNAL_H

#include "faultinject/base/arena.h"
#include "faultinject/base/choice.h"
#include "harness/explore/enumerate.h"

/* A sector that a deleted file, or a truncated part of one, held. */
struct freed {
	uint64_t position;
	uint32_t sector;
	uint8_t *data; /* owned */
};

struct enumeration {
	const struct trace *t;
	const struct model *model;
	size_t ss;	/* sector size in bytes */
	size_t sectors; /* of the largest file */
	uint64_t position;
	struct choice choice;
	struct arena arena; /* of one state */
	uint32_t *names;    /* [name]: the inode that it names in this state */

	/* Facts of the whole trace; owned. */
	uint32_t *about;   /* [position]: the inode that a name operation is about */
	bool *resized;	   /* [position]: the operation changed a size */
	uint64_t *commits; /* [position]: what precedes this was committed by then, for all files */
	struct freed *freed;
	size_t freed_count, freed_cap;
};

void *enumerate_zeros(struct arena *arena, size_t count, size_t size);
bool enumerate_is_content(const struct op *op);
/* The names that an operation is about: 0, 1 or 2 of them. */
void enumerate_names_of(const struct op *op, uint32_t ret_names[2]);

/* enumerate_rules.c */

void enumerate_facts(struct enumeration *e);
void enumerate_facts_release(struct enumeration *e);
/* D8: content, and size, of this file that precedes the result is durable at `position`. */
uint64_t enumerate_data_durable(const struct enumeration *e, uint32_t inode, uint64_t position);
uint64_t enumerate_meta_durable(const struct enumeration *e, uint32_t inode, uint64_t position);
/* D8: a sync that ended by the crash has put the content that the operation at `p` wrote on the
 * disk: one that began after it, and before whose end no failing sync had begun after it. */
bool enumerate_content_kept(const struct enumeration *e, uint64_t p);
/* D8: it is not kept, and a sync that began since has failed. */
bool enumerate_content_failed(const struct enumeration *e, uint64_t p);
/* Is the operation the end of a sync that failed? */
bool enumerate_is_failed(const struct op *op);
/* D7: the name operation at `p` is durable at the crash. */
bool enumerate_name_durable(const struct enumeration *e, uint64_t p);
/* D6: what a sector that was first written at `p` shows when that is lost; in the state's arena.
 * NULL: zeros. */
uint8_t *enumerate_hole(struct enumeration *e, uint32_t inode, uint32_t sector, uint64_t p);
/* D9: the damage that writing bytes [from, to) of `sector`, which then holds `content`, can do;
 * NULL when there is nothing to damage. `size`: of the file, after the write. In the arena. */
uint8_t *enumerate_damage(struct enumeration *e, uint32_t inode, uint32_t sector, uint64_t from,
			  uint64_t to, uint64_t size, const uint8_t *content);

/* enumerate_prefix.c: D4, one prefix of a file's pieces, or of everything. */

/* How much survives: everything before `position`, and `pieces` of the operation there. */
struct prefix {
	uint64_t position;
	size_t pieces;
};
struct prefix enumerate_choose_prefix(struct enumeration *e, uint32_t inode);
uint8_t *enumerate_prefix_file(struct enumeration *e, uint32_t inode, struct prefix prefix,
			       uint64_t *ret_size);
void enumerate_prefix_names(struct enumeration *e, struct prefix prefix);

#endif
