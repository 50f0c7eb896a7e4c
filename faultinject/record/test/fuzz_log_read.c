/*
 * libFuzzer target: the reader of recording logs. Checks: it reads nothing outside the log and does
 * not crash, and every call that it makes is sound: kinds and flags are known, an end names its
 * begin. Does not check: that damage is noticed (test_log).
 *
 * A record begins with a tag made of its offset and says how long it is, so bytes of chance would
 * hardly ever be records. The input is a list of them instead: one byte how much follows, the rest
 * of the head, its body; the tags and the state are put in front, and `begin` is made the offset of
 * one of the records before, but for the last kind of input, which is taken as it is.
 */
#include "faultinject/base/assert.h"
#include "faultinject/record/log.h"
#include "faultinject/record/log_read.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOG_MAX = 1 << 16, RECORDS_MAX = 256 };

static void check(const struct call_list *calls)
{
	size_t sum = 0;

	for (size_t i = 0; i < calls->count; i++) {
		const struct call *c = &calls->items[i];

		ASSERT(c->kind >= CALL_PROCESS && c->kind <= CALL_KIND_MAX);
		ASSERT(c->begin <= i || c->begin <= calls->count);
		if (c->kind == CALL_SYNC_END || c->kind == CALL_DIGEST_END)
			ASSERT(c->begin < i);
		sum += c->path == NULL ? 0 : strlen(c->path);
		sum += c->path2 == NULL ? 0 : strlen(c->path2);
		for (size_t j = 0; j < c->data_size; j++)
			sum += c->data[j];
	}
	__asm__ volatile("" : : "r"(sum));
}

/* Puts the next record together; returns the bytes of input that it took. */
static size_t put(uint8_t *at, uint64_t offset, const uint8_t *data, size_t size,
		  const uint64_t *before, size_t count, uint64_t *ret_size)
{
	struct reclog_record r = {0};
	size_t body = 0, head = sizeof r - offsetof(struct reclog_record, type);

	if (size < head + 1)
		return 0;
	memcpy(&r.type, data + 1, head);
	body = (size_t)data[0] * 4;
	if (body > size - head - 1)
		body = size - head - 1;
	r.tag = RECLOG_TAG ^ offset;
	r.state = RECLOG_WHOLE;
	r.type = (uint8_t)(1 + r.type % (RECLOG_TYPE_MAX + 1));
	r.moment = (uint8_t)(1 + r.moment % 4);
	if (count > 0)
		r.begin = before[r.begin % count];
	/* Let the parts fill the body now and then. */
	if (r.mode % 2 == 0) {
		r.path_size = r.path_size % 3 == 0 ? 0 : (uint32_t)body / 2;
		r.path2_size = 0;
		r.data_size = body - r.path_size;
		r.length %= 1025;
	}
	r.size = (uint32_t)(sizeof r + (body + 7) / 8 * 8);
	memcpy(at, &r, sizeof r);
	memcpy(at + sizeof r, data + 1 + head, body);
	*ret_size = r.size;
	return 1 + head + body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t records[LOG_MAX];
	static struct reclog_header header;
	static int fd = -1;
	uint64_t before[RECORDS_MAX], used = 0, record_size;
	struct call_list calls = {0};
	struct err err = ERR_INIT;
	char path[64];
	size_t count = 0, took;

	if (size == 0 || size > LOG_MAX / 4)
		return 0;
	memset(records, 0, sizeof records);
	if (data[0] == 0) {
		memcpy(records, data + 1, size - 1);
		used = size - 1;
	}
	for (size_t at = 1; data[0] != 0 && count < RECORDS_MAX && used < LOG_MAX - 2048;) {
		took = put(records + used, RECLOG_START + used, data + at, size - at, before, count,
			   &record_size);
		if (took == 0)
			break;
		before[count++] = RECLOG_START + used;
		used += record_size;
		at += took;
	}
	header.magic = RECLOG_MAGIC;
	header.format = RECLOG_FORMAT;
	header.trouble = data[0];
	header.tail = RECLOG_START + used;

	if (fd < 0)
		fd = memfd_create("log", 0);
	ASSERT(fd >= 0);
	ASSERT(ftruncate(fd, (off_t)(RECLOG_START + used)) == 0);
	ASSERT(pwrite(fd, &header, offsetof(struct reclog_header, output_path), 0) > 0);
	ASSERT(pwrite(fd, records, used, RECLOG_START) == (ssize_t)used);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (log_read(path, &calls, &err) != 0)
		assert_fail(__FILE__, __LINE__, err.message);
	check(&calls);
	call_list_release(&calls);
	return 0;
}
