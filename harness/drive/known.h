/*
 * Observations that were made: found by what they are, so that equal ones are kept once, and by the
 * image (image.h) that they were made of. Indices stay valid until known_forget().
 */
#ifndef DRIVE_KNOWN_H
#define DRIVE_KNOWN_H

#include "harness/judge/observation.h"

#define KNOWN_NONE UINT32_MAX

enum { KNOWN_IMAGES_MAX = 1 << 20 }; /* then the images are forgotten, not what was observed */

struct known;

struct known *known_create(void);
void known_free(struct known *k); /* accepts NULL */
void known_forget(struct known *k);

/* The index of an observation equal to *o, which is taken over or, where an equal one is known,
 * released. */
uint32_t known_keep(struct known *k, struct observation *o);
/* Borrowed until the next known_keep() or known_forget(). */
const struct observation *known_at(const struct known *k, uint32_t index);
size_t known_bytes(const struct known *k); /* of all observations, about */

/* What was observed of an image, or KNOWN_NONE. */
uint32_t known_by_image(const struct known *k, uint64_t image);
void known_add_image(struct known *k, uint64_t image, uint32_t index);

#endif
