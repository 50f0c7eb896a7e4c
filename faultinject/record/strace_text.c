/*
 * See strace_text.h. One pass over the lines. What a call's two lines show is put together here, so
 * that nobody behind has to know that there were two.
 *
 * A line that strace does not write is an error, not something to pass over: in the file that
 * strace's -o makes there is nothing else, and on its standard error the program's own words stand
 * between, which can be anything.
 */
#include "faultinject/record/strace_text.h"

#include "faultinject/base/buf.h"
#include "faultinject/record/strace_arg.h"
#include "faultinject/record/map.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

/* The call of a task that has begun, by index, or NONE. A task is in one call at a time. */
struct pending {
	uint32_t tid;
	size_t call;
	UT_hash_handle hh;
};

struct parser {
	struct strace_text *text;
	struct pending *pending;
	const char *p, *end; /* of the line */
	uint32_t line;
	uint32_t tid;
	bool whole; /* the line ends with a line feed */
	struct err *err;
};

static const struct {
	const char *word;
	enum strace_name name;
} names[] = {
#define X(name, word) {word, name},
    STRACE_CALLS(X)
#undef X
    /* Older kernels' and other machines' names for the same. */
    {"pread", ST_PREAD},
    {"pwrite", ST_PWRITE},
    {"fcntl64", ST_FCNTL},
    {"ftruncate64", ST_FTRUNCATE},
    {"truncate64", ST_TRUNCATE},
    {"stat64", ST_STAT},
    {"lstat64", ST_STAT},
    {"fstat64", ST_FSTAT},
    {"fstatat64", ST_NEWFSTATAT},
    {"mmap2", ST_MMAP},
    {"sendfile64", ST_SENDFILE},
};

static enum strace_name find_name(struct span word)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i].word) == word.size &&
		    memcmp(names[i].word, word.p, word.size) == 0)
			return names[i].name;
	return ST_NONE;
}

/* ---- small things ---- */

static int bad(const struct parser *l, const char *why)
{
	return err_set(l->err, ERR_INPUT, "line %u: %s", l->line, why);
}

static bool at_end(const struct parser *l)
{
	return l->p == l->end;
}

static bool begins(const struct parser *l, const char *with)
{
	size_t n = strlen(with);

	return (size_t)(l->end - l->p) >= n && memcmp(l->p, with, n) == 0;
}

static bool take(struct parser *l, const char *text)
{
	if (!begins(l, text))
		return false;
	l->p += strlen(text);
	return true;
}

/* Takes `tail` off the end of the line. */
static bool take_tail(struct parser *l, const char *tail)
{
	size_t n = strlen(tail);

	if ((size_t)(l->end - l->p) < n || memcmp(l->end - n, tail, n) != 0)
		return false;
	l->end -= n;
	while (l->end > l->p && l->end[-1] == ' ')
		l->end--;
	return true;
}

static void skip_blanks(struct parser *l)
{
	while (!at_end(l) && *l->p == ' ')
		l->p++;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool take_number(struct parser *l, uint32_t *ret)
{
	uint64_t value = 0;
	const char *begin = l->p;

	for (; !at_end(l) && is_digit(*l->p) && value <= UINT32_MAX; l->p++)
		value = value * 10 + (uint64_t)(*l->p - '0');
	if (l->p == begin || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

static struct span take_word(struct parser *l)
{
	const char *begin = l->p;

	while (!at_end(l) && ((*l->p >= 'a' && *l->p <= 'z') || (*l->p >= 'A' && *l->p <= 'Z') ||
			      is_digit(*l->p) || *l->p == '_'))
		l->p++;
	return (struct span){begin, (size_t)(l->p - begin)};
}

static int add_event(struct parser *l, enum strace_event_kind kind, uint32_t value, size_t call)
{
	struct strace_text *t = l->text;

	if (t->event_count == STRACE_EVENTS_MAX)
		return err_set(l->err, ERR_LIMIT, "line %u: more than %d calls that matter",
			       l->line, STRACE_EVENTS_MAX);
	t->events = xgrow(t->events, t->event_count, &t->event_cap, sizeof *t->events);
	t->events[t->event_count++] = (struct strace_event){kind, l->tid, l->line, value, call};
	return 0;
}

/* ---- calls at two lines ---- */

static struct pending *find_pending(const struct parser *l, uint32_t tid)
{
	struct pending *p;

	HASH_FIND(hh, l->pending, &tid, sizeof tid, p);
	return p != NULL && p->call != NONE ? p : NULL;
}

static void set_pending(struct parser *l, uint32_t tid, size_t call)
{
	struct pending *p;

	HASH_FIND(hh, l->pending, &tid, sizeof tid, p);
	if (p == NULL) {
		p = xcalloc(1, sizeof *p);
		p->tid = tid;
		HASH_ADD(hh, l->pending, tid, sizeof p->tid, p);
	}
	p->call = call;
}

/* What the task had begun, and forgets it. While it was the only one its lines had no number. */
static bool take_pending(struct parser *l, enum strace_name name, size_t *ret)
{
	struct pending *p = find_pending(l, l->tid);

	if (p == NULL)
		p = find_pending(l, 0);
	if (p == NULL || l->text->calls[p->call].name != name)
		return false;
	*ret = p->call;
	p->call = NONE;
	return true;
}

static struct span join(struct parser *l, struct span a, struct span b)
{
	char *copy = arena_alloc(&l->text->arena, a.size + b.size + 1);

	memcpy(copy, a.p, a.size);
	memcpy(copy + a.size, b.p, b.size);
	return (struct span){copy, a.size + b.size};
}

/* ---- the end of a call ---- */

/* What a failed call says. The numbers matter for a sync, which a trace tells by EIO or not. */
static int64_t error_number(struct span word)
{
	static const struct {
		const char *word;
		int number;
	} errors[] = {
	    {"ENOENT", ENOENT}, {"EINTR", EINTR},   {"EBADF", EBADF},	  {"EAGAIN", EAGAIN},
	    {"EACCES", EACCES}, {"EEXIST", EEXIST}, {"ENOTDIR", ENOTDIR}, {"EISDIR", EISDIR},
	    {"EINVAL", EINVAL}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS},	  {"EDQUOT", EDQUOT},
	};

	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (strlen(errors[i].word) == word.size &&
		    memcmp(errors[i].word, word.p, word.size) == 0)
			return errors[i].number;
	return EIO;
}

/* "= 3</d/a>", "= -1 EIO (Input/output error)", "= ? ERESTARTSYS (...)", "= ?". */
static int parse_result(struct parser *l, struct strace_call *c)
{
	c->injected = take_tail(l, "(INJECTED)");
	skip_blanks(l);
	if (!take(l, "="))
		return bad(l, "no result behind the call");
	skip_blanks(l);
	if (take(l, "?")) {
		skip_blanks(l);
		c->ended = c->failed = begins(l, "ERESTART");
		c->result = -EINTR;
		return 0;
	}
	const char *begin = l->p;

	while (!at_end(l) && *l->p != ' ' && *l->p != '<')
		l->p++;
	if (!strace_arg_number((struct span){begin, (size_t)(l->p - begin)}, &c->result)) {
		/* An address of mmap() may need all 64 bits; nobody asks for its value. */
		if (l->p - begin < 3 || begin[0] != '0' || begin[1] != 'x')
			return bad(l, "a result that is no number");
		c->result = 0;
	}
	c->ended = true;
	if (!at_end(l) && *l->p == '<')
		c->path = (struct span){l->p, (size_t)(l->end - l->p)};
	skip_blanks(l);
	if (c->result == -1) {
		struct span word = take_word(l);

		/* "(errno 18446744073709551554)": the task was killed before strace asked. */
		c->ended = word.size > 0;
		c->failed = true;
		c->result = -error_number(word);
	}
	return 0;
}

/* The rest of a call whose arguments are `text` and what follows them up to the end of the line,
 * which lies in one piece of memory from `text` on. */
static int parse_end(struct parser *l, struct strace_call *c, const char *text)
{
	const char *stop = strace_arg_end(text, l->end);

	while (stop < l->end && *stop == ',')
		stop = strace_arg_end(stop + 1, l->end);
	if (stop == l->end || *stop != ')') {
		if (l->whole)
			return bad(l, "the call has no end");
		return 1; /* cut off */
	}
	c->args = (struct span){text, (size_t)(stop - text)};
	l->p = stop + 1;
	int rc = parse_result(l, c);

	return rc != 0 && !l->whole ? 1 : rc;
}

static int parse_begin(struct parser *l, enum strace_name name)
{
	static const char changed[] = "<pid changed to ";
	struct strace_text *t = l->text;
	struct strace_call c = {.name = name, .tid = l->tid, .line = l->line};
	struct pending *old = find_pending(l, l->tid);
	const char *text = l->p;
	bool detached = false, unfinished;

	/* It began another call, so that one never showed its end (it was restarted). */
	if (old != NULL)
		old->call = NONE;
	const char *pid = memmem(l->p, (size_t)(l->end - l->p), changed, sizeof changed - 1);

	if (pid != NULL && l->end[-1] == '>')
		l->end = pid;
	unfinished = pid != NULL || take_tail(l, "<unfinished ...>");
	/* Its task was killed in it. */
	bool died = !unfinished && take_tail(l, "<unfinished ...>) = ?");

	if (!unfinished && !died)
		unfinished = detached = take_tail(l, "<detached ...>");
	if (unfinished || died) {
		c.args = (struct span){text, (size_t)(l->end - text)};
	} else {
		int rc = parse_end(l, &c, text);

		if (rc != 0)
			return rc == 1 ? 0 : rc;
	}
	t->calls = xgrow(t->calls, t->call_count, &t->call_cap, sizeof *t->calls);
	t->calls[t->call_count++] = c;
	if (unfinished)
		set_pending(l, l->tid, t->call_count - 1);
	int rc = add_event(l, c.ended ? STRACE_WHOLE : STRACE_BEGIN, 0, t->call_count - 1);

	return rc == 0 && detached ? add_event(l, STRACE_DETACHED, 0, 0) : rc;
}

/* Behind "<... ". */
static int parse_resumed(struct parser *l)
{
	enum strace_name name = find_name(take_word(l));
	struct strace_call *c;
	size_t index;

	if (take(l, "??")) /* of a task that was killed before its call began */
		return 0;
	if (!take(l, " resumed>"))
		return l->whole ? bad(l, "not the output of strace") : 0;
	if (name == ST_NONE)
		return take_tail(l, "<detached ...>") ? add_event(l, STRACE_DETACHED, 0, 0) : 0;
	if (!take_pending(l, name, &index))
		return bad(l, "the end of a call whose begin is not there");
	c = &l->text->calls[index];
	if (take_tail(l, "<unfinished ...>) = ?"))
		return 0;
	bool detached = take_tail(l, "<detached ...>");

	if (detached)
		return add_event(l, STRACE_DETACHED, 0, 0);
	struct span all = join(l, c->args, (struct span){l->p, (size_t)(l->end - l->p)});
	struct strace_call ended = *c;

	l->p = all.p;
	l->end = all.p + all.size;
	int rc = parse_end(l, &ended, all.p);

	if (rc != 0)
		return rc == 1 ? 0 : rc;
	*c = ended;
	return c->ended ? add_event(l, STRACE_END, 0, index) : 0;
}

/* ---- lines ---- */

static uint32_t signal_number(struct span word)
{
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);

		if (name != NULL && word.size > 3 && strlen(name) == word.size - 3 &&
		    memcmp(name, word.p + 3, word.size - 3) == 0)
			return (uint32_t)i;
	}
	return 0;
}

/* Behind "+++ ". */
static int parse_fate(struct parser *l)
{
	uint32_t value;

	if (take(l, "exited with ") && take_number(l, &value))
		return add_event(l, STRACE_EXITED, value, 0);
	if (take(l, "killed by "))
		return add_event(l, STRACE_KILLED, signal_number(take_word(l)), 0);
	if (take(l, "superseded by execve in pid ") && take_number(l, &value)) {
		struct pending *p = find_pending(l, value);

		if (p != NULL) {
			size_t call = p->call;

			p->call = NONE;
			set_pending(l, l->tid, call);
		}
		return add_event(l, STRACE_SUPERSEDED, value, 0);
	}
	return l->whole ? bad(l, "not the output of strace") : 0;
}

/* The process number, and what -t, -r, -i, -n and -Y put before the call. */
static bool skip_prefix(struct parser *l)
{
	l->tid = 0;
	skip_blanks(l);
	if (take(l, "[pid ")) {
		skip_blanks(l);
		if (!take_number(l, &l->tid))
			return false;
		l->text->has_numbers = true;
		if (!at_end(l) && *l->p == '<') {
			const char *close = memmem(l->p, (size_t)(l->end - l->p), ">]", 2);

			if (close == NULL)
				return false;
			l->p = close + 1;
		}
		if (!take(l, "]"))
			return false;
	} else if (!at_end(l) && is_digit(*l->p)) {
		const char *begin = l->p;
		uint32_t number;

		if (take_number(l, &number) && !at_end(l) && (*l->p == ' ' || *l->p == '<')) {
			l->tid = number;
			l->text->has_numbers = true;
			if (*l->p == '<')
				while (!at_end(l) && *l->p != ' ')
					l->p++;
		} else {
			l->p = begin; /* a time */
		}
	}
	skip_blanks(l);
	while (!at_end(l) &&
	       (is_digit(*l->p) || (*l->p == '+' && !begins(l, "+++")) || *l->p == '[')) {
		char until = *l->p == '[' ? ']' : ' ';
		const char *stop = memchr(l->p, until, (size_t)(l->end - l->p));

		if (stop == NULL)
			return false;
		l->p = stop + 1;
		skip_blanks(l);
	}
	return true;
}

static int parse_line(struct parser *l)
{
	skip_blanks(l);
	/* Blank; strace's own words; -k's stacks. */
	if (at_end(l) || begins(l, "strace: ") || begins(l, "> "))
		return 0;
	if (begins(l, "[ Process PID="))
		return bad(l, "a program of another machine word, such as a 32-bit one, is not "
			      "read");
	if (!skip_prefix(l))
		return l->whole ? bad(l, "not the output of strace") : 0;
	if (at_end(l) || begins(l, "---") || begins(l, "?"))
		return 0;
	if (take(l, "+++ "))
		return parse_fate(l);
	if (take(l, "<... "))
		return parse_resumed(l);
	if (begins(l, "<detached ...>"))
		return add_event(l, STRACE_DETACHED, 0, 0);
	struct span word = take_word(l);

	if (word.size == 0 || !take(l, "("))
		return l->whole ? bad(l, "not the output of strace; write it with -o FILE") : 0;
	enum strace_name name = find_name(word);

	if (name != ST_NONE)
		return parse_begin(l, name);
	return take_tail(l, "<detached ...>") ? add_event(l, STRACE_DETACHED, 0, 0) : 0;
}

int strace_text_parse(const char *text, size_t size, struct strace_text *ret, struct err *err)
{
	struct parser l = {.text = ret, .err = err};
	const char *p = text, *end = text + size;
	struct pending *next;
	int rc = 0;

	memset(ret, 0, sizeof *ret);
	arena_init(&ret->arena);
	while (p < end && rc == 0) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		if (l.line == STRACE_LINES_MAX) {
			rc = err_set(err, ERR_LIMIT, "more than %d lines", STRACE_LINES_MAX);
			break;
		}
		l.line++;
		l.whole = stop != NULL;
		l.p = p;
		l.end = stop != NULL ? stop : end;
		p = stop != NULL ? stop + 1 : end;
		rc = parse_line(&l);
	}
	struct pending *each = l.pending;

	HASH_CLEAR(hh, l.pending);
	for (; each != NULL; each = next) {
		next = each->hh.next;
		free(each);
	}
	return rc;
}

void strace_text_release(struct strace_text *t)
{
	free(t->calls);
	free(t->events);
	arena_release(&t->arena);
	memset(t, 0, sizeof *t);
}
