/*
 * The disk that has not made up its mind: the files as a power loss at one position of a trace
 * could have left them, with everything that the model leaves open still open.
 *
 * It is a storage (storage.h), so recovery runs on it. The first time recovery looks at something
 * undetermined, the disk asks choice_next() and keeps the answer for this run. What recovery never
 * looks at is a don't-care, and the run stands for all its values: crashdisk_weight() says for how
 * many assignments that is.
 *
 * Order of decisions (rules D5, D7): name, then the file's metadata prefix, then its sectors. Where
 * a file, or everything, survives as one prefix of its operations (D4), a decision narrows an
 * interval of prefix lengths. Answer 0 is the newest possibility, the last answer the oldest.
 *
 * What recovery itself writes is there at once and never lost. For a second crash, during recovery,
 * crashdisk_above() makes a disk on which it can be (see there).
 *
 *     crashdisk_open(cd, position)      once a crash point
 *       crashdisk_begin(cd, choice)     once a run; everything decided before is forgotten
 *         ... recovery over crashdisk_storage(cd) ...
 *       crashdisk_weight(cd, w)         assignments that this run stands for
 *     crashdisk_total(cd, w)            all assignments at this position, counted independently
 *
 * One thread; a forked process may go on with its copy.
 */
#ifndef FI_CRASHDISK_H
#define FI_CRASHDISK_H

#include "faultinject/base/choice.h"
#include "faultinject/model.h"
#include "faultinject/storage.h"
#include "faultinject/trace_index.h"

#include <gmp.h>

struct crashdisk;

/* `ix` is borrowed for the disk's life; the model is copied: that of the index, or a process
 * crash. */
struct crashdisk *crashdisk_create(const struct trace_index *ix, const struct model *model);
void crashdisk_free(struct crashdisk *cd); /* accepts NULL */

struct storage *crashdisk_storage(struct crashdisk *cd);

/* Goes to a crash position, 0..op_count. For a process-crash model, the operation at `position`
 * may be cut: `cut_bytes` of it happened (WRITE only; SIZE_MAX = all). */
void crashdisk_open(struct crashdisk *cd, uint64_t position, size_t cut_bytes);

/* Starts a run; `choice` (borrowed until the next begin) answers. */
void crashdisk_begin(struct crashdisk *cd, struct choice *choice);

/*
 * Crash during recovery. After crashdisk_record(), each run keeps what recovery does to the disk,
 * until crashdisk_end_recovery(), when the machine dies again: all calls fail until the next begin.
 *
 *     crashdisk_record(cd);
 *     crashdisk_begin(cd, choice);
 *       ... recovery over crashdisk_storage(cd) ...
 *     crashdisk_end_recovery(cd);
 *     crashdisk_above(cd, &top, err)    what recovery did, as a trace of its own
 *
 * `top` is an undecided disk over that trace: what the first recovery decided is durable, what it
 * did is pending, and everything else is still undecided below. A second run:
 *
 *     crashdisk_begin(cd, choice);      the same recovery with the same answers again
 *       ... recovery over crashdisk_storage(cd) ...
 *     crashdisk_end_recovery(cd);
 *     crashdisk_begin(top, choice);     the same choice goes on
 *       ... recovery over crashdisk_storage(top) ...
 *
 * It stands for crashdisk_weight(top) x crashdisk_weight(cd) assignments.
 */
void crashdisk_record(struct crashdisk *cd);
void crashdisk_end_recovery(struct crashdisk *cd);
/* *ret_top is the caller's and borrows `cd`; NULL when the recovery changed nothing and synced
 * nothing. The log and peeking (below) do not work on it. ERR_LIMIT, ERR_INPUT as
 * trace_index_build(). */
int crashdisk_above(struct crashdisk *cd, struct crashdisk **ret_top, struct err *err);
/* The index that the disk stands on. */
const struct trace_index *crashdisk_index(const struct crashdisk *cd);

/*
 * Representatives: one read that finds several sectors undecided asks one question for all of them;
 * answer k gives each of them its k-th candidate, newest first, or its last one where there are
 * fewer. So a page whose sectors were written together tears nowhere. States are left out: the runs
 * no longer add up to crashdisk_total(). Not where a prefix survives (D4), which is one choice
 * anyway.
 */
void crashdisk_set_representative(struct crashdisk *cd, bool representative);

/* The last question of the present run, in words, to name where a run diverged; NULL when none was
 * asked. Borrowed until the next call. */
const char *crashdisk_last_question(const struct crashdisk *cd);

/* Tells every question of a run and its answer, for people: `answer` of `n`, where 0 is the newest
 * possibility. NULL stops it. */
void crashdisk_narrate(struct crashdisk *cd,
		       void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n),
		       void *ctx);

/* Sets `ret` (initialised by the caller) to the number of assignments that the present run stands
 * for: undecided things times the equal-content classes that were chosen. */
void crashdisk_weight(struct crashdisk *cd, mpz_t ret);
/* The number of all assignments at this position, from the index alone. */
void crashdisk_total(struct crashdisk *cd, mpz_t ret);

/* More states of tied names than this program counts; what was explored here is not everything. */
bool crashdisk_limited(const struct crashdisk *cd);

/*
 * The log of what a reader looked at. While it is on, every answer that could differ between crash
 * states is recorded: if all of them would be answered the same, the reader would see the same.
 */
struct crashdisk_look {
	uint8_t kind;  /* CRASHDISK_LOOK_* */
	uint32_t path; /* number of the path, stable over all runs of this disk */
	uint32_t size;
	uint64_t offset;
};

enum {
	CRASHDISK_LOOK_ACCESS,
	CRASHDISK_LOOK_OPEN,
	CRASHDISK_LOOK_SIZE,
	CRASHDISK_LOOK_READ,
	CRASHDISK_LOOK_CONTENT, /* crashdisk_look_content() */
};

/* The answer of a content look where the content is still undecided. */
#define CRASHDISK_OPEN UINT64_C(0x6f70656e)

/* Starts the log anew, or ends it; what it holds stays until it is started again. */
void crashdisk_log(struct crashdisk *cd, bool on);
/* Goes on with the log where it ended, or ends it again. Returns whether it was on. */
bool crashdisk_log_more(struct crashdisk *cd, bool on);
/* The log: looks and the answer that each got; borrowed until the next change. */
size_t crashdisk_log_entries(const struct crashdisk *cd, const struct crashdisk_look **ret_looks,
			     const uint64_t **ret_answers);
/* Since the log was started, also after it was ended, the reader changed no file and met no open
 * question. */
bool crashdisk_log_pure(const struct crashdisk *cd);
/* What a look would be answered in the present run; false when that is still open. Decides
 * nothing. */
bool crashdisk_peek(struct crashdisk *cd, const struct crashdisk_look *look, uint64_t *ret_answer);

/* The number of a path, for looks. */
uint32_t crashdisk_path(struct crashdisk *cd, const char *path);
/* Looks at bytes without deciding anything, and keeps the look if the log is on. The answer is a
 * hash of the bytes and how many there are, the same for equal bytes at any place, as long as
 * `size` is the same; or CRASHDISK_OPEN. */
uint64_t crashdisk_look_content(struct crashdisk *cd, uint32_t path, uint64_t offset, size_t size);
/* The bytes themselves, without deciding anything and without a look. False: some are undecided, or
 * behind the end of the file. */
bool crashdisk_peek_bytes(struct crashdisk *cd, uint32_t path, uint64_t offset, size_t size,
			  void *buf);

/*
 * The files as the crash left them in the present run, whatever recovery has done to them since; on
 * a disk above another one, as the second crash left them. What is still open is asked of the run's
 * choice. Valid until the next begin.
 */
struct crashdisk_left {
	struct crashdisk *disk; /* that knows the file: this one, or the one below */
	uint32_t inode;		/* the same for names of one file; of that disk alone */
};

/* False: there was no such file. */
bool crashdisk_left_open(struct crashdisk *cd, const char *path, struct crashdisk_left *ret);
uint64_t crashdisk_left_size(const struct crashdisk_left *file);
/* `offset` + `size` is at most its size. */
void crashdisk_left_read(const struct crashdisk_left *file, uint64_t offset, void *buf,
			 size_t size);

/*
 * What became of the operations of the disk's own trace in the present run, and what its questions
 * are about. Decides nothing, and so may be asked at any time: what is still open is "unasked".
 */
enum crashdisk_fate {
	CRASHDISK_DURABLE, /* it cannot be lost here */
	CRASHDISK_KEPT,	   /* pending, and on the disk, or replaced there by something later */
	CRASHDISK_LOST,	   /* pending, and not on the disk */
	CRASHDISK_TORN, /* pending, and partly on the disk, or in a sector that it damaged (D9) */
	CRASHDISK_DAMAGED,   /* was durable, or kept, and a later write damaged its sector (D9) */
	CRASHDISK_UNASKED,   /* pending, and the run stands for both */
	CRASHDISK_NO_CHANGE, /* it is after the crash, or changes nothing on a disk */
};

struct crashdisk_told {
	enum crashdisk_fate fate;
	/* Sectors of a write and how many are known to be on the disk; otherwise 1, and 0 or 1. */
	uint32_t parts, parts_kept;
	/* The last write that damaged a sector of this one, by a position; 0: none that is known.
	 * Not told where a prefix survives (D4). */
	uint64_t damaged_by;
};

/* `position` is one of the trace, 1..op_count. Of a write some of whose sectors nobody has looked
 * at, the others say what became of it. */
void crashdisk_told(struct crashdisk *cd, uint64_t position, struct crashdisk_told *ret);
/* The same, where "is the file there, with something in it?" was asked: the run then stands for
 * several states in which names and sizes go together (gone; or there, and empty), and fates that
 * are true of all of them say little. This tells one of them, the newest. */
void crashdisk_told_example(struct crashdisk *cd, uint64_t position, struct crashdisk_told *ret);

enum crashdisk_topic {
	CRASHDISK_ASKS_NOTHING,
	CRASHDISK_ASKS_ACCESS,	/* is there a file of this name that is not empty */
	CRASHDISK_ASKS_NAME,	/* which file has this name */
	CRASHDISK_ASKS_SIZE,	/* of this file */
	CRASHDISK_ASKS_CONTENT, /* of `size` bytes at `offset` */
};

struct crashdisk_asked {
	enum crashdisk_topic topic;
	uint32_t name;	/* of the trace's table; of a file the first that it had; 0: none */
	uint32_t inode; /* 0 where it is about a name */
	uint64_t offset, size;
};

/* The last question of the present run. */
void crashdisk_asked(const struct crashdisk *cd, struct crashdisk_asked *ret);

/* The operation that wrote what the crash left at `offset` of a file: a position, or 0 for the base
 * and for what was never written. False: that is open, or a hole or damage (D6, D9) is there. */
bool crashdisk_written_by(struct crashdisk *cd, uint32_t inode, uint64_t offset,
			  uint64_t *ret_position);

/* The disk that stands on the trace itself: `cd`, or the one below it (crashdisk_above()). */
struct crashdisk *crashdisk_lowest(struct crashdisk *cd);

#endif
