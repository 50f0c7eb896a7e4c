/* See strace_arg.h. */
#include "faultinject/record/strace_arg.h"

#include <string.h>

/* ---- where things end ---- */

/* Behind the string that begins at `p` with a quote. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end;) {
		const char *quote = memchr(p, '"', (size_t)(end - p));
		size_t slashes = 0;

		if (quote == NULL)
			return end;
		while (quote - slashes > p && quote[-(ptrdiff_t)slashes - 1] == '\\')
			slashes++;
		p = quote + 1;
		if (slashes % 2 == 0)
			return p;
	}
	return end;
}

/* Behind the "<...>" that begins at `p`. A path has its own "<" and ">" escaped, -yy puts others
 * in: <TCP:[1.2.3.4:1->1.2.3.4:2]>, <.../null<char 1:3>>. */
static const char *skip_path(const char *p, const char *end)
{
	size_t depth = 0;

	for (; p < end; p++) {
		if (*p == '<')
			depth++;
		else if (*p == '>' && p[-1] != '-' && --depth == 0)
			return p + 1;
	}
	return end;
}

static const char *skip_comment(const char *p, const char *end)
{
	const char *found = memmem(p, (size_t)(end - p), "*/", 2);

	return found == NULL ? end : found + 2;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* One step from `p`, which may not be the end, over a string, path, comment or character. */
static const char *step(const char *begin, const char *p, const char *end)
{
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '<' && p > begin && is_word(p[-1]) && end - p > 1 && p[1] != '<')
		return skip_path(p, end);
	if (*p == '/' && end - p > 1 && p[1] == '*')
		return skip_comment(p + 2, end);
	return p + 1;
}

const char *strace_arg_end(const char *p, const char *end)
{
	const char *begin = p;
	size_t depth = 0;

	while (p < end) {
		if (*p == '(' || *p == '[' || *p == '{') {
			depth++;
		} else if (*p == ')' || *p == ']' || *p == '}') {
			if (depth == 0)
				return p;
			depth--;
		} else if (*p == ',' && depth == 0) {
			return p;
		}
		p = step(begin, p, end);
	}
	return end;
}

static struct span trim(const char *p, const char *end)
{
	while (p < end && *p == ' ')
		p++;
	while (p < end && end[-1] == ' ')
		end--;
	return (struct span){p, (size_t)(end - p)};
}

void strace_args_split(struct span text, struct args *ret)
{
	const char *p = text.p, *end = text.p + text.size;

	memset(ret, 0, sizeof *ret);
	while (p < end && ret->count < STRACE_ARGS_MAX) {
		const char *stop = strace_arg_end(p, end);

		ret->items[ret->count++] = trim(p, stop);
		if (stop == end)
			return;
		p = stop + 1;
	}
}

/* The next FIELD from *p on that begins a word outside of strings, and *p behind it. */
static bool find_field(const char **p, const char *end, const char *field)
{
	const char *begin = *p;
	size_t n = strlen(field);

	for (const char *at = *p; at < end; at = step(begin, at, end)) {
		if ((at > begin && is_word(at[-1])) || (size_t)(end - at) < n ||
		    memcmp(at, field, n) != 0)
			continue;
		*p = at + n;
		return true;
	}
	return false;
}

/* ---- strings ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The escape behind a backslash at *p, which is moved behind it. */
static bool unescape(const char **p, const char *end, struct buf *ret)
{
	static const char letters[] = "abfnrtv\"\\", values[] = "\a\b\f\n\r\t\v\"\\";
	const char *at = *p, *letter;
	unsigned value = 0;
	int digits = 0;

	if (at == end)
		return false;
	if (*at == 'x') {
		int high = end - at > 2 ? hex_digit(at[1]) : -1;
		int low = high >= 0 ? hex_digit(at[2]) : -1;

		if (low < 0)
			return false;
		buf_put_u8(ret, (uint8_t)(high << 4 | low));
		*p = at + 3;
		return true;
	}
	for (; at < end && digits < 3 && *at >= '0' && *at <= '7'; at++, digits++)
		value = value << 3 | (unsigned)(*at - '0');
	if (digits > 0) {
		buf_put_u8(ret, (uint8_t)value);
		*p = at;
		return value <= UINT8_MAX;
	}
	letter = memchr(letters, *at, sizeof letters - 1);
	if (letter == NULL)
		return false;
	buf_put_u8(ret, (uint8_t)values[letter - letters]);
	*p = at + 1;
	return true;
}

static bool decode(const char *p, const char *end, struct buf *ret)
{
	buf_reserve(ret, (size_t)(end - p));
	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));

		if (slash == NULL) {
			buf_append(ret, p, (size_t)(end - p));
			return true;
		}
		buf_append(ret, p, (size_t)(slash - p));
		p = slash + 1;
		if (!unescape(&p, end, ret))
			return false;
	}
	return true;
}

bool strace_arg_head(struct span s, size_t max, struct buf *ret)
{
	const char *p = s.p, *end = s.p + s.size;

	/* Of a list of pieces, the first one. */
	if (s.size > 0 && *p == '[' && !find_field(&p, end, "iov_base="))
		return false;
	if (p == end || *p++ != '"')
		return false;
	while (p < end && *p != '"' && ret->size < max) {
		if (*p != '\\') {
			buf_append(ret, p++, 1);
			continue;
		}
		p++;
		if (!unescape(&p, end, ret))
			return false;
	}
	return true;
}

bool strace_arg_string(struct span s, struct buf *ret, bool *ret_cut)
{
	const char *end = s.p + s.size, *stop;

	if (s.size < 2 || s.p[0] != '"')
		return false;
	stop = skip_string(s.p, end);
	if (stop[-1] != '"' || stop < s.p + 2)
		return false;
	*ret_cut = end - stop >= 3 && memcmp(stop, "...", 3) == 0;
	return decode(s.p + 1, stop - 1, ret);
}

bool strace_arg_strings(struct span s, const char *field, struct buf *ret, bool *ret_cut)
{
	const char *p = s.p, *end = s.p + s.size;

	*ret_cut = false;
	while (find_field(&p, end, field)) {
		const char *stop = strace_arg_end(p, end);
		bool cut = false;

		if (!strace_arg_string((struct span){p, (size_t)(stop - p)}, ret, &cut))
			return false;
		*ret_cut = *ret_cut || cut;
		p = stop;
	}
	/* A list that was cut ends with "...]". */
	*ret_cut = *ret_cut || (s.size >= 4 && memcmp(end - 4, "...]", 4) == 0);
	return true;
}

/* ---- paths ---- */

bool strace_arg_path(struct span s, struct buf *path, bool *ret_deleted)
{
	static const char gone[] = "(deleted)";
	const char *end, *stop;

	buf_clear(path);
	if (s.size < 2 || s.p[0] != '<')
		return false;
	end = s.p + s.size;
	stop = skip_path(s.p, end);
	if (stop[-1] != '>')
		return false;
	*ret_deleted =
	    (size_t)(end - stop) >= sizeof gone - 1 && memcmp(stop, gone, sizeof gone - 1) == 0;
	/* With -yy a device stands behind the path. */
	const char *inner = memchr(s.p + 1, '<', (size_t)(stop - s.p - 1));

	if (!decode(s.p + 1, inner != NULL ? inner : stop - 1, path))
		return false;
	/* Before strace 5.16 the kernel's own mark was part of the path. */
	static const char kernel_gone[] = " (deleted)";
	size_t n = sizeof kernel_gone - 1;

	if (path->size > n && memcmp(path->data + path->size - n, kernel_gone, n) == 0) {
		path->size -= n;
		*ret_deleted = true;
	}
	return path->size > 0;
}

static bool get_digits(const char **p, const char *end, unsigned base, uint64_t *ret)
{
	const char *at = *p;
	uint64_t value = 0;

	for (; at < end; at++) {
		int digit = hex_digit(*at);

		if (digit < 0 || (unsigned)digit >= base)
			break;
		if (value > (UINT64_MAX - (unsigned)digit) / base)
			return false;
		value = value * base + (unsigned)digit;
	}
	if (at == *p)
		return false;
	*p = at;
	*ret = value;
	return true;
}

bool strace_arg_fd(struct span s, struct fd_arg *ret, struct buf *path)
{
	static const char cwd[] = "AT_FDCWD";
	const char *p = s.p, *end = s.p + s.size;
	uint64_t value;

	*ret = (struct fd_arg){0};
	buf_clear(path);
	if (s.size >= sizeof cwd - 1 && memcmp(p, cwd, sizeof cwd - 1) == 0) {
		ret->fd = STRACE_CWD;
		p += sizeof cwd - 1;
	} else if (get_digits(&p, end, 10, &value) && value <= INT32_MAX) {
		ret->fd = (int64_t)value;
	} else {
		return false;
	}
	ret->has_path = strace_arg_path((struct span){p, (size_t)(end - p)}, path, &ret->deleted);
	return true;
}

/* ---- numbers and words ---- */

bool strace_arg_number(struct span s, int64_t *ret)
{
	const char *p = s.p, *end = s.p + s.size;
	bool negative = s.size > 0 && *p == '-';
	unsigned base = 10;
	uint64_t value;

	if (negative)
		p++;
	if (end - p > 1 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		base = 16;
		p += 2;
	} else if (end - p > 1 && p[0] == '0') {
		base = 8;
	}
	if (!get_digits(&p, end, base, &value) || (p < end && is_word(*p)))
		return false;
	if (value > INT64_MAX)
		return false;
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

bool strace_arg_field(struct span s, const char *field, int64_t *ret)
{
	const char *p = s.p, *end = s.p + s.size;

	return find_field(&p, end, field) &&
	       strace_arg_number((struct span){p, (size_t)(strace_arg_end(p, end) - p)}, ret);
}

bool strace_arg_has(struct span s, const char *word)
{
	const char *p = s.p, *end = s.p + s.size;

	while (find_field(&p, end, word))
		if (p == end || !is_word(*p))
			return true;
	return false;
}
