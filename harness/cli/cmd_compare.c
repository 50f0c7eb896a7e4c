/* `plugpull compare BASE NEW`: two results, each a report folder or a file of --json. */
#include "harness/cli/command.h"

#include "faultinject/base/buf.h"
#include "harness/case/result_read.h"
#include "reports/compare.h"
#include "reports/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct side {
	const char *argument;
	bool folder; /* a report folder: it has case files */
	struct result result;
	struct result_origin origin;
};

static int read_all(int fd, const char *path, struct buf *ret, struct err *err)
{
	/* One byte more than is allowed, for result_read() to refuse. */
	while (ret->size <= RESULT_READ_SIZE_MAX) {
		buf_reserve(ret, 1 << 20);
		ssize_t n = read(fd, ret->data + ret->size, 1 << 20);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
		if (n == 0)
			break;
		ret->size += (size_t)n;
	}
	return 0;
}

static int load(const char *argument, struct side *ret, struct err *err)
{
	struct stat st;
	struct buf text;
	int rc = 0;

	ret->argument = argument;
	ret->folder = stat(argument, &st) == 0 && S_ISDIR(st.st_mode);
	char *path = ret->folder ? xasprintf("%s/result.json", argument) : xstrdup(argument);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	buf_init(&text);
	if (fd < 0)
		rc = err_set(err, ERR_INPUT, "%s: %s", path, strerror(errno));
	if (rc == 0)
		rc = read_all(fd, path, &text, err);
	if (rc == 0) {
		rc = result_read(buf_str(&text), text.size, &ret->result, &ret->origin, err);
		if (rc != 0)
			(void)err_context(err, "%s", path);
	}
	if (fd >= 0)
		(void)close(fd);
	buf_release(&text);
	free(path);
	return rc;
}

static void release(struct side *s)
{
	result_release(&s->result);
	result_origin_release(&s->origin);
}

static int print(const struct options *o, const struct compare *c, const char *report,
		 struct err *err)
{
	struct terminal_style style = {.color = options_use_color(o, STDOUT_FILENO),
				       .report = report};
	bool only_json = cli_json_on_stdout(o);
	struct buf text;
	int rc = 0;

	buf_init(&text);
	if (!only_json)
		compare_render(&text, c, &style, o->quiet);
	else
		compare_json(&text, c);
	if (fputs(buf_str(&text), stdout) == EOF || fflush(stdout) != 0)
		rc = err_set(err, ERR_IO, "cannot write to standard output: %s", strerror(errno));
	if (rc == 0 && o->json != NULL && !only_json) {
		buf_clear(&text);
		compare_json(&text, c);
		rc = file_write(o->json, text.data, text.size, err);
		if (rc != 0)
			(void)err_context(err, "option --json");
	}
	buf_release(&text);
	return rc;
}

int cmd_compare(const struct options *options)
{
	struct side base = {0}, now = {0};
	struct compare c = {0};
	struct err err = ERR_INIT;
	int rc = load(options->args[0], &base, &err);

	if (rc == 0)
		rc = load(options->args[1], &now, &err);
	if (rc == 0) {
		compare_results(
		    (struct compare_side){&base.result, base.origin.plugpull, base.origin.command},
		    (struct compare_side){&now.result, now.origin.plugpull, now.origin.command},
		    &c);
		rc = print(options, &c, now.folder ? now.argument : NULL, &err);
	}
	int code = rc != 0 ? cli_fail(&err) : c.worse > 0 ? 1 : 0;

	compare_release(&c);
	release(&base);
	release(&now);
	return code;
}
