/* See identity.h. A version number would not tell two builds apart. */
#include "harness/drive/identity.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 18 };

static int add_file(const char *path, struct buf *b, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	struct buf content;
	ssize_t n = 1;

	if (fd < 0)
		return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	buf_init(&content);
	while (n != 0) {
		buf_reserve(&content, READ_SIZE);
		n = read(fd, content.data + content.size, READ_SIZE);
		if (n < 0 && errno != EINTR) {
			rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
			break;
		}
		content.size += n < 0 ? 0 : (size_t)n;
	}
	struct digest d = hash128(content.data, content.size);
	buf_put_u64(b, content.size);
	buf_put_u64(b, d.lo);
	buf_put_u64(b, d.hi);
	close(fd);
	buf_release(&content);
	return rc;
}

static void add_text(const char *text, struct buf *b)
{
	buf_put_u64(b, strlen(text));
	buf_append(b, text, strlen(text));
}

static void add_subject(const struct subject *s, struct buf *b)
{
	json_t *json = subject_to_json(s);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	ASSERT(text != NULL);
	add_text(text, b);
	free(text);
	json_decref(json);
}

static void add_trace(const struct trace *t, struct buf *b)
{
	struct trace anonymous = *t; /* borrows everything; encoding only reads it */
	char nobody[] = "";

	anonymous.producer = nobody;
	trace_encode(&anonymous, b);
}

int exploration_identity(const struct subject *s, const struct trace *t, const char *more,
			 struct digest *ret, struct err *err)
{
	struct buf b;
	Dl_info sqlite;
	int rc;

	buf_init(&b);
	add_subject(s, &b);
	add_text(more, &b);
	add_text(sqlite3_sourceid(), &b);
	rc = add_file("/proc/self/exe", &b, err);
	if (rc == 0 && dladdr((void *)(uintptr_t)sqlite3_libversion, &sqlite) != 0)
		rc = add_file(sqlite.dli_fname, &b, err);
	for (size_t i = 0; i < s->load_count && rc == 0; i++) {
		/* https://www.sqlite.org/c3ref/load_extension.html: ".so" may be left out. */
		char *longer = xasprintf("%s.so", s->loads[i]);
		rc = add_file(access(s->loads[i], R_OK) == 0 ? s->loads[i] : longer, &b, err);
		free(longer);
	}
	add_trace(t, &b);
	if (rc == 0)
		*ret = hash128(b.data, b.size);
	buf_release(&b);
	return rc;
}
