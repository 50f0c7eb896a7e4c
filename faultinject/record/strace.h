/*
 * Reads what strace wrote about a program into calls (call.h), for programs that the recorder
 * cannot see into (statically linked ones). The command line that makes such a file is
 * strace_command_line(); other options work as long as they show at least that much. The texts of
 * `-o FILE` and of standard error ("[pid 12] ...") are both read.
 *
 * What counts where is as in log_read.h; the order is that in which strace saw the calls begin and
 * end, its "<unfinished ...>" and "<... resumed>".
 *
 * strace gives no inode numbers and no content of files that were there before:
 *
 *   - Files are numbered here, by following names (dev is 0). A file that open(2) may have created
 *     existed if somebody was told so before, or if it is seen to have bytes.
 *   - A file that existed has what the program's own reads showed of it, other bytes are 0. Of a
 *     journal or log that is all that SQLite relies on; of a database it is CALL_TROUBLE, unless
 *     every byte was read.
 *   - What is read later is compared with what is known. A difference, and a size that is not
 *     ours, is CALL_TROUBLE: somebody wrote who is not shown.
 *
 * Recorded are databases that the program changes, and what belongs to them (names that begin with
 * the database's and "-"). A file is a database when it gets a lock where SQLite locks, begins with
 * SQLite's header, or has a journal or log that is opened beside it.
 *
 * CALL_PROCESS is a successful execve(2). CALL_EXIT: the exit status, or 128 and the signal.
 * CALL_OUTPUT: what went to descriptor 1 or a socket. CALL_ACK and CALL_MARK need the environment
 * of execve, which strace shows with -v. No CALL_DIGEST, CALL_MAPPED or CALL_BLIND: a mapping that
 * can be written through is CALL_TROUBLE.
 */
#ifndef RECORD_STRACE_H
#define RECORD_STRACE_H

#include "faultinject/base/err.h"
#include "faultinject/record/call.h"

#include <stdint.h>

/* The two halves of strace_command_line(). No string is cut: a write of SQLite has 64 KiB and a
 * header at most. %process and %desc leave out the three calls that are named. */
#define STRACE_COMMAND "strace -f -y -xx -s 16777216"
#define STRACE_FILTER  "-e 'trace=%file,%desc,%process,%net,sync,unshare,io_submit,?close_range'"

/* The options of strace that are needed, without -o, as one line for people and a shell. */
const char *strace_command_line(void);

/* Parses `text`, which comes from strangers. Appends to *ret, which was zeroed. ERR_INPUT names the
 * line ("line 12: ..."): not the output of strace, or too little in it (strings cut, no names of
 * descriptors, no process numbers where there are several processes). ERR_LIMIT. Calls that cannot
 * matter are passed over. What it cannot know becomes CALL_TROUBLE with the line. */
int strace_read(const char *text, size_t size, struct call_list *ret, struct err *err);

#endif
