/*
 * archive.c: keeps the lines that it reads, each as an event of one server.
 *
 *   archive STORE SERVER < lines
 *   cc archive.c $(pkg-config --cflags --libs plugpull-store) -o archive
 *
 * Prints what the store has of that server already, appends the lines in batches, and says "kept"
 * for a batch once that is true: from then on neither a crash nor a power cut takes it back.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <plugpull/store.h>

#define BATCH_COUNT_MAX 100

static int complain(const char *what, const struct store_error *err)
{
	fprintf(stderr, "archive: %s: %s (%s)\n", what, err->message, store_code_name(err->code));
	if (err->index != STORE_INDEX_NONE)
		fprintf(stderr, "archive: it is line %zu of the batch\n", err->index + 1);
	if (err->indeterminate)
		fprintf(stderr, "archive: the next start shows whether the batch is there\n");
	return -1;
}

/* Prints the server's events. *ret_next is the position behind the last. */
static int print_events(struct store *store, const char *server, int64_t *ret_next)
{
	struct store_cursor *cursor;
	struct store_record record;
	struct store_error err;
	enum store_code code;
	int64_t next = 0;
	bool found = true;
	int result = 0;

	if (store_cursor_open_by_server(store, server, 0, INT64_MAX, &cursor, &err) != STORE_OK)
		return complain("cannot read", &err);
	while (result == 0 && found) {
		code = store_cursor_next(cursor, &record, &found, &err);
		if (code == STORE_ERR_CORRUPT_EVENT) {
			complain("an event is left out",
				 &err); /* the next call goes on behind it */
		} else if (code != STORE_OK) {
			result = complain("cannot read on", &err);
		} else if (found) {
			/* The record is the cursor's, and only until its next call. */
			printf("%" PRId64 " %.*s\n", record.event.position,
			       (int)record.event.payload_bytes, (const char *)record.event.payload);
			next = record.event.position + 1;
		}
	}
	store_cursor_close(cursor);
	*ret_next = next;
	return result;
}

/* Appends up to BATCH_COUNT_MAX lines, all of them or none. *ret_count is 0 at the end of input. */
static int keep_batch(struct store *store, const char *server, int64_t position, size_t *ret_count)
{
	struct store_event events[BATCH_COUNT_MAX];
	char ids[BATCH_COUNT_MAX][STORE_ID_BYTES_MAX + 32];
	char *lines[BATCH_COUNT_MAX];
	struct timespec now;
	struct store_error err;
	size_t count, i;
	int result = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	for (count = 0; count < BATCH_COUNT_MAX; count++) {
		size_t size = 0;

		lines[count] = NULL;
		if (getline(&lines[count], &size, stdin) < 0) {
			free(lines[count]);
			break;
		}
		lines[count][strcspn(lines[count], "\n")] = '\0';
		snprintf(ids[count], sizeof(ids[count]), "%s/%" PRId64, server,
			 position + (int64_t)count);
		events[count] = (struct store_event){
		    .event_id = ids[count],
		    .server_id = server,
		    .position = position + (int64_t)count,
		    .time_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000,
		    .kind = "line",
		    .payload = lines[count],
		    .payload_bytes = strlen(lines[count]),
		};
	}
	if (ferror(stdin)) {
		perror("archive: stdin");
		result = -1;
	} else if (store_events(store, events, count, &err) != STORE_OK) {
		result = complain("the batch was not kept", &err);
	} else if (count > 0) {
		/* Not one line earlier: this is where whoever sent the lines may forget them. */
		printf("kept %zu\n", count);
		fflush(stdout);
	}
	for (i = 0; i < count; i++)
		free(lines[i]);
	*ret_count = count;
	return result;
}

int main(int argc, char **argv)
{
	struct store *store;
	struct store_error err;
	int64_t position;
	size_t count = 1;
	int result;

	if (argc != 3) {
		fprintf(stderr, "usage: archive STORE SERVER < lines\n");
		return 2;
	}
	/* No options: the archival profile, in which STORE_OK survives power loss. */
	if (store_open(argv[1], NULL, &store, &err) != STORE_OK) {
		complain(argv[1], &err);
		return 1;
	}
	result = print_events(store, argv[2], &position);
	while (result == 0 && count > 0) {
		result = keep_batch(store, argv[2], position, &count);
		position += (int64_t)count;
	}
	store_close(store);
	return result == 0 ? 0 : 1;
}
