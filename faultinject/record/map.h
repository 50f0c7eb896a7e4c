/*
 * uthash with the hash function of the rest (base/hash.h). Its own reads a key's bytes past what
 * the analyser can follow.
 */
#ifndef RECORD_MAP_H
#define RECORD_MAP_H

#include "faultinject/base/hash.h"

#define HASH_FUNCTION(key, size, value) ((value) = (unsigned)hash64((key), (size), 0))
#include <uthash.h>

/* Frees every item of a map whose items own nothing else. */
#define MAP_FREE(head)                                                                             \
	do {                                                                                       \
		__typeof__(head) first_ = (head), next_;                                           \
		HASH_CLEAR(hh, head);                                                              \
		for (; first_ != NULL; first_ = next_) {                                           \
			next_ = first_->hh.next;                                                   \
			free(first_);                                                              \
		}                                                                                  \
	} while (0)

#endif
