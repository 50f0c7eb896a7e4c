/*
 * See strace.h. The text is walked through twice: the first walk finds which files belong to
 * databases that the program writes (strace_databases.c), the second one makes calls of what was
 * done to them (strace_do.c). Both follow processes, descriptors and folders (strace_tasks.c).
 *
 * The two moments of a call are two events also when they stand in one line; what is done at which
 * follows log_read.h: a descriptor is closed, a lock given up and a sync begun at the begin,
 * everything else happens at the end.
 */
#include "faultinject/record/strace.h"

#include "faultinject/base/assert.h"
#include "faultinject/record/strace_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *strace_command_line(void)
{
	return STRACE_COMMAND " " STRACE_FILTER;
}

/* ---- what everybody needs ---- */

void importer_fail(struct importer *m, int code, const char *fmt, ...)
{
	char message[ERR_MESSAGE_SIZE];
	va_list args;

	if (m->rc != 0)
		return;
	va_start(args, fmt);
	(void)vsnprintf(message, sizeof message, fmt, args);
	va_end(args);
	m->rc = err_set(m->err, code, "line %u: %s", m->line, message);
}

const char *importer_string(struct importer *m, const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = arena_alloc(&m->list->arena, size);

	memcpy(copy, s, size);
	return copy;
}

const uint8_t *importer_data(struct importer *m, const void *data, size_t size)
{
	uint8_t *copy = arena_alloc(&m->list->arena, size);

	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

struct call *importer_call(struct importer *m, enum call_kind kind, const struct task *t,
			   const struct file *f)
{
	struct call *c = call_list_add(m->list);

	c->kind = kind;
	if (t != NULL) {
		c->pid = t->process->pid;
		c->tid = t->tid;
	}
	if (f != NULL) {
		c->ino = f->ino;
		c->path = importer_string(m, f->path);
	}
	return c;
}

void importer_trouble(struct importer *m, const struct task *t, const struct file *f,
		      const char *fmt, ...)
{
	char text[ERR_MESSAGE_SIZE];
	struct call *c;
	va_list args;

	if (m->list == NULL || m->trouble_count > STRACE_TROUBLES_MAX)
		return;
	if (m->trouble_count++ == STRACE_TROUBLES_MAX) {
		(void)snprintf(text, sizeof text, "more like that, which are not listed");
	} else {
		int n = snprintf(text, sizeof text, "line %u: ", m->line);

		va_start(args, fmt);
		(void)vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
		va_end(args);
	}
	c = importer_call(m, CALL_TROUBLE, t, f);
	c->data_size = strlen(text);
	c->data = importer_data(m, text, c->data_size);
}

void importer_decide(struct importer *m, size_t call, bool happened)
{
	struct call *c = &m->list->items[call];

	c->flags &= ~(uint32_t)CALL_PERHAPS;
	if (!happened)
		c->kind = 0; /* tidy_calls() */
}

struct path_item *strace_path_find(struct path_item *set, const char *path)
{
	struct path_item *item;

	HASH_FIND_STR(set, path, item);
	return item;
}

struct path_item *strace_path_add(struct importer *m, struct path_item **set, const char *path)
{
	struct path_item *item = strace_path_find(*set, path);

	if (item != NULL)
		return item;
	if (HASH_COUNT(*set) == STRACE_PATHS_MAX) {
		importer_fail(m, ERR_LIMIT, "more than %d files", STRACE_PATHS_MAX);
		return NULL;
	}
	item = xcalloc(1, sizeof *item);
	item->path = xstrdup(path);
	HASH_ADD_KEYPTR(hh, *set, item->path, strlen(item->path), item);
	return item;
}

void strace_paths_free(struct path_item **set)
{
	struct path_item *item = *set, *next;

	HASH_CLEAR(hh, *set);
	for (; item != NULL; item = next) {
		next = item->hh.next;
		free(item->path);
		free(item->to);
		free(item);
	}
}

/* ---- a walk ---- */

static void run_free(struct strace_call *c)
{
	if (c->run == NULL)
		return;
	strace_desc_release(c->run->desc);
	free(c->run->path);
	free(c->run);
	c->run = NULL;
}

/* Learns where the task is: strace shows it with AT_FDCWD. */
static void learn_cwd(struct importer *m, struct task *t, const struct strace_run *run)
{
	struct fd_arg fd;

	for (size_t i = 0; i < run->args.count; i++)
		if (run->args.items[i].size > 0 && run->args.items[i].p[0] == 'A' &&
		    strace_arg_fd(run->args.items[i], &fd, &m->scratch) && fd.fd == STRACE_CWD &&
		    fd.has_path && !fd.deleted)
			strace_task_set_cwd(t, buf_str(&m->scratch));
}

static void begin_call(struct importer *m, struct task *t, struct strace_call *c)
{
	struct strace_run *run = xcalloc(1, sizeof *run);

	c->run = run;
	c->tid = t->tid; /* the line may show none */
	run->begin = SIZE_MAX;
	strace_args_split(c->args, &run->args);
	learn_cwd(m, t, run);
	if (strace_arg_fd(strace_arg(&run->args, 0), &run->fd, &m->scratch) && run->fd.has_path)
		run->path = xstrdup(buf_str(&m->scratch));
	if (m->walk->on_begin != NULL)
		m->walk->on_begin(m, t, c);
}

/* What a call means to the process; done in both walks. */
static void end_process_call(struct importer *m, struct task *t, struct strace_call *c)
{
	struct span first = strace_arg(&c->run->args, 0);
	bool cut;

	if (c->failed)
		return;
	switch (c->name) {
	case ST_CLONE:
	case ST_CLONE3:
	case ST_FORK:
	case ST_VFORK:
		strace_task_cloned(m, t, c);
		break;
	case ST_UNSHARE:
		strace_task_unshared(t, first);
		break;
	case ST_EXECVE:
	case ST_EXECVEAT:
		strace_task_executed(m, t);
		break;
	case ST_CHDIR:
		if (strace_one_path(m, t, c, true, &m->scratch))
			strace_task_set_cwd(t, buf_str(&m->scratch));
		else
			strace_task_set_cwd(t, NULL);
		break;
	case ST_FCHDIR:
		strace_task_set_cwd(t, c->run->path);
		break;
	case ST_GETCWD:
		buf_clear(&m->scratch);
		if (strace_arg_string(first, &m->scratch, &cut) && !cut && m->scratch.size > 0 &&
		    m->scratch.data[0] == '/')
			strace_task_set_cwd(t, buf_str(&m->scratch));
		break;
	default:
		break;
	}
}

static void end_call(struct importer *m, struct task *t, struct strace_call *c)
{
	if (!(c->injected && !c->failed)) {
		if (m->walk->on_end != NULL)
			m->walk->on_end(m, t, c);
		if (m->rc == 0)
			end_process_call(m, t, c);
	}
	run_free(c);
}

static void on_event(struct importer *m, const struct strace_event *e)
{
	struct task *t;
	struct strace_call *c;

	m->line = e->line;
	t = strace_task_get(m, e->tid, e);
	if (t == NULL)
		return;
	t->seen = true;
	switch (e->kind) {
	case STRACE_BEGIN:
	case STRACE_WHOLE:
	case STRACE_END:
		c = &m->text.calls[e->call];
		/* Arguments that strace shows only at the end are in `args` at the begin, too. */
		if (e->kind != STRACE_END)
			begin_call(m, t, c);
		if (e->kind != STRACE_BEGIN && m->rc == 0 && c->run != NULL)
			end_call(m, t, c);
		else if (!c->ended)
			run_free(c);
		break;
	case STRACE_EXITED:
	case STRACE_KILLED:
		strace_task_ended(m, t, e);
		break;
	case STRACE_SUPERSEDED:
		strace_task_superseded(m, t, e->value);
		break;
	case STRACE_DETACHED:
		importer_trouble(m, t, NULL,
				 "strace let process %u go: what it did from here on is not shown",
				 t->tid);
		break;
	}
}

static void never_seen(struct importer *m)
{
	struct task *t, *next;

	HASH_ITER (hh, m->tasks, t, next)
		if (!t->seen)
			importer_trouble(m, t, NULL,
					 "process %u was started and nothing shows what it did",
					 t->tid);
}

static void walk(struct importer *m, const struct walk *walk)
{
	m->walk = walk;
	for (size_t i = 0; i < m->text.event_count && m->rc == 0; i++)
		on_event(m, &m->text.events[i]);
	if (m->rc == 0)
		never_seen(m);
	for (size_t i = 0; i < m->text.call_count; i++)
		run_free(&m->text.calls[i]);
	strace_tasks_free(m);
}

/* Takes out what did not happen, and gives the first process its number everywhere. */
static void tidy_calls(struct importer *m)
{
	struct call_list *l = m->list;
	size_t *place = xcalloc(l->count + 1, sizeof *place);
	size_t count = 0;

	for (size_t i = 0; i < l->count; i++) {
		struct call c = l->items[i];

		place[i] = count;
		if (c.kind == 0)
			continue;
		c.begin = place[c.begin];
		if (m->first_pid != 0 && c.pid == 0 && c.kind != CALL_TROUBLE)
			c.pid = c.tid = m->first_pid;
		l->items[count++] = c;
	}
	l->count = count;
	free(place);
}

int strace_read(const char *text, size_t size, struct call_list *ret, struct err *err)
{
	struct importer m = {.err = err};

	/* Calls are changed by their index, from the first. */
	ASSERT_OP(ret->count, ==, 0);

	buf_init(&m.scratch);
	buf_init(&m.scratch2);
	buf_init(&m.mark);
	m.files_end = &m.files;
	m.rc = strace_text_parse(text, size, &m.text, err);
	if (m.rc == 0 && m.text.event_count == 0)
		m.rc = err_set(err, ERR_INPUT,
			       "line 1: no system call that matters is shown: run "
			       "strace with the options of `plugpull trace --help`");
	if (m.rc == 0)
		m.rc = strace_clones_index(&m);
	if (m.rc == 0)
		walk(&m, &strace_walk_databases);
	if (m.rc == 0)
		strace_databases_settle(&m);
	if (m.rc == 0) {
		m.list = ret;
		walk(&m, &strace_walk_calls);
	}
	if (m.rc == 0)
		strace_files_settle(&m);
	if (m.rc == 0)
		tidy_calls(&m);
	strace_files_free(&m);
	strace_paths_free(&m.databases);
	strace_paths_free(&m.opened);
	strace_paths_free(&m.changed);
	strace_paths_free(&m.folders);
	strace_paths_free(&m.sides);
	strace_paths_free(&m.renames);
	strace_paths_free(&m.aliases);
	free(m.clones);
	free(m.mark_path);
	buf_release(&m.mark);
	buf_release(&m.scratch);
	buf_release(&m.scratch2);
	strace_text_release(&m.text);
	return m.rc;
}
