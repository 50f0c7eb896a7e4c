/*
 * The statements that a program's SQLite runs; see preload.h.
 *
 * SQLite tells of them (sqlite3_trace_v2()), if somebody asks each connection when it is opened
 * (sqlite3_auto_extension()). Who asks must find the SQLite that the program uses, which may be any
 * library, or several, and may be loaded where we cannot look names up. Taking the place of its
 * sqlite3_open() would be the program's risk: another SQLite's functions may end up behind it. So
 * nothing of SQLite is replaced. When a file is opened as SQLite opens databases, the code that
 * calls open() is looked at: the library or program that it is in is an SQLite when these functions
 * are among its own dynamic symbols. SQLite asks the automatic extensions after it has opened the
 * database's file, so the first connection is heard, too.
 *
 * A program that sets a trace of its own on a connection gets it, and that connection is no longer
 * heard; so does one that calls sqlite3_reset_auto_extension(), for later connections. Not heard
 * are an SQLite whose functions are no dynamic symbols (most programs that have it built in), one
 * before 3.14, one that opens files through a VFS of the program's own, one that was unloaded and
 * loaded again, and read-only connections.
 *
 * One thing is changed for a program: a trace that it sets in an automatic extension of its own is
 * replaced by ours, because extensions are asked in the order in which they were registered, and
 * nobody can say whether a connection has a trace. To be asked first we would have to register
 * before the program does, which initialises SQLite, and then sqlite3_config() would fail.
 *
 * Statements of a connection that was opened without a file (:memory:) are not noted, whatever it
 * attaches; of the others assemble_statements.c keeps those of connections that did something to a
 * recorded file.
 *
 * Not async-signal-safe, unlike the rest: it runs inside sqlite3_open() and sqlite3_step() only.
 */
#include "faultinject/record/preload.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>

enum {
	LIBRARIES_MAX = 4, /* SQLites of one process */
	SITES_MAX = 64,	   /* places that open files like that; beyond, nobody is looked at */
	TRACE_STMT = 1,	   /* SQLITE_TRACE_STMT */
};

typedef int trace_callback(unsigned event, void *ctx, void *stmt, void *text);
/* sqlite3_trace_v2, sqlite3_db_filename, sqlite3_auto_extension */
typedef int trace_function(void *db, unsigned mask, trace_callback *callback, void *ctx);
typedef const char *name_function(void *db, const char *schema);
typedef int extend_function(void (*entry)(void));

static struct {
	trace_function *trace; /* atomic, stored last */
	name_function *name;
} libraries[LIBRARIES_MAX];
static uint32_t library_count; /* atomic */
static uintptr_t sites[SITES_MAX];

static __thread struct reclog_said last __attribute__((tls_model("initial-exec")));

static int on_statement(unsigned event, void *db, void *stmt, void *text)
{
	const struct preload_self who = preload_who();
	const char *sql = text;

	(void)event;
	(void)stmt;
	/* A comment is how SQLite tells that a trigger begins. */
	if (sql != NULL && strncmp(sql, "--", 2) != 0 && preload_on())
		reclog_append_statement(&preload_log, &last, who.pid, who.tid,
					(uint64_t)(uintptr_t)db, sql);
	return 0;
}

/* A connection without a file is nobody's business. */
static int on_connection(size_t n, void *db)
{
	const char *name = libraries[n].name(db, "main");

	if (name != NULL && name[0] != '\0')
		(void)libraries[n].trace(db, TRACE_STMT, on_statement, db);
	return 0;
}

/* An entry point for each SQLite: what it is called with does not say which one calls. */
#define ENTRY(n)                                                                                   \
	static int entry_##n(void *db, char **message, const void *api)                            \
	{                                                                                          \
		(void)message;                                                                     \
		(void)api;                                                                         \
		return on_connection(n, db);                                                       \
	}
ENTRY(0)
ENTRY(1)
ENTRY(2)
ENTRY(3)

/* ---- who calls ---- */

#ifdef DLFO_STRUCT_HAS_EH_DBASE
#pragma weak _dl_find_object /* a C library that is older than the one we were built with */
#endif

/* Without a lock of the loader's where that can be had: the caller may hold SQLite's. */
static const struct link_map *object_of(const void *address)
{
	void *map = NULL;
	Dl_info info;
#ifdef DLFO_STRUCT_HAS_EH_DBASE
	struct dl_find_object found;

	if (_dl_find_object != NULL)
		return _dl_find_object((void *)(uintptr_t)address, &found) == 0
			   ? found.dlfo_link_map
			   : NULL;
#endif
	return dladdr1(address, &info, &map, RTLD_DL_LINKMAP) == 0 ? NULL : map;
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name != '\0'; name++)
		hash = hash * 33 + (uint8_t)*name;
	return hash;
}

/* The function that the object itself defines under this name, or NULL. The loader has made the
 * addresses of its dynamic section absolute, but for those that are read-only.
 * https://flapenguin.me/elf-dt-gnu-hash has the table. */
static void *defined_in(const struct link_map *map, const char *name)
{
	const ElfW(Sym) *symbols = NULL;
	const char *strings = NULL;
	const uint32_t *table = NULL, hash = gnu_hash(name);

	if (map->l_ld == NULL)
		return NULL;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		uintptr_t at =
		    d->d_un.d_ptr < map->l_addr ? map->l_addr + d->d_un.d_ptr : d->d_un.d_ptr;

		if (d->d_tag == DT_SYMTAB)
			symbols = (const ElfW(Sym) *)at;
		else if (d->d_tag == DT_STRTAB)
			strings = (const char *)at;
		else if (d->d_tag == DT_GNU_HASH)
			table = (const uint32_t *)at;
	}
	if (symbols == NULL || strings == NULL || table == NULL || table[0] == 0)
		return NULL;
	const uint32_t bucket_count = table[0], first = table[1];
	const uint32_t *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof *table);
	const uint32_t *chain = buckets + bucket_count;

	for (uint32_t i = buckets[hash % bucket_count]; i >= first && i != 0; i++) {
		const ElfW(Sym) *s = &symbols[i];

		if ((chain[i - first] | 1) == (hash | 1) && s->st_shndx != SHN_UNDEF &&
		    ELF64_ST_TYPE(s->st_info) == STT_FUNC &&
		    strcmp(strings + s->st_name, name) == 0)
			return (void *)(map->l_addr + s->st_value);
		if ((chain[i - first] & 1) != 0)
			break;
	}
	return NULL;
}

/* ---- listening ---- */

static void listen_to(const struct link_map *map)
{
	static int (*const entries[LIBRARIES_MAX])(void *, char **, const void *) = {
	    entry_0, entry_1, entry_2, entry_3};
	trace_function *trace = (trace_function *)defined_in(map, "sqlite3_trace_v2");
	name_function *name = (name_function *)defined_in(map, "sqlite3_db_filename");
	extend_function *extend = (extend_function *)defined_in(map, "sqlite3_auto_extension");
	uint32_t n;

	if (trace == NULL || name == NULL || extend == NULL)
		return;
	for (n = 0; n < LIBRARIES_MAX; n++)
		if (__atomic_load_n(&libraries[n].trace, __ATOMIC_ACQUIRE) == trace)
			return;
	n = __atomic_fetch_add(&library_count, 1, __ATOMIC_RELAXED);
	if (n >= LIBRARIES_MAX)
		return;
	libraries[n].name = name;
	__atomic_store_n(&libraries[n].trace, trace, __ATOMIC_RELEASE);
	(void)extend((void (*)(void))(uintptr_t)entries[n]);
}

void statement_look(const void *caller)
{
	const uintptr_t address = (uintptr_t)caller;
	int saved = errno;

	if (!preload_on() || preload_self.vforked)
		return;
	for (size_t i = 0; i < SITES_MAX; i++) {
		uintptr_t seen = __atomic_load_n(&sites[i], __ATOMIC_RELAXED);

		if (seen == 0 && __atomic_compare_exchange_n(&sites[i], &seen, address, false,
							     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			const struct link_map *map = object_of(caller);

			if (map != NULL)
				listen_to(map);
			break;
		}
		if (seen == address)
			break;
	}
	errno = saved;
}
