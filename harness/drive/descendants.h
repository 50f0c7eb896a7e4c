/*
 * What a program that we started leaves running. While this process adopts, orphans among its
 * descendants come to it (PR_SET_CHILD_SUBREAPER, prctl(2)) and can be ended one by one, whatever
 * process group or session they have made for themselves. The caller has no other children.
 */
#ifndef DRIVE_DESCENDANTS_H
#define DRIVE_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void descendants_adopt(bool on);

/* Ends all by SIGKILL. As one dies its children come here, so it goes on until there are none.
 * Returns how many were ended. */
size_t descendants_end(void);

/* The same after they had `ns` nanoseconds to end by themselves, which do not count. */
size_t descendants_linger(uint64_t ns);

#endif
