/*
 * The recorder's start and end in each process, and what becomes of it in a child. See preload.h.
 *
 * A child of fork gets a copy of everything and goes on as a process of its own. A child of vfork
 * runs in its parent's memory until it executes a program or exits, while its descriptors are its
 * own: what it closes stays open in the parent. So while preload_self.vforked is set, the table of
 * descriptors is read but never changed. The C library's vfork does not tell us, so ours is its
 * replacement; it is written in assembler because it returns twice from one stack frame.
 */
#include "faultinject/record/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct reclog preload_log;
char preload_library[RECLOG_PATH_MAX];
__thread struct preload_self preload_self __attribute__((tls_model("initial-exec")));

uint32_t preload_state_;

void *preload_next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* ---- who ---- */

struct preload_self preload_ask(void)
{
	struct preload_self who = preload_self;

	who.pid = (uint32_t)syscall(SYS_getpid);
	who.tid = (uint32_t)syscall(SYS_gettid);
	if (!who.vforked)
		preload_self = who;
	return who;
}

/* ---- start ---- */

static void say(const char *a, const char *b)
{
	char line[512];
	size_t n = 0;

	for (const char *s = "plugpull: nothing of this program is recorded: "; *s != '\0'; s++)
		line[n++] = *s;
	for (; *a != '\0' && n < sizeof line - 1; a++)
		line[n++] = *a;
	for (; *b != '\0' && n < sizeof line - 1; b++)
		line[n++] = *b;
	line[n++] = '\n';
	(void)syscall(SYS_write, STDERR_FILENO, line, n);
}

/* The log cannot be mapped, but its header can be written. Once is enough. */
static void not_mapped(const char *path, int rc)
{
	const off_t at = (off_t)offsetof(struct reclog_header, trouble);
	uint32_t trouble = 0;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);

	if (fd >= 0 && rc != -EINVAL &&
	    syscall(SYS_pread64, fd, &trouble, sizeof trouble, at) == sizeof trouble &&
	    (trouble & RECLOG_NOT_MAPPED) == 0) {
		trouble |= RECLOG_NOT_MAPPED;
		(void)syscall(SYS_pwrite64, fd, &trouble, sizeof trouble, at);
		say("the address space is limited (ulimit -v), and the log needs 64 GiB", "");
	} else if (fd < 0 || rc == -EINVAL) {
		say(rc == -EINVAL ? "this is no log of this version: " : "cannot open ", path);
	}
	if (fd >= 0)
		(void)syscall(SYS_close, fd);
}

static void log_process(void)
{
	char path[RECLOG_PATH_MAX];
	long n = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof path - 1);
	struct reclog_entry e = {.head = {.type = RECLOG_PROCESS}, .path = path};

	path[n > 0 ? n : 0] = '\0';
	e.head.length = (uint64_t)syscall(SYS_getppid);
	preload_once(&e);
}

static void find_library(void)
{
	Dl_info info;
	char found[RECLOG_PATH_MAX];

	if (dladdr((void *)(uintptr_t)preload_on_slowly, &info) == 0 || info.dli_fname == NULL)
		return;
	if (path_resolve(AT_FDCWD, info.dli_fname, true, found))
		memcpy(preload_library, found, sizeof found);
}

static void in_child(void)
{
	memset(&preload_self, 0, sizeof preload_self);
	if (!preload_on())
		return;
	fd_after_fork();
	log_process();
}

static void log_exit(int status)
{
	struct reclog_entry e = {.head = {.type = RECLOG_EXIT, .result = status}};

	if (!preload_on())
		return;
	if (!preload_who().vforked)
		file_digest_all();
	preload_look();
	preload_once(&e);
}

static void at_exit(int status, void *unused)
{
	(void)unused;
	log_exit(status);
}

static void at_quick(void)
{
	if (preload_on())
		file_digest_all();
}

bool preload_on_slowly(void)
{
	const char *path;
	uint32_t expected = PRELOAD_NEW;
	int rc, saved = errno;

	if (!__atomic_compare_exchange_n(&preload_state_, &expected, PRELOAD_STARTING, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return expected == PRELOAD_ON;
	path = secure_getenv(RECLOG_ENVIRONMENT);
	if (path == NULL || path[0] != '/') {
		__atomic_store_n(&preload_state_, PRELOAD_OFF, __ATOMIC_RELEASE);
		return false;
	}
	rc = reclog_attach(&preload_log, path);
	if (rc != 0) {
		not_mapped(path, rc);
		errno = saved;
		__atomic_store_n(&preload_state_, PRELOAD_OFF, __ATOMIC_RELEASE);
		return false;
	}
	find_library();
	(void)pthread_atfork(NULL, NULL, in_child);
	/* The first handler to be registered runs last, after the destructors of all libraries. */
	(void)on_exit(at_exit, NULL);
	(void)at_quick_exit(at_quick);
	__atomic_store_n(&preload_state_, PRELOAD_ON, __ATOMIC_RELEASE);
	log_process();
	errno = saved;
	return true;
}

__attribute__((constructor)) static void start(void)
{
	(void)preload_on();
}

/* ---- end ---- */

/* ---- end ---- */

EXPORT void _exit(int status)
{
	log_exit(status);
	REAL(_exit)(status);
	__builtin_unreachable();
}

EXPORT void _Exit(int status)
{
	log_exit(status);
	REAL(_Exit)(status);
	__builtin_unreachable();
}

/* ---- fork, vfork ---- */

/* The same as fork, but for the handlers that pthread_atfork() registered: ours is needed. */
EXPORT pid_t _Fork(void)
{
	pid_t pid = REAL(_Fork)();

	if (pid == 0)
		in_child();
	return pid;
}

/* After the system call, in both processes: they share preload_self, and the parent goes on only
 * when the child no longer does. */
pid_t preload_vforked(long result);
__attribute__((used, visibility("hidden"))) pid_t preload_vforked(long result)
{
	preload_self.vforked = result == 0;
	if (result < 0) {
		errno = (int)-result;
		return -1;
	}
	return (pid_t)result;
}

/* The return address must not stand on the stack during the call, because the child overwrites it.
 */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, @function\n"
	"vfork:\n"
	"	endbr64\n"
	"	popq %rdi\n"
	"	movl $58, %eax\n"
	"	syscall\n"
	"	pushq %rdi\n"
	"	subq $8, %rsp\n"
	"	movq %rax, %rdi\n"
	"	call preload_vforked\n"
	"	addq $8, %rsp\n"
	"	ret\n"
	".size vfork, . - vfork\n");
#elif defined(__aarch64__)
/* clone(CLONE_VM | CLONE_VFORK | SIGCHLD, 0); the return address stays in x30, and x9 keeps it. */
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, %function\n"
	"vfork:\n"
	"	mov x0, #0x4111\n"
	"	mov x1, xzr\n"
	"	mov x8, #220\n"
	"	svc #0\n"
	"	stp x29, x30, [sp, #-16]!\n"
	"	bl preload_vforked\n"
	"	ldp x29, x30, [sp], #16\n"
	"	ret\n"
	".size vfork, . - vfork\n");
#else
#error "vfork is written for x86-64 and aarch64 only"
#endif
