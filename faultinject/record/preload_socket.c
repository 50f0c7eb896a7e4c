/*
 * What leaves the program through sockets, when somebody wants to know (RECLOG_WATCH_OUTPUT). It is
 * logged after it was sent, as far as it was. See preload.h.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PIECES_MAX = 16 }; /* of one message; the rest is not logged */

bool preload_watches_output(void)
{
	return (__atomic_load_n(&reclog_header(&preload_log)->flags, __ATOMIC_RELAXED) &
		RECLOG_WATCH_OUTPUT) != 0;
}

void preload_output(const struct iovec *v, int count, size_t size)
{
	struct reclog_entry e = {.head = {.type = RECLOG_OUTPUT, .moment = RECLOG_ONCE}};
	const struct preload_self who = preload_who();
	struct iovec pieces[PIECES_MAX];
	int n = 0;

	for (; n < count && n < PIECES_MAX && size > 0; n++) {
		pieces[n] = v[n];
		if (pieces[n].iov_len > size)
			pieces[n].iov_len = size;
		size -= pieces[n].iov_len;
	}
	preload_look();
	e.head.pid = who.pid;
	e.head.tid = who.tid;
	(void)reclog_append_pieces(&preload_log, &e, pieces, n);
}

static void sent(const void *data, ssize_t size)
{
	const struct iovec v = {(void *)(uintptr_t)data, size > 0 ? (size_t)size : 0};

	if (size > 0 && preload_on() && preload_watches_output())
		preload_output(&v, 1, (size_t)size);
}

EXPORT ssize_t send(int fd, const void *data, size_t size, int flags)
{
	ssize_t rc = REAL(send)(fd, data, size, flags);

	sent(data, rc);
	return rc;
}

EXPORT ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
		      socklen_t to_size)
{
	ssize_t rc = REAL(sendto)(fd, data, size, flags, to, to_size);

	sent(data, rc);
	return rc;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t rc = REAL(sendmsg)(fd, m, flags);

	if (rc > 0 && preload_on() && preload_watches_output())
		preload_output(m->msg_iov, (int)m->msg_iovlen, (size_t)rc);
	return rc;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *m, unsigned count, int flags)
{
	int rc = REAL(sendmmsg)(fd, m, count, flags);

	for (int i = 0; i < rc && preload_on() && preload_watches_output(); i++)
		preload_output(m[i].msg_hdr.msg_iov, (int)m[i].msg_hdr.msg_iovlen, m[i].msg_len);
	return rc;
}
