/*
 * The user's databases as they were before the first run, kept safe until they are back.
 *
 * What a file held before is in the recording of the run that opened it first. From the end of that
 * run on it is also on disk, synced, in the folder FOREIGN_KEEP_FOLDER where the user is, with a
 * shell script that puts everything back. The folder is made before anything runs, so that two
 * commands in one place do not meet, and is removed when the files are back. Should plugpull be
 * killed by SIGKILL, or the machine lose its power, `sh plugpull-kill-originals/restore.sh` does
 * what it could not do; and no other `kill -- CMD` runs there before that, or before the folder is
 * removed by hand. A SIGKILL in the first run of all leaves what that run, cut off, had written:
 * the script is not there yet. The empty folder that is left then stands in nobody's way: who works
 * in it holds a flock(2) on it, so one that is empty and not locked is taken over.
 */
#ifndef DRIVE_FOREIGN_KEEP_H
#define DRIVE_FOREIGN_KEEP_H

#include "harness/drive/foreign_files.h"

#define FOREIGN_KEEP_FOLDER "plugpull-kill-originals"

struct foreign_keep {
	char *folder; /* owned; absolute; NULL: none */
	int lock;     /* descriptor of the folder, where there is one; flock(2) is held */
	struct foreign_files files;
};

/* ERR_IO; ERR_INPUT when the folder is there already and in use or not empty, with what to do. */
int foreign_keep_open(struct foreign_keep *k, struct err *err);
/* Takes in the files of a trace that are not known yet, as they were at its beginning. ERR_IO. */
int foreign_keep_add(struct foreign_keep *k, const struct trace *t, struct err *err);
/* A fresh start. ERR_IO. */
int foreign_keep_restore(const struct foreign_keep *k, struct err *err);
/* Puts everything back for good and removes the folder; not to be interrupted by SIGINT or SIGTERM.
 * After a failure the folder stays, and the error says so. Accepts a zeroed one. */
int foreign_keep_close(struct foreign_keep *k, struct err *err);

#endif
