/*
 * exec and posix_spawn. See preload.h.
 *
 * A program that gives its child an environment of its own (or none) would lose the recorder, so
 * what the child needs is put back. A program that the recorder cannot see into is said.
 *
 * Environments are made on the stack, or, when they are large, in a mapping: the exec ends it, or
 * we do. A child of vfork leaves its mapping in the parent, which is a few pages.
 */
#include "faultinject/record/preload.h"

#include "faultinject/record/visible.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRELOAD_VARIABLE "LD_PRELOAD"

enum { ENVIRONMENT_TEXT = 3 * RECLOG_PATH_MAX };

/* An environment with what the recorder needs. */
struct environment {
	char **list; /* what to pass on */
	void *map;   /* owned, or NULL */
	size_t map_size;
	char log[RECLOG_PATH_MAX + sizeof RECLOG_ENVIRONMENT + 1];
	char library[ENVIRONMENT_TEXT];
};

static const char *value_of(const char *entry, const char *name)
{
	size_t length = strlen(name);

	return strncmp(entry, name, length) == 0 && entry[length] == '=' ? entry + length + 1
									 : NULL;
}

static size_t put(char *to, size_t at, size_t size, const char *text)
{
	size_t length = strlen(text);

	if (at + length >= size)
		return at;
	memcpy(to + at, text, length + 1);
	return at + length;
}

/* False: `given` is right as it is, or cannot be changed. */
static bool complete(struct environment *e, char *const given[])
{
	const char *library = NULL, *log = NULL;
	size_t count = 0, n = 0, at = 0;

	e->map = NULL;
	for (; given != NULL && given[count] != NULL; count++) {
		const char *v = value_of(given[count], PRELOAD_VARIABLE);

		library = library == NULL ? v : library;
		v = value_of(given[count], RECLOG_ENVIRONMENT);
		log = log == NULL ? v : log;
	}
	if (log != NULL && library != NULL && strstr(library, preload_library) != NULL)
		return false;
	if (preload_library[0] == '\0')
		return false;
	e->map_size = (count + 3) * sizeof *e->list;
	long map = syscall(SYS_mmap, NULL, e->map_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == -1)
		return false;
	e->map = (void *)map;
	e->list = e->map;
	for (size_t i = 0; i < count; i++) {
		if (value_of(given[i], PRELOAD_VARIABLE) == NULL &&
		    value_of(given[i], RECLOG_ENVIRONMENT) == NULL)
			e->list[n++] = given[i];
	}
	at = put(e->log, 0, sizeof e->log, RECLOG_ENVIRONMENT "=");
	(void)put(e->log, at, sizeof e->log, preload_log.path);
	at = put(e->library, 0, sizeof e->library, PRELOAD_VARIABLE "=");
	at = put(e->library, at, sizeof e->library, preload_library);
	if (library != NULL && library[0] != '\0' && strstr(library, preload_library) == NULL) {
		at = put(e->library, at, sizeof e->library, ":");
		(void)put(e->library, at, sizeof e->library, library);
	}
	e->list[n++] = e->log;
	e->list[n++] = e->library;
	e->list[n] = NULL;
	return true;
}

static void complete_release(struct environment *e)
{
	int saved = errno;

	if (e->map != NULL)
		(void)syscall(SYS_munmap, e->map, e->map_size);
	errno = saved;
}

/* ---- programs that nobody sees into ---- */

static void look_into(const char *path)
{
	const char *why = visible_reason(path);
	struct reclog_entry e = {.head = {.type = RECLOG_BLIND}, .path = path, .data = why};

	if (why == NULL)
		return;
	e.data_size = strlen(why);
	preload_once(&e);
}

/* The file that a name without a slash stands for, as execvp(3) finds it. */
static void look_into_named(const char *file)
{
	const char *path = NULL;
	char candidate[RECLOG_PATH_MAX];
	size_t length = strlen(file);

	if (strchr(file, '/') != NULL) {
		look_into(file);
		return;
	}
	for (char **v = environ; v != NULL && *v != NULL && path == NULL; v++)
		path = value_of(*v, "PATH");
	for (path = path == NULL ? "/bin:/usr/bin" : path; *path != '\0' || path[-1] == ':';) {
		size_t part = strcspn(path, ":");

		if (part + length + 2 < sizeof candidate) {
			memcpy(candidate, path, part);
			candidate[part] = '/';
			memcpy(candidate + (part == 0 ? 0 : part + 1), file, length + 1);
			if (syscall(SYS_faccessat, AT_FDCWD, candidate, X_OK) == 0) {
				look_into(candidate);
				return;
			}
		}
		if (path[part] == '\0')
			break;
		path += part + 1;
	}
}

/* ---- exec ---- */

static void before_exec(void)
{
	if (preload_who().vforked)
		return;
	file_digest_all();
	preload_look();
	fd_before_exec();
}

static void after_exec(void)
{
	int saved = errno;

	if (!preload_who().vforked)
		fd_exec_failed();
	errno = saved;
}

/* `real` uses `env_`. */
#define EXECUTE(look, given, real)                                                                 \
	({                                                                                         \
		char *const *env_ = (given);                                                       \
		struct environment made_;                                                          \
		bool on_ = preload_on();                                                           \
		int rc_, saved_ = errno;                                                           \
		made_.map = NULL;                                                                  \
		if (on_) {                                                                         \
			look;                                                                      \
			before_exec();                                                             \
			if (complete(&made_, env_))                                                \
				env_ = made_.list;                                                 \
		}                                                                                  \
		errno = saved_;                                                                    \
		rc_ = (real);                                                                      \
		if (on_) {                                                                         \
			after_exec();                                                              \
			complete_release(&made_);                                                  \
		}                                                                                  \
		rc_;                                                                               \
	})

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return EXECUTE(look_into(path), envp, REAL(execve)(path, argv, env_));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return EXECUTE(look_into(path), environ, REAL(execve)(path, argv, env_));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return EXECUTE(look_into_named(file), envp, REAL(execvpe)(file, argv, env_));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return EXECUTE(look_into_named(file), environ, REAL(execvpe)(file, argv, env_));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	char link[FD_LINK_SIZE];

	path_fd_link(fd, link);
	return EXECUTE(look_into(link), envp, REAL(fexecve)(fd, argv, env_));
}

EXPORT int execveat(int at, const char *path, char *const argv[], char *const envp[], int flags)
{
	char resolved[RECLOG_PATH_MAX];

	if ((flags & AT_EMPTY_PATH) != 0 && path[0] == '\0')
		path_fd_link(at, resolved);
	else if (!path_resolve(at, path, true, resolved))
		resolved[0] = '\0';
	return EXECUTE(look_into(resolved), envp, REAL(execveat)(at, path, argv, env_, flags));
}

/* How many arguments execl and its kin have, up to NULL. The first may be NULL, whatever the header
 * says. */
static size_t count_list(const char *volatile first, va_list ap)
{
	size_t count = 0;

	for (const char *arg = first; arg != NULL; arg = va_arg(ap, char *))
		count++;
	return count;
}

static void fill_list(char **ret, size_t count, const char *first, va_list *ap)
{
	for (size_t i = 0; i < count; i++)
		ret[i] = i == 0 ? (char *)(uintptr_t)first : va_arg(*ap, char *);
	if (count > 0)
		(void)va_arg(*ap, char *); /* the NULL */
	ret[count] = NULL;
}

/* Takes the arguments behind `arg` off `ap`, which is begun, onto the stack of the caller; `ap`
 * then stands behind the NULL. */
#define TAKE_LIST(arg, ap)                                                                         \
	({                                                                                         \
		va_list count_;                                                                    \
		va_copy(count_, ap);                                                               \
		size_t n_ = count_list(arg, count_);                                               \
		va_end(count_);                                                                    \
		char **list_ = __builtin_alloca((n_ + 1) * sizeof *list_);                         \
		fill_list(list_, n_, arg, &(ap));                                                  \
		list_;                                                                             \
	})

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	char **argv = TAKE_LIST(arg, ap);

	va_end(ap);
	return execv(path, argv);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	char **argv = TAKE_LIST(arg, ap);

	va_end(ap);
	return execvp(file, argv);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	char **argv = TAKE_LIST(arg, ap);
	char **envp = va_arg(ap, char **);

	va_end(ap);
	return execve(path, argv, envp);
}

/* ---- posix_spawn ---- */

#define SPAWN(look, given, real)                                                                   \
	({                                                                                         \
		char *const *env_ = (given);                                                       \
		struct environment made_;                                                          \
		int rc_, saved_ = errno;                                                           \
		made_.map = NULL;                                                                  \
		if (preload_on()) {                                                                \
			look;                                                                      \
			if (complete(&made_, env_))                                                \
				env_ = made_.list;                                                 \
		}                                                                                  \
		errno = saved_;                                                                    \
		rc_ = (real);                                                                      \
		complete_release(&made_);                                                          \
		rc_;                                                                               \
	})

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	return SPAWN(look_into(path), envp,
		     REAL(posix_spawn)(pid, path, actions, attributes, argv, env_));
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	return SPAWN(look_into_named(file), envp,
		     REAL(posix_spawnp)(pid, file, actions, attributes, argv, env_));
}
