/* Shared by explore.c (one tree of choices, crash points) and explore_again.c (a second crash,
 * during recovery). */
#ifndef EXPLORE_EXPLORE_INTERNAL_H
#define EXPLORE_EXPLORE_INTERNAL_H

#include "harness/explore/explore.h"
#include "harness/explore/frontier.h"

enum {
	PROBES_AFTER = 16, /* recoveries that a tree needs before it counts as large */
	PROBES_MAX = 32,   /* deviations from all-oldest that are looked at there */
};

/*
 * A tree of choices that is searched to its end. Every run of it begins with the same `base`
 * answers; what they leave open is the tree.
 */
struct tree {
	/* Boots, recovers, and finds out; s->choice has been begun. */
	int (*run)(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
		   struct err *err);
	/* For how many assignments the run that was made stands. */
	void (*weigh)(struct explore_search *s, struct tree *t, mpz_t ret);
	/* A run was counted; may be NULL. Other trees may be searched meanwhile. */
	int (*leaf)(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
		    struct err *err);
	bool only_way; /* its assignments are states of another tree, and not counted again */
	struct crashdisk *disk; /* that the last questions are about; borrowed */
	uint32_t *prefix;	/* owned: the base, and what the present run adds */
	size_t prefix_cap, base_count;
	uint64_t base_hash; /* identity of the last question of the base; 0 = none */
	uint32_t *taken;    /* owned: what the frontier gave */
	size_t taken_cap;
	uint32_t oldest[PROBES_MAX]; /* the first answers of the all-oldest run */
	size_t oldest_count;
	struct frontier frontier;
	mpz_t total, covered, weight;
};

struct explore_search {
	const struct explore_callbacks *callbacks;
	const struct trace_index *ix;
	struct model model;
	const struct explore_point *point;
	struct crashdisk *disk;
	struct choice own_choice, *choice;
	struct tree tree; /* of the present crash point */
	struct explore_outcome *outcome;
	uint64_t recoveries_max;
	/* Second crash: what a recovery did, and the disk on top of that. */
	struct crashdisk *recovered; /* owned; records its recoveries */
	struct tree recoveries, again;
	struct crashdisk *top; /* owned while `again` is searched */
	struct explore_point again_point;
	mpz_t top_weight;
	bool ended; /* the outcome's end is set */
};

void tree_init(struct tree *t, size_t frontier_bytes_max);
void tree_release(struct tree *t);

/* Searches a tree whose run, weigh, leaf, disk, base and total are set. Its total and what was
 * covered are added to the outcome. *ret_whole: every state was covered; otherwise the outcome's
 * end is set. */
int tree_search(struct explore_search *s, struct tree *t, bool *ret_whole, struct err *err);
/* Makes one run of it. */
int tree_run(struct explore_search *s, struct tree *t, size_t prefix_count, uint64_t prefix_hash,
	     enum choice_tail tail, enum explore_next *ret_next, struct err *err);

/* explore_again.c */

/* Searches all crashes during the recoveries after a crash at s->point. */
int explore_again(struct explore_search *s, bool *ret_whole, struct err *err);
/* Runs one state of a second crash; t->prefix holds the answers of both. */
int explore_again_replay(struct explore_search *s, const uint32_t *answers, size_t count,
			 struct err *err);

#endif
