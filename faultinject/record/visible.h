/*
 * Can the LD_PRELOAD recorder see into a program? Not when no dynamic loader of this machine's kind
 * runs before it: statically linked, of another class or machine, or with rights of its own
 * (setuid, setgid, file capabilities), for which the loader passes over LD_PRELOAD (ld.so(8),
 * "Secure-execution mode").
 */
#ifndef RECORD_VISIBLE_H
#define RECORD_VISIBLE_H

/* Why nobody sees into the executable at `path`, as static text ("it is statically linked"), or
 * NULL when the recorder does, or when the file cannot be read (then execve(2) says why). Follows
 * "#!" lines. Async-signal-safe: no allocation, and its system calls are not recorded; errno is
 * kept. */
const char *visible_reason(const char *path);

#endif
