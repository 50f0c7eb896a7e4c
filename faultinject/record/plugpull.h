/*
 * plugpull.h: what a program can tell plugpull while it is recorded. Include this one file; there
 * is nothing to link. C99 and C++.
 *
 *     plugpull_ack("order 17")     a promise: what was committed until now is kept, whatever
 * happens to the power. plugpull looks whether that is true. plugpull_mark("import")      a note
 * for the person who reads the trace. It promises nothing.
 *
 * When to call plugpull_ack(): after COMMIT (or the statement, without BEGIN) has returned success,
 * and before anybody is told: before the HTTP answer is sent, the line printed, the message taken
 * off the queue. It says "from here on, somebody relies on it". Not inside a transaction: nothing
 * is committed there. Not after the answer: a crash in between would break a promise that plugpull
 * does not know of. A program that never calls it is judged by its locks instead, which is less
 * exact (docs/disk-model.md, "Acknowledgement"); one that calls it once is judged by its calls
 * alone, so call it after every commit that matters.
 *
 * Both append one line, "ack TEXT" or "mark TEXT", to the file that the environment variable
 * PLUGPULL_MARK names; plugpull sets it for programs that it starts. They take no lock and allocate
 * nothing, so any thread may call them. Any language can do the same: open the file for appending
 * and write the line with one write().
 */
#ifndef PLUGPULL_H
#define PLUGPULL_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of TEXT; what is beyond is cut off, between two characters of UTF-8. */
#define PLUGPULL_TEXT_MAX 1000

/* 1: written. 0: nobody listens (PLUGPULL_MARK is not set or empty); nothing was done. -1: it could
 * not be written, and errno says why; otherwise errno is as it was. */
static inline int plugpull_tell(const char *word, const char *text)
{
	const char *path = getenv("PLUGPULL_MARK");
	char line[PLUGPULL_TEXT_MAX + 16];
	size_t size, length = strlen(text), i;
	ssize_t written;
	int fd, saved = errno, flags = O_WRONLY | O_APPEND | O_CREAT;

	if (path == NULL || path[0] == '\0')
		return 0;
#ifdef O_CLOEXEC
	flags |= O_CLOEXEC;
#endif
	if (length > PLUGPULL_TEXT_MAX) {
		length = PLUGPULL_TEXT_MAX;
		while (length > 0 && ((unsigned char)text[length] & 0xc0u) == 0x80u)
			length--;
	}
	size = strlen(word);
	memcpy(line, word, size);
	line[size++] = ' ';
	for (i = 0; i < length; i++)
		line[size++] = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
	line[size++] = '\n';

	do
		fd = open(path, flags, 0600);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -1;
	/* One write, so that the lines of several threads and processes do not mix. */
	do
		written = write(fd, line, size);
	while (written < 0 && errno == EINTR);
	if (written != (ssize_t)size) {
		saved = written < 0 ? errno : ENOSPC;
		(void)close(fd);
		errno = saved;
		return -1;
	}
	(void)close(fd);
	errno = saved;
	return 1;
}

/* A promise: what was committed is kept. */
static inline int plugpull_ack(const char *text)
{
	return plugpull_tell("ack", text);
}

/* A note. */
static inline int plugpull_mark(const char *text)
{
	return plugpull_tell("mark", text);
}

#ifdef __cplusplus
}
#endif

#endif
