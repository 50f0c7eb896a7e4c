/*
 * The arguments of a call in the text of strace: where each ends, and what it says.
 *
 *     3</d/a\x2ddb>(deleted)   a descriptor, with -y
 *     AT_FDCWD</d>
 *     "\x61\142c\n"...         a string; "..." when it was cut
 *     O_RDWR|O_CREAT           flags
 *     {l_type=F_WRLCK, l_start=120}, [{iov_base="a", iov_len=1}]
 *
 * Everything here reads within its span and says false for what it does not know.
 */
#ifndef RECORD_STRACE_ARG_H
#define RECORD_STRACE_ARG_H

#include "faultinject/base/arena.h"
#include "faultinject/base/buf.h"
#include "faultinject/record/strace_text.h"

enum { STRACE_ARGS_MAX = 8 };

struct args {
	struct span items[STRACE_ARGS_MAX]; /* without blanks around; empty behind the last */
	size_t count;
};

/* Where the first ',' or closing bracket stands that is in no string, path, comment or inner
 * bracket; `end` when there is none. */
const char *strace_arg_end(const char *p, const char *end);
void strace_args_split(struct span text, struct args *ret);

struct fd_arg {
	int64_t fd;    /* STRACE_CWD: AT_FDCWD */
	bool deleted;  /* its file has no name any more */
	bool has_path; /* then `path` holds it */
};
#define STRACE_CWD (-100)

/* A descriptor. Its path, if it is shown, is put into `path`, which is cleared. */
bool strace_arg_fd(struct span s, struct fd_arg *ret, struct buf *path);
/* The path of a result, `<...>`, into `path`. */
bool strace_arg_path(struct span s, struct buf *path, bool *ret_deleted);

/* Appends what a string says to `ret`. */
bool strace_arg_string(struct span s, struct buf *ret, bool *ret_cut);
/* Appends up to `max` bytes of a string, or of the first piece of an iovec. */
bool strace_arg_head(struct span s, size_t max, struct buf *ret);
/* Appends the strings of all FIELD="..." in it ("iov_base="). */
bool strace_arg_strings(struct span s, const char *field, struct buf *ret, bool *ret_cut);

/* A whole number, decimal, octal (0...) or hexadecimal (0x...), with or without a sign. */
bool strace_arg_number(struct span s, int64_t *ret);
/* The number behind FIELD, such as "l_start=", in a struct. */
bool strace_arg_field(struct span s, const char *field, int64_t *ret);
/* Is `word` one of the words of the span? A word consists of letters, digits and "_". */
bool strace_arg_has(struct span s, const char *word);

static inline struct span strace_arg(const struct args *a, size_t i)
{
	return i < a->count ? a->items[i] : (struct span){"", 0};
}

#endif
