/*
 * The caller's own check of recovered states: code of a test program (harness/library) that opens
 * the databases as its application does and says what is wrong.
 *
 * It runs after the aftermath (aftermath.h), on one more boot of the same machine whose writes are
 * kept to itself (scratch.h), so that it may write. Clock and random numbers start the same in
 * every state. So, as long as it looks at nothing but these databases and goes through SQLite, its
 * answer is a function of what the observing connection saw, and the memo (memo.h) may keep it.
 *
 * One for the process, as the shim is. One thread.
 */
#ifndef DRIVE_OWN_CHECK_H
#define DRIVE_OWN_CHECK_H

#include "faultinject/vfs.h"
#include "harness/judge/observation.h"

#include <stdbool.h>
#include <stddef.h>

/* 0: fine. Otherwise it objects, and `message` ("" before the call) says to what. Every handle that
 * it opened is closed when it returns. */
typedef int own_check_fn(void *ctx, char *message, size_t size);

/* From here on every state is shown to `check`; NULL: none is. `strays` (may be NULL) is called by
 * own_check_strays(). `ctx` is borrowed. */
void own_check_set(own_check_fn *check, void (*strays)(void *ctx), void *ctx);

bool own_check_is_set(void);

/* Was it found by such a check, which no command has? */
bool own_check_is_oracle(const char *oracle);

/* Boots the machine that the check sees. */
void own_check_boot(struct storage *storage, struct trace_device device);
/* Asks. `ret`: what it objects to, "" when it does not. */
void own_check_ask(char ret[OBSERVATION_TEXT_SIZE]);

/*
 * A check may look at what no recovery and no observer looked at: a file of a mode that the
 * database is no longer in. Then its answer is not the memo's to keep. It is told here, and whoever
 * set the check explores again with own_check_forget(true): then nothing is taken for seen.
 */
void own_check_strays(void);
void own_check_forget(bool forget);
bool own_check_forgets(void);

#endif
