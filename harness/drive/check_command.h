/*
 * A user's command that looks at crash states (--check): for programs whose files are not only
 * SQLite's.
 *
 * The command is run by /bin/sh in a folder that holds the files of one state, with
 *
 *	$PLUGPULL_STATE		that folder
 *	$PLUGPULL_OUTPUT, stdin	what the program had written by the time of the crash
 *
 * Status 0 is fine, anything else an objection, and so is not to end. It is a process group of its
 * own; whatever of it is left at its end is killed. The folder is below $TMPDIR, or /tmp.
 *
 * One thread. Nothing here knows how a state comes about (check_sample.h).
 */
#ifndef DRIVE_CHECK_COMMAND_H
#define DRIVE_CHECK_COMMAND_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "harness/drive/lay_out.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CHECK_COMMAND_SECONDS = 10, /* more is a hang */
	CHECK_MESSAGE_SIZE = 360,   /* bytes of what the command said, with the final NUL */
	CHECK_COMMAND_MAX = 4096,   /* bytes of a command */
};

enum check_end {
	CHECK_FINE,
	CHECK_OBJECTS,
	CHECK_STOPPED, /* `stopped` said so */
};

struct check_command;

/* Makes the folder. `command` is copied. The caller owns the result. ERR_IO. */
int check_command_create(const char *command, uint64_t timeout_ns,
			 struct check_command **ret_command, struct err *err);
void check_command_free(struct check_command *c); /* removes the folder; accepts NULL */

/* Lays out a state and runs the command on it. `stopped` (may be NULL) is asked while it runs.
 * `message` is what it objects to: its status and the last line that it printed, with the folder
 * as $PLUGPULL_STATE. ERR_IO: the state could not be laid out, or the shell not started. */
int check_command_run(struct check_command *c, const struct laid_file *files, size_t count,
		      const struct buf *output, bool (*stopped)(void *ctx), void *ctx,
		      enum check_end *ret_end, char message[CHECK_MESSAGE_SIZE], struct err *err);

#endif
