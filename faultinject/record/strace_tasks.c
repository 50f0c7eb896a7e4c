/*
 * See strace_internal.h. Processes, threads, what they share (clone(2): CLONE_THREAD, CLONE_FILES,
 * CLONE_FS), their descriptors and the folders that they stand in.
 *
 * A child's first line may stand before the line that says how its parent's clone() ended; then the
 * clone that will return its number is looked for.
 *
 * Only descriptors of databases' files are kept: for the others the path that strace shows beside
 * each is enough. Where both are known and differ, something made a descriptor that no line shows
 * (it came through a socket), and the path is right.
 */
#include "faultinject/record/strace_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- descriptors ---- */

struct desc *strace_desc_create(enum part part, struct file *file, const char *path)
{
	struct desc *d = xcalloc(1, sizeof *d);

	d->refs = 1;
	d->part = part;
	d->file = file;
	d->path = xstrdup(path);
	return d;
}

void strace_desc_release(struct desc *d)
{
	if (d == NULL || --d->refs > 0)
		return;
	free(d->path);
	free(d);
}

/* The first slot whose descriptor is not below `fd`. */
static size_t slot_place(const struct fd_table *fds, int64_t fd)
{
	size_t low = 0, high = fds->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (fds->slots[mid].fd < fd)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct slot *strace_slot_find(const struct fd_table *fds, int64_t fd)
{
	size_t i = slot_place(fds, fd);

	return i < fds->count && fds->slots[i].fd == fd ? &fds->slots[i] : NULL;
}

void strace_slot_put(struct importer *m, struct task *t, int64_t fd, struct desc *desc,
		     bool cloexec)
{
	struct fd_table *fds = t->fds;
	size_t i;

	strace_slot_close(m, t, fd);
	i = slot_place(fds, fd);
	fds->slots = xgrow(fds->slots, fds->count, &fds->cap, sizeof *fds->slots);
	memmove(fds->slots + i + 1, fds->slots + i, (fds->count - i) * sizeof *fds->slots);
	fds->slots[i] = (struct slot){fd, desc, cloexec};
	fds->count++;
}

void strace_slot_close(struct importer *m, struct task *t, int64_t fd)
{
	struct fd_table *fds = t->fds;
	struct slot *slot = strace_slot_find(fds, fd);
	struct file *file;

	if (slot == NULL)
		return;
	file = slot->desc->file;
	strace_desc_release(slot->desc);
	size_t i = (size_t)(slot - fds->slots);

	fds->count--;
	memmove(slot, slot + 1, (fds->count - i) * sizeof *slot);
	if (file == NULL || m->list == NULL)
		return;
	for (i = 0; i < fds->count; i++)
		if (fds->slots[i].desc->file == file)
			return;
	(void)importer_call(m, CALL_CLOSE, t, file);
}

static struct fd_table *fds_copy(const struct fd_table *from)
{
	struct fd_table *fds = xcalloc(1, sizeof *fds);

	fds->refs = 1;
	if (from == NULL || from->count == 0)
		return fds;
	fds->slots = xcalloc(from->count, sizeof *fds->slots);
	memcpy(fds->slots, from->slots, from->count * sizeof *fds->slots);
	fds->count = fds->cap = from->count;
	for (size_t i = 0; i < fds->count; i++)
		fds->slots[i].desc->refs++;
	return fds;
}

static void fds_release(struct fd_table *fds)
{
	if (--fds->refs > 0)
		return;
	for (size_t i = 0; i < fds->count; i++)
		strace_desc_release(fds->slots[i].desc);
	free(fds->slots);
	free(fds);
}

/* ---- folders ---- */

static struct folder *folder_create(const char *path)
{
	struct folder *f = xcalloc(1, sizeof *f);

	f->refs = 1;
	f->path = path == NULL ? NULL : xstrdup(path);
	return f;
}

static void folder_release(struct folder *f)
{
	if (--f->refs > 0)
		return;
	free(f->path);
	free(f);
}

void strace_task_set_cwd(struct task *t, const char *path)
{
	struct folder *f = t->cwd;

	if (path != NULL && f->path != NULL && strcmp(f->path, path) == 0)
		return;
	free(f->path);
	f->path = path == NULL ? NULL : xstrdup(path);
}

/* Appends `path` without "", "." and ".." parts. */
static void append_parts(struct buf *ret, const char *path)
{
	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (ret->size > 0 && ret->data[--ret->size] != '/')
				continue;
		} else if (n > 0 && !(n == 1 && *path == '.')) {
			buf_append(ret, "/", 1);
			buf_append(ret, path, n);
		}
		path += n;
		path += strspn(path, "/");
	}
}

/* Puts what a known link leads to in place of the path, or of its folder. */
static void follow_links(struct importer *m, bool last, struct buf *path)
{
	struct path_item *link = last ? strace_path_find(m->aliases, buf_str(path)) : NULL;

	if (link != NULL) {
		buf_clear(path);
		buf_append(path, link->to, strlen(link->to));
		return;
	}
	char *slash = strrchr(buf_str(path), '/');

	if (slash == NULL || slash == (char *)path->data)
		return;
	*slash = '\0';
	link = strace_path_find(m->aliases, (const char *)path->data);
	*slash = '/';
	if (link == NULL)
		return;
	char *name = xstrdup(slash);

	buf_clear(path);
	buf_append(path, link->to, strlen(link->to));
	buf_append(path, name, strlen(name));
	free(name);
}

bool strace_path_resolve(struct importer *m, const struct task *t, const char *folder,
			 struct span arg, bool follow, struct buf *ret)
{
	struct buf given;
	bool cut = false, ok;

	buf_init(&given);
	buf_clear(ret);
	ok = strace_arg_string(arg, &given, &cut) && !cut && given.size > 0 &&
	     memchr(given.data, '\0', given.size) == NULL;
	if (ok && given.data[0] != '/') {
		if (folder == NULL)
			folder = t->cwd->path;
		ok = folder != NULL && folder[0] == '/';
		if (ok)
			append_parts(ret, folder);
	}
	if (ok) {
		append_parts(ret, buf_str(&given));
		if (ret->size == 0)
			buf_append(ret, "/", 1);
		if (m->aliases != NULL)
			follow_links(m, follow, ret);
	}
	buf_release(&given);
	return ok;
}

/* ---- tasks ---- */

static struct task *find_task(struct importer *m, uint32_t tid)
{
	struct task *t;

	HASH_FIND(hh, m->tasks, &tid, sizeof tid, t);
	return t;
}

static struct task *add_task(struct importer *m, uint32_t tid, struct task *parent,
			     struct span flags)
{
	struct task *t = xcalloc(1, sizeof *t);
	bool thread = parent != NULL && strace_arg_has(flags, "CLONE_THREAD");

	t->tid = tid;
	if (thread) {
		t->process = parent->process;
	} else {
		t->process = xcalloc(1, sizeof *t->process);
		t->process->pid = tid;
		t->process->parent = parent == NULL ? 0 : parent->process->pid;
		t->process->next = m->processes;
		m->processes = t->process;
	}
	t->process->task_count++;
	t->process->threaded = t->process->threaded || t->process->task_count > 1;
	if (parent != NULL && strace_arg_has(flags, "CLONE_FILES")) {
		t->fds = parent->fds;
		t->fds->refs++;
	} else {
		t->fds = fds_copy(parent == NULL ? NULL : parent->fds);
	}
	if (parent != NULL && strace_arg_has(flags, "CLONE_FS")) {
		t->cwd = parent->cwd;
		t->cwd->refs++;
	} else {
		t->cwd = folder_create(parent == NULL ? NULL : parent->cwd->path);
	}
	HASH_ADD(hh, m->tasks, tid, sizeof t->tid, t);
	return t;
}

static void task_release(struct task *t)
{
	t->process->task_count--;
	fds_release(t->fds);
	folder_release(t->cwd);
	free(t);
}

static void remove_task(struct importer *m, struct task *t)
{
	HASH_DEL(m->tasks, t);
	task_release(t);
}

/* The result of a clone that made a task, or 0. */
static uint32_t clone_child(const struct strace_call *c)
{
	bool clones = c->name == ST_CLONE || c->name == ST_CLONE3 || c->name == ST_FORK ||
		      c->name == ST_VFORK;

	return clones && c->ended && !c->failed && c->result > 0 && c->result <= INT32_MAX
		   ? (uint32_t)c->result
		   : 0;
}

static int compare_clones(const void *a, const void *b)
{
	const struct strace_call *x = *(const struct strace_call *const *)a;
	const struct strace_call *y = *(const struct strace_call *const *)b;

	if (x->result != y->result)
		return x->result < y->result ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

int strace_clones_index(struct importer *m)
{
	for (size_t i = 0; i < m->text.call_count; i++)
		m->clone_count += clone_child(&m->text.calls[i]) != 0;
	m->clones = xcalloc(m->clone_count + 1, sizeof(const struct strace_call *));
	m->clone_count = 0;
	for (size_t i = 0; i < m->text.call_count; i++)
		if (clone_child(&m->text.calls[i]) != 0)
			m->clones[m->clone_count++] = &m->text.calls[i];
	qsort(m->clones, m->clone_count, sizeof(const struct strace_call *), compare_clones);
	if (m->clone_count > 0 && !m->text.has_numbers) {
		m->line = m->clones[0]->line;
		importer_fail(m, ERR_INPUT,
			      "a process is started, and the lines have no process "
			      "numbers: run strace with -f");
	}
	return m->rc;
}

/* A task that is in a clone now which will return `tid`, or, with tid 0, in one that will not
 * return; that clone in *ret. */
static struct task *find_parent(struct importer *m, uint32_t tid, const struct strace_call **ret)
{
	size_t low = 0, high = m->clone_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->clones[mid]->result < (int64_t)tid)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < m->clone_count && m->clones[low]->result == (int64_t)tid; low++) {
		/* One that is under way has a run. */
		if (m->clones[low]->run == NULL)
			continue;
		*ret = m->clones[low];
		return find_task(m, (*ret)->tid);
	}
	return NULL;
}

struct task *strace_task_get(struct importer *m, uint32_t tid, const struct strace_event *e)
{
	const struct strace_call *clone = NULL;
	struct task *t = find_task(m, tid), *parent;

	if (t != NULL)
		return t;
	if (tid == 0) {
		/* strace leaves the number out while there is one process only. */
		if (HASH_COUNT(m->tasks) == 1)
			return m->tasks;
		if (HASH_COUNT(m->tasks) > 1) {
			importer_fail(m, ERR_INPUT,
				      "no process number, and there are several processes: run "
				      "strace with -f and -o FILE");
			return NULL;
		}
		return add_task(m, 0, NULL, (struct span){"", 0});
	}
	parent = find_parent(m, tid, &clone);
	if (parent != NULL)
		return add_task(m, tid, parent, clone->args);
	t = find_task(m, 0);
	if (t != NULL) {
		/* The one whose number was left out so far. */
		HASH_DEL(m->tasks, t);
		if (t->process->pid == 0)
			t->process->pid = m->first_pid = tid;
		t->tid = tid;
		HASH_ADD(hh, m->tasks, tid, sizeof t->tid, t);
		return t;
	}
	if (HASH_COUNT(m->tasks) > 0 && e->kind != STRACE_EXITED && e->kind != STRACE_KILLED)
		importer_trouble(m, NULL, NULL, "nothing shows where process %u came from", tid);
	return add_task(m, tid, NULL, (struct span){"", 0});
}

void strace_task_cloned(struct importer *m, struct task *t, struct strace_call *c)
{
	uint32_t child = clone_child(c);

	if (child != 0 && find_task(m, child) == NULL)
		(void)add_task(m, child, t, c->args);
}

static void own_fds(struct task *t)
{
	if (t->fds->refs > 1) {
		struct fd_table *own = fds_copy(t->fds);

		fds_release(t->fds);
		t->fds = own;
	}
}

void strace_task_unshared(struct task *t, struct span flags)
{
	if (strace_arg_has(flags, "CLONE_FILES"))
		own_fds(t);
	if (t->cwd->refs > 1 && strace_arg_has(flags, "CLONE_FS")) {
		struct folder *own = folder_create(t->cwd->path);

		folder_release(t->cwd);
		t->cwd = own;
	}
}

void strace_task_executed(struct importer *m, struct task *t)
{
	own_fds(t);
	for (size_t i = t->fds->count; i-- > 0;)
		if (t->fds->slots[i].cloexec)
			strace_slot_close(m, t, t->fds->slots[i].fd);
}

void strace_task_ended(struct importer *m, struct task *t, const struct strace_event *e)
{
	struct process *p = t->process;
	int64_t status = e->kind == STRACE_KILLED ? 128 + (int64_t)e->value : (int64_t)e->value;

	if (t->tid == p->pid || p->task_count == 1)
		p->status = status;
	if (p->task_count == 1 && m->list != NULL) {
		size_t first = m->list->count;

		if (t->fds->refs == 1)
			while (t->fds->count > 0)
				strace_slot_close(m, t, t->fds->slots[t->fds->count - 1].fd);
		importer_call(m, CALL_EXIT, t, NULL)->result = p->status;
		/* Of several threads nothing says which one ended them. */
		if (e->kind == STRACE_KILLED || p->threaded)
			for (size_t i = first; i < m->list->count; i++)
				m->list->items[i].tid = 0;
	}
	remove_task(m, t);
}

void strace_task_superseded(struct importer *m, struct task *t, uint32_t by)
{
	struct task *other = find_task(m, by);

	if (other != NULL && other != t && other->process == t->process)
		remove_task(m, other);
}

void strace_tasks_free(struct importer *m)
{
	struct task *t = m->tasks, *next;

	HASH_CLEAR(hh, m->tasks);
	for (; t != NULL; t = next) {
		next = t->hh.next;
		task_release(t);
	}
	while (m->processes != NULL) {
		struct process *p = m->processes;

		m->processes = p->next;
		free(p);
	}
}
