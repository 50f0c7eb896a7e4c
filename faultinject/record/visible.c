/* See visible.h. The layout is that of elf(5). */
#include "faultinject/record/visible.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	SCRIPT_LEVELS_MAX = 4, /* the kernel's BINPRM_MAX_RECURSION */
	LINE_SIZE = 256,       /* of a script's first line, as the kernel reads it */
	PROGRAM_HEADERS_MAX = 256,
};

#if defined(__x86_64__)
#define THIS_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define THIS_MACHINE EM_AARCH64
#else
#define THIS_MACHINE EM_NONE
#endif

/* Raw system calls: the recorder's own open() and read() would record them. */
static int raw_open(const char *path)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
}

static bool raw_pread(int fd, void *buf, size_t size, uint64_t offset)
{
	return syscall(SYS_pread64, fd, buf, size, (off_t)offset) == (long)size;
}

static const char *look_at_rights(int fd)
{
	struct stat st;
	char capability[32];

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return NULL;
	if ((st.st_mode & S_ISUID) != 0 && st.st_uid != geteuid())
		return "it is setuid";
	if ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != getegid())
		return "it is setgid";
	if (geteuid() != 0 &&
	    syscall(SYS_fgetxattr, fd, "security.capability", capability, sizeof capability) > 0)
		return "it has file capabilities";
	return NULL;
}

static const char *look_at_elf(int fd, const Elf64_Ehdr *e)
{
	if (e->e_ident[EI_CLASS] != ELFCLASS64)
		return "it is a 32-bit program";
	if (THIS_MACHINE != EM_NONE && e->e_machine != THIS_MACHINE)
		return "it is for another machine";
	if (e->e_phentsize != sizeof(Elf64_Phdr) || e->e_phnum > PROGRAM_HEADERS_MAX)
		return NULL;
	for (unsigned i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr p;

		if (!raw_pread(fd, &p, sizeof p, e->e_phoff + i * sizeof p))
			return NULL;
		if (p.p_type == PT_INTERP)
			return look_at_rights(fd);
	}
	return "it is statically linked";
}

/* The interpreter of a "#!" line, in place; NULL: there is none. */
static char *interpreter(char *line)
{
	char *begin = line + 2;

	begin += strspn(begin, " \t");
	begin[strcspn(begin, " \t\r\n")] = '\0';
	return begin[0] == '\0' ? NULL : begin;
}

static const char *look(const char *path, char line[LINE_SIZE + 1], const char **ret_next)
{
	const char *why = NULL;
	Elf64_Ehdr e;
	int fd = raw_open(path);

	*ret_next = NULL;
	if (fd < 0)
		return NULL;
	long n = syscall(SYS_pread64, fd, line, LINE_SIZE, (off_t)0);

	line[n < 0 ? 0 : n] = '\0';
	if (n >= 2 && line[0] == '#' && line[1] == '!') {
		*ret_next = interpreter(line);
	} else if (n >= (long)sizeof e) {
		memcpy(&e, line, sizeof e);
		if (memcmp(e.e_ident, ELFMAG, SELFMAG) == 0)
			why = look_at_elf(fd, &e);
	}
	(void)syscall(SYS_close, fd);
	return why;
}

const char *visible_reason(const char *path)
{
	char lines[2][LINE_SIZE + 1];
	const char *why = NULL;
	int saved = errno;

	for (int i = 0; i < SCRIPT_LEVELS_MAX && path != NULL && why == NULL; i++)
		why = look(path, lines[i % 2], &path);
	errno = saved;
	return why;
}
