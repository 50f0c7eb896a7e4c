/*
 * The same standard input for every run; see foreign_internal.h. `sqlite3 app.db < script.sql` is a
 * program like any other, and its second run would find the file at its end.
 */
#include "harness/drive/foreign_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	INPUT_SIZE_MAX = 256 << 20,
	SILENT_MS = 200, /* a pipe that has nothing to say by then is nobody's script */
	LOOK_MS = 100,
};

/* Copies all that comes. */
static int drain(int to, bool (*stop)(void *ctx), void *ctx, struct err *err)
{
	size_t size = 0;

	for (;;) {
		struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
		char block[65536];

		if (stop != NULL && stop(ctx))
			return err_set(err, ERR_INTERRUPTED,
				       "interrupted while standard input was read");
		if (poll(&p, 1, LOOK_MS) <= 0)
			continue;
		ssize_t n = read(STDIN_FILENO, block, sizeof block);

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || fd_write_all(to, block, (size_t)n) != 0)
			return err_set(err, ERR_IO, "cannot keep standard input: %s",
				       strerror(errno));
		size += (size_t)n;
		if (size > INPUT_SIZE_MAX)
			return err_set(err, ERR_LIMIT,
				       "standard input has more than %d bytes: put it into a file",
				       INPUT_SIZE_MAX);
	}
}

static int keep_pipe(struct foreign_input *in, bool (*stop)(void *ctx), void *ctx, struct err *err)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	int copy, rc;

	if (poll(&p, 1, SILENT_MS) <= 0)
		return 0;
	copy = memfd_create("input", MFD_CLOEXEC);
	if (copy < 0)
		return err_set(err, ERR_IO, "cannot keep standard input: %s", strerror(errno));
	rc = drain(copy, stop, ctx, err);
	if (rc == 0) {
		in->saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		if (in->saved < 0 || dup2(copy, STDIN_FILENO) < 0)
			rc =
			    err_set(err, ERR_IO, "cannot keep standard input: %s", strerror(errno));
		in->rewinds = rc == 0;
	}
	(void)close(copy);
	return rc;
}

int foreign_input_open(struct foreign_input *in, bool (*stop)(void *ctx), void *ctx,
		       struct err *err)
{
	struct stat st;

	*in = (struct foreign_input){.saved = -1};
	if (fstat(STDIN_FILENO, &st) != 0)
		return 0;
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return keep_pipe(in, stop, ctx, err);
	if (S_ISREG(st.st_mode)) {
		in->offset = lseek(STDIN_FILENO, 0, SEEK_CUR);
		in->rewinds = in->offset >= 0;
	}
	return 0;
}

void foreign_input_rewind(const struct foreign_input *in)
{
	if (in->rewinds)
		(void)lseek(STDIN_FILENO, in->offset, SEEK_SET);
}

void foreign_input_close(struct foreign_input *in)
{
	if (in->saved >= 0) {
		(void)dup2(in->saved, STDIN_FILENO);
		(void)close(in->saved);
	}
	in->saved = -1;
	in->rewinds = false;
}
