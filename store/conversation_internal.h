/*
 * conversation_internal.h: what the two files of conversations share.
 *
 *   conversation.c       adding
 *   conversation_read.c  reading
 */
#ifndef STORE_CONVERSATION_INTERNAL_H
#define STORE_CONVERSATION_INTERNAL_H

#include "store/internal.h"

#define STORE_ROLE_COUNT 4

/* By enum store_role, as they are stored. */
extern const char *const store_role_names[STORE_ROLE_COUNT];

/* Whether a call may go on: the store is there, runs, and has conversations of that version. */
enum store_code store_conversations_check(const struct store *store, int version_min,
					  struct store_error *err);

#endif
