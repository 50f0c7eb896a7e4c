/*
 * See strace_internal.h. What is done beside the files of databases: what leaves the program,
 * marks, new programs, and ways to change a file that do not show how.
 */
#include "faultinject/record/strace_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- what leaves the program ---- */

static void put_text(struct importer *m, enum call_kind kind, struct task *t, const uint8_t *data,
		     size_t size)
{
	struct call *call = importer_call(m, kind, t, NULL);

	call->data = importer_data(m, data, size);
	call->data_size = size;
}

static void put_mark_line(struct importer *m, struct task *t, const uint8_t *line, size_t size)
{
	static const char ack[] = "ack", mark[] = "mark";

	if (size >= 3 && memcmp(line, ack, 3) == 0 && (size == 3 || line[3] == ' '))
		put_text(m, CALL_ACK, t, line + (size == 3 ? 3 : 4), size - (size == 3 ? 3 : 4));
	else if (size >= 4 && memcmp(line, mark, 4) == 0 && (size == 4 || line[4] == ' '))
		put_text(m, CALL_MARK, t, line + (size == 4 ? 4 : 5), size - (size == 4 ? 4 : 5));
	else
		importer_trouble(m, t, NULL,
				 "a line in the file of marks that is neither an ack "
				 "nor a mark");
}

static void put_marks(struct importer *m, struct task *t, struct buf *data)
{
	buf_append(&m->mark, data->data, data->size);
	for (;;) {
		uint8_t *end = m->mark.size == 0 ? NULL : memchr(m->mark.data, '\n', m->mark.size);

		if (end == NULL)
			return;
		size_t size = (size_t)(end - m->mark.data);

		put_mark_line(m, t, m->mark.data, size);
		m->mark.size -= size + 1;
		memmove(m->mark.data, end + 1, m->mark.size);
	}
}

static bool is_socket(const char *path)
{
	static const char *const words[] = {"socket:", "TCP", "UDP", "UNIX"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strncmp(path, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/* A write to something else than a database. */
void strace_output(struct importer *m, struct task *t, const struct strace_call *c)
{
	const struct strace_run *run = c->run;
	struct span arg = strace_arg(&run->args, 1);
	bool marks =
	    m->mark_path != NULL && run->path != NULL && strcmp(run->path, m->mark_path) == 0;
	bool cut;

	if (c->result <= 0 ||
	    !(marks || run->fd.fd == 1 || (run->path != NULL && is_socket(run->path))))
		return;
	buf_clear(&m->scratch);
	if (arg.size > 0 && arg.p[0] == '"')
		(void)strace_arg_string(arg, &m->scratch, &cut);
	else
		(void)strace_arg_strings(arg, "iov_base=", &m->scratch, &cut);
	if (c->name != ST_SEND && m->scratch.size > (size_t)c->result)
		m->scratch.size = (size_t)c->result;
	if (marks)
		put_marks(m, t, &m->scratch);
	else
		put_text(m, CALL_OUTPUT, t, m->scratch.data, m->scratch.size);
}

/* ---- programs ---- */

/* strace -v shows the environment. */
static void find_mark_path(struct importer *m, struct task *t, struct span environment)
{
	static const char variable[] = "PLUGPULL_MARK=";
	const char *p = environment.p + 1, *end = environment.p + environment.size;
	bool cut;

	if (environment.size < 2 || environment.p[0] != '[')
		return;
	while (p < end) {
		const char *stop = strace_arg_end(p, end);

		while (p < stop && *p == ' ')
			p++;
		buf_clear(&m->scratch);
		if (strace_arg_string((struct span){p, (size_t)(stop - p)}, &m->scratch, &cut) &&
		    m->scratch.size > sizeof variable - 1 &&
		    memcmp(m->scratch.data, variable, sizeof variable - 1) == 0) {
			const char *path = buf_str(&m->scratch) + sizeof variable - 1;

			free(m->mark_path);
			m->mark_path = path[0] == '/' || t->cwd->path == NULL
					   ? xstrdup(path)
					   : xasprintf("%s/%s", t->cwd->path, path);
		}
		p = stop + 1;
	}
}

void strace_program(struct importer *m, struct task *t, struct strace_call *c)
{
	struct call *call;

	(void)strace_one_path(m, t, c, true, &m->scratch);
	call = importer_call(m, CALL_PROCESS, t, NULL);
	call->path = m->scratch.size == 0 ? NULL : importer_string(m, buf_str(&m->scratch));
	call->other_pid = t->process->parent;
	find_mark_path(m, t, strace_arg(&c->run->args, c->name == ST_EXECVE ? 2 : 3));
}

/* ---- what cannot be followed ---- */

static void check_target(struct importer *m, struct task *t, struct span arg, const char *what)
{
	struct fd_arg fd;

	if (!strace_arg_fd(arg, &fd, &m->scratch) || !fd.has_path || fd.deleted)
		return;
	enum part part = strace_part(m, buf_str(&m->scratch));

	if (part != PART_NONE && part != PART_SHM)
		importer_trouble(m, t, NULL, "%s %s, and the data is not shown",
				 buf_str(&m->scratch), what);
}

void strace_unknown(struct importer *m, struct task *t, const struct strace_call *c)
{
	const struct args *args = &c->run->args;

	switch (c->name) {
	case ST_MMAP:
		if (strace_maps_writable(args))
			check_target(m, t, strace_arg(args, 4), "is mapped for writing");
		break;
	case ST_COPY_FILE_RANGE:
		check_target(m, t, strace_arg(args, 2), "was written by copy_file_range()");
		break;
	case ST_SPLICE:
		check_target(m, t, strace_arg(args, 2), "was written by splice()");
		break;
	case ST_SENDFILE:
		check_target(m, t, strace_arg(args, 0), "was written by sendfile()");
		if (c->run->fd.fd == 1 || (c->run->path != NULL && is_socket(c->run->path)))
			put_text(m, CALL_OUTPUT, t, NULL, 0);
		break;
	case ST_IOCTL:
		if (strace_ioctl_writes(strace_arg(args, 1)))
			check_target(m, t, strace_arg(args, 0), "was changed by ioctl()");
		break;
	case ST_IO_URING_SETUP:
		/* Others are of no use before io_uring_enter(). */
		if (strace_arg_has(strace_arg(args, 1), "IORING_SETUP_SQPOLL"))
			importer_trouble(m, t, NULL,
					 "the program uses io_uring, which shows nothing");
		break;
	case ST_IO_URING_ENTER:
		if (c->result > 0)
			importer_trouble(m, t, NULL,
					 "the program uses io_uring, which shows nothing");
		break;
	case ST_IO_SUBMIT:
		if (strace_arg_has(strace_arg(args, 2), "IOCB_CMD_PWRITE") ||
		    strace_arg_has(strace_arg(args, 2), "IOCB_CMD_PWRITEV"))
			importer_trouble(m, t, NULL,
					 "the program writes by io_submit(), which is "
					 "not followed");
		break;
	default:
		break;
	}
}
