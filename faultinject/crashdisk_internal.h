/*
 * Shared by crashdisk.c (decisions), crashdisk_weight.c (accounting) and crashdisk_look.c (the
 * reader's log). Two kinds of state: that of the crash point ("point_"), rebuilt lazily after
 * crashdisk_open(), and that of the run ("run_"), forgotten at crashdisk_begin(). Both are tagged
 * with a generation number instead of being cleared.
 */
#ifndef FI_CRASHDISK_INTERNAL_H
#define FI_CRASHDISK_INTERNAL_H

#include "faultinject/base/arena.h"
#include "faultinject/crashdisk.h"

/* An inode at the present crash point. Its pending metadata operations are
 * metas[meta_first .. meta_first + meta_count); prefix t survives, 0 <= t <= meta_count. Where a
 * file survives as a prefix of its pieces (D4), `line` is that choice, and there are none. */
struct point_inode {
	uint32_t point;
	uint64_t durable;      /* position: content that is not after it is durable */
	uint64_t meta_durable; /* position: the same for size and truncations; not before durable */
	size_t meta_first, meta_count;
	bool weighed;
	mpz_t *weights; /* [t]: product over sectors of candidates; owned, meta_count + 1 */
	size_t weight_count;
	mpz_t weight_sum; /* over all t */
};

/* A group of names: its possible states, a row of targets each, oldest first. */
struct point_group {
	uint32_t point;
	const uint32_t *rows; /* count x name_count inodes: the index's, or own */
	size_t count;
	uint32_t *own; /* owned; states of tied names are made here */
};

enum {
	POINT_ROWS_MAX = 1 << 16,  /* states of one group of tied names */
	POINT_DEPTH_MAX = 1 << 12, /* its operations that are pending */
};

/* A prefix model's choice (D4): how many pieces of a line survive, `low` to `high`. Each look
 * narrows it to where the looked-at thing is the same. */
struct run_line {
	uint32_t run;
	size_t low, high;
};

enum run_filter {
	RUN_ANY,
	RUN_NONEMPTY, /* only prefixes t that leave a size above 0 */
	RUN_EMPTY,
};

/* Candidates of one sector given prefix t (rules D3, D5, D6): versions[low..high) of the index,
 * and one base: a version, or NULL for a hole. `masked`: a surviving truncation cut older ones. */
struct candidates {
	const struct index_sector *sector;
	const struct index_version *base;
	const uint8_t *hole; /* what shows when base is NULL; NULL = zeros */
	uint32_t hole_inode; /* whose base that was; 0 = of nothing that a disk below knows */
	uint32_t number;     /* of the sector */
	uint32_t low, high;
	bool masked;
	uint64_t surviving; /* position of the last surviving metadata operation */
};

static inline uint32_t candidates_count(const struct candidates *c)
{
	return 1 + c->high - c->low;
}

struct run_sector {
	uint32_t run;
	const uint8_t *content; /* the index's, or the run's arena */
	uint64_t id;		/* content hash; 0 = not computed */
	uint32_t base_run;	/* the same, as the crash left it, before recovery changed it */
	const uint8_t *base;
	uint64_t base_id;
	uint32_t base_index; /* of the version that `base` is, plus 1; candidates.low: the base */
	/* What the sector's candidates are at a crash point, given a prefix t: many runs ask. */
	uint32_t candidates_point, candidates_t;
	struct candidates candidates;
};

struct run_inode {
	uint32_t run;
	bool known; /* t and size are decided */
	uint8_t filter;
	uint32_t t;
	uint32_t path;		    /* number of the path it was opened by last */
	uint64_t size, base_size;   /* live, and as the crash left it */
	struct run_sector *sectors; /* owned; tagged by run */
	uint32_t sector_cap;
	struct run_line line; /* reorder=file */
};

struct run_group {
	uint32_t run;
	uint8_t *alive; /* [state]; arena; NULL = all */
};

/* A name whose file is known in this run: decided, or created or deleted by recovery itself. */
struct run_path {
	uint32_t run;
	uint32_t inode;
	uint32_t base; /* as the crash left it */
	bool own;      /* by recovery */
};

struct run_decision {
	uint32_t inode;
	uint32_t candidates, class_size;
};

enum question_kind {
	QUESTION_NONE,
	QUESTION_ACCESS,
	QUESTION_NAME,
	QUESTION_META,
	QUESTION_SECTOR,
	QUESTION_SECTORS, /* of one read, together */
};

struct crashdisk {
	struct storage storage; /* first: the storage is the disk */
	const struct trace_index *ix;
	struct model model;
	struct arena arena;
	struct choice *choice;

	uint64_t position;
	size_t cut_bytes; /* SIZE_MAX: the operation at position is whole */
	uint32_t point, run;

	struct point_inode *point_inodes; /* [1..inode_count] */
	struct point_group *point_groups;
	struct run_group *run_groups;

	struct run_inode *run_inodes; /* [1..], those above inode_count made by recovery */
	uint32_t run_inode_cap, run_inode_next;

	char **extra_paths; /* owned; numbers above the trace's name_count */
	size_t extra_count, extra_cap;
	struct run_path *run_paths; /* by path number */
	size_t run_path_cap;

	struct run_line run_line; /* reorder=none */
	size_t *segments;	  /* owned; scratch of crashdisk_line.c */
	size_t segment_cap;

	bool representative;
	uint32_t
	    together; /* while a read decides its sectors: its answer + 1; 0 = each by itself */

	/* Crash during recovery; crashdisk_above.c. */
	bool recording, ended;
	struct op *recovery; /* owned; what recovery did to the disk in this run, data in arena */
	size_t recovery_count, recovery_cap;
	struct crashdisk *below; /* borrowed */
	uint32_t *below_inodes;	 /* owned; [inode of the trace]: that of the disk below */
	struct trace *own_trace; /* owned; with `below` */
	struct trace_index *own_index;

	struct run_decision *decisions; /* sectors decided in this run */
	size_t decision_count, decision_cap;

	enum question_kind question_kind;
	uint64_t question_a, question_b;
	char question_text[160];

	void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n);
	void *tell_ctx;
	bool too_many_names; /* a group has more than POINT_ROWS_MAX states */
	bool logging, pure;
	struct crashdisk_look *looks;
	uint64_t *answers;
	size_t look_count, look_cap;
};

/* The file's metadata prefix, and with it its size, decided. */
struct run_inode *crashdisk_decide_meta(struct crashdisk *cd, uint32_t inode);
const struct run_sector *crashdisk_decide_sector(struct crashdisk *cd, uint32_t inode,
						 struct run_inode *ri, uint32_t sector);
/* Representatives: before a read decides its sectors, asks the one question for all of them, and
 * keeps the answer in `together`, which the read clears. */
void crashdisk_decide_together(struct crashdisk *cd, uint32_t inode, struct run_inode *ri,
			       uint64_t offset, size_t size);
/* What the crash left in a sector, whatever recovery has written there since. */
const uint8_t *crashdisk_base_sector(struct crashdisk *cd, uint32_t inode, struct run_inode *ri,
				     uint32_t sector, uint64_t *ret_id);

/* crashdisk_storage.c */
const struct storage_ops *crashdisk_storage_ops(void);
/* D11: the part of a write that happened before the processes died. */
void crashdisk_cut_write(struct crashdisk *cd, const struct op *op);

/* crashdisk_above.c */
void crashdisk_begin_recovery(struct crashdisk *cd);
void crashdisk_forget_recovery(struct crashdisk *cd);
void crashdisk_record_op(struct crashdisk *cd, struct op op);
const uint8_t *crashdisk_beneath(struct crashdisk *cd, uint32_t inode, uint32_t sector,
				 uint64_t *ret_id);

const struct point_inode *crashdisk_point_inode(struct crashdisk *cd, uint32_t inode);
const struct point_group *crashdisk_point_group(struct crashdisk *cd, size_t group);
/* The file's size when prefix t of its pending metadata operations survived. */
uint64_t crashdisk_size_of(struct crashdisk *cd, uint32_t inode, size_t t);
void crashdisk_candidates(struct crashdisk *cd, uint32_t inode, size_t t, uint32_t sector,
			  struct candidates *ret);
/* The same for the prefix that the run has decided; borrowed until the next crash point. */
const struct candidates *crashdisk_run_candidates(struct crashdisk *cd, uint32_t inode,
						  struct run_inode *ri, uint32_t sector);
/* Content of candidate k, 0 = newest; computed into the arena when masked. */
const uint8_t *crashdisk_candidate(struct crashdisk *cd, const struct candidates *c, uint32_t k,
				   uint64_t *ret_id);

/* Prefix t passes a filter. */
static inline bool run_filter_passes(uint8_t filter, uint64_t size)
{
	return filter == RUN_ANY || (filter == RUN_NONEMPTY ? size > 0 : size == 0);
}

/* Tagged state of this run, blank when it is not tagged. */
struct run_inode *crashdisk_run_inode(struct crashdisk *cd, uint32_t inode);
struct run_group *crashdisk_run_group(struct crashdisk *cd, size_t group);
/* Column of a path number in its group's rows. */
size_t crashdisk_column(const struct crashdisk *cd, uint32_t path);
struct run_sector *crashdisk_run_sector(struct crashdisk *cd, struct run_inode *ri,
					uint32_t sector);

/* The answer to a question, which is not asked when there is only one. */
uint32_t crashdisk_ask(struct crashdisk *cd, uint32_t n, enum question_kind kind, uint64_t a,
		       uint64_t b);
/* Position up to which everything is there when only the processes crash. */
uint64_t crashdisk_process_position(const struct crashdisk *cd);

/* crashdisk_names.c */

/* Decides which file, if any, the path names; 0 = none. */
uint32_t crashdisk_decide_name(struct crashdisk *cd, uint32_t path);
/* Keeps only those states and prefixes that agree with the answer of an access question. */
void crashdisk_constrain_access(struct crashdisk *cd, uint32_t path, bool yes);
/* What an undecided access question could be answered. */
void crashdisk_access_answers(struct crashdisk *cd, uint32_t path, bool *ret_yes, bool *ret_no,
			      bool *ret_newest);

/* crashdisk_line.c: the same decisions where a file, or everything, survives as a prefix (D4). Each
 * comes with a version that only looks: false when the answer is still open. */

static inline bool crashdisk_has_lines(const struct crashdisk *cd)
{
	return !cd->model.process_crash && cd->model.reorder != MODEL_REORDER_ANY;
}
/* The number of prefixes that the run left open: of a file's line, or, with inode 0, of everything.
 * `total`: before any decision. */
size_t crashdisk_line_width(struct crashdisk *cd, uint32_t inode, bool total);
/* Of an operation's pieces: how many there are, how many certainly survive (`durable`: at any crash
 * here), and how many certainly do not. */
struct line_pieces {
	size_t count, durable, kept, lost;
};
void crashdisk_line_pieces(struct crashdisk *cd, uint32_t inode, uint64_t position,
			   struct line_pieces *ret);
uint64_t crashdisk_line_size(struct crashdisk *cd, uint32_t inode);
bool crashdisk_line_peek_size(struct crashdisk *cd, uint32_t inode, uint64_t *ret_size);
const uint8_t *crashdisk_line_sector(struct crashdisk *cd, uint32_t inode, uint32_t sector,
				     uint64_t *ret_id);
bool crashdisk_line_peek_sector(struct crashdisk *cd, uint32_t inode, uint32_t sector,
				const uint8_t **ret_content, uint64_t *ret_id);
/* reorder=none: which file a name of the trace stands for. */
uint32_t crashdisk_line_name(struct crashdisk *cd, uint32_t path);
bool crashdisk_line_peek_name(struct crashdisk *cd, uint32_t path, uint32_t *ret_inode);
/* Does the path name a file that is not empty? */
bool crashdisk_line_access(struct crashdisk *cd, uint32_t path);
bool crashdisk_line_peek_access(struct crashdisk *cd, uint32_t path, bool *ret_yes);

/* Records a look and its answer when the log is on. */
void crashdisk_look_log(struct crashdisk *cd, uint8_t kind, uint32_t path, uint64_t offset,
			size_t size);

#endif
