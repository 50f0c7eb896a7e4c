/*
 * Files of a crash state, in a real folder: for a command that looks at them (check_command.h) and
 * for people (materialize.h). Folders have mode 0700, files 0600. Nothing that is already there is
 * written to or followed.
 */
#ifndef DRIVE_LAY_OUT_H
#define DRIVE_LAY_OUT_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One file of a state. Everything is borrowed for the call. */
struct laid_file {
	const char *path; /* below the folder of the state: no "..", no "/" in front */
	bool present;	  /* false: only the folder that it belongs to is made */
	const uint8_t *data;
	uint64_t size;
	const struct laid_file *same_as; /* an earlier one that it is a hard link of, or NULL */
};

/* Writes the files below `folder`, which exists. ERR_IO; what was written until then stays. */
int lay_out(const char *folder, const struct laid_file *files, size_t count, struct err *err);
/* One file, made new. ERR_IO. */
int lay_out_file(const char *path, const void *data, size_t size, struct err *err);

/* Removes a folder and what is in it, whatever rights somebody took away in there. 0 also when
 * there is none; -1 with errno. */
int lay_out_remove(const char *path);

#endif
