/*
 * The recording that runs, and which files belong to it; see vfs_record.h.
 *
 * SQLite makes the names of a database's other files from the database's own (pager.c, os_unix.c):
 * NAME-journal, NAME-wal, NAME-shm, and NAME-mj... for the journal of several. So a file is known
 * by the name under which its database was opened, and what is logged is the same name without
 * symbolic links.
 *
 * Who of all recorded processes meets a file first puts its content into the log: of a database
 * through SQLite's own descriptor, because closing another one would drop this process's locks on
 * it (fcntl(2)); of the files beside it, which nobody locks, through one of ours, when the database
 * is opened, because SQLite may remove them without having opened them.
 */
#include "faultinject/vfs_record.h"
#include "faultinject/vfs_record_internal.h"

#define XXH_INLINE_ALL
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	CONTENT_SIZE = 65536, /* bytes of one CONTENT record */
	NOTE_SIZE_MAX = 4096, /* bytes of a note; a longer one is cut */
};

struct database {
	char *given; /* owned; as SQLite calls it */
	char *path;  /* owned; without symbolic links */
};

static struct {
	pthread_mutex_t lock;	  /* of what follows, but for the atomic ones */
	pthread_mutex_t entering; /* held from record_enter() to record_entered() */
	int log_lock;		  /* a descriptor while `entering` is held for a first one */
	_Atomic bool running;
	_Atomic bool is_told, is_trouble_told; /* the log has this process, and its trouble */
	struct reclog log;
	struct database databases[RECLOG_DATABASES_MAX]; /* never shrinks while it runs */
	size_t database_count;
	int open_count;	 /* databases that are open through the VFS */
	uint32_t number; /* of the recording, from 1 */
} self = {.lock = PTHREAD_MUTEX_INITIALIZER, .entering = PTHREAD_MUTEX_INITIALIZER, .log_lock = -1};

/* This process and thread; 0 = not asked yet. A forked child forgets both. */
static _Atomic uint32_t this_pid;
static _Thread_local uint32_t this_tid;
/* The last statement of this thread, in the recording of that number. */
static _Thread_local struct reclog_said last_said;
static _Thread_local uint32_t last_said_number;

/* ---- records ---- */

static void tell_process(void)
{
	char executable[RECLOG_PATH_MAX] = "";
	int saved = errno;
	ssize_t size = readlink("/proc/self/exe", executable, sizeof executable - 1);
	struct reclog_entry e = {
	    .head = {.type = RECLOG_PROCESS, .moment = RECLOG_ONCE, .length = (uint64_t)getppid()},
	    .path = executable};

	if (size <= 0)
		(void)snprintf(executable, sizeof executable, "?");
	(void)reclog_append(&self.log, &e);
	errno = saved;
}

/* Before a record of this process. False: no recording runs. */
static bool introduce(void)
{
	if (!atomic_load_explicit(&self.running, memory_order_acquire))
		return false;
	if (!atomic_exchange_explicit(&self.is_told, true, memory_order_relaxed))
		tell_process();
	if (this_pid == 0)
		this_pid = (uint32_t)getpid();
	if (this_tid == 0)
		this_tid = (uint32_t)gettid();
	return true;
}

static uint64_t append(struct reclog_entry *e, enum reclog_moment moment)
{
	if (!introduce())
		return 0;
	e->head.pid = this_pid;
	e->head.tid = this_tid;
	e->head.moment = (uint8_t)moment;
	return reclog_append(&self.log, e);
}

uint64_t record_begin(struct reclog_entry *e)
{
	return append(e, RECLOG_BEGIN);
}

void record_end(struct reclog_entry *e, uint64_t begin, int64_t result)
{
	if (begin == 0)
		return;
	e->head.begin = begin;
	e->head.result = result;
	e->data = NULL;
	e->data_size = 0;
	(void)append(e, RECLOG_END);
}

void record_once(struct reclog_entry *e)
{
	(void)append(e, RECLOG_ONCE);
}

void fi_record_trouble(const char *text)
{
	struct reclog_entry e = {
	    .head = {.type = RECLOG_TROUBLE}, .data = text, .data_size = strlen(text)};

	record_once(&e);
}

void record_trouble_once(const char *text)
{
	if (!atomic_exchange(&self.is_trouble_told, true))
		fi_record_trouble(text);
}

bool fi_record_note(const char *word, const char *text)
{
	char line[NOTE_SIZE_MAX + 16];
	int size = snprintf(line, sizeof line, "%s %.*s", word, NOTE_SIZE_MAX, text);

	if (size < 0)
		return false;
	for (int i = 0; i < size; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	line[size] = '\n';
	struct reclog_entry e = {
	    .head = {.type = RECLOG_MARK}, .data = line, .data_size = (size_t)size + 1};

	(void)pthread_mutex_lock(&self.lock);
	bool running = self.running;

	if (running)
		record_once(&e);
	(void)pthread_mutex_unlock(&self.lock);
	return running;
}

void fi_record_statement(const void *connection, const char *sql)
{
	/* Most often none runs. */
	if (!fi_record_is_running())
		return;
	(void)pthread_mutex_lock(&self.lock);
	if (introduce()) {
		if (last_said_number != self.number)
			last_said = (struct reclog_said){0};
		last_said_number = self.number;
		reclog_append_statement(&self.log, &last_said, this_pid, this_tid,
					(uint64_t)(uintptr_t)connection, sql);
	}
	(void)pthread_mutex_unlock(&self.lock);
}

/* ---- content ---- */

static ssize_t read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
	ssize_t n;

	do {
		n = pread(fd, buffer, size, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* The content of a file that this process has claimed. */
static void copy(int fd, const struct stat *st, const char *path)
{
	static _Thread_local uint8_t buffer[CONTENT_SIZE];
	const uint64_t size = (uint64_t)st->st_size;
	struct reclog_entry file = {
	    .head = {.type = RECLOG_FILE,
		     .flags = RECLOG_EXISTED,
		     .dev = st->st_dev,
		     .ino = st->st_ino,
		     .length = size},
	    .path = path,
	};
	uint64_t begin = record_begin(&file);
	struct reclog_entry piece = {
	    .head = {.type = RECLOG_CONTENT, .begin = begin, .dev = st->st_dev, .ino = st->st_ino},
	    .data = buffer};

	for (uint64_t at = 0; at < size; at += piece.data_size) {
		uint64_t left = size - at;
		ssize_t n = read_at(fd, buffer, left < sizeof buffer ? left : sizeof buffer, at);

		if (n <= 0) {
			fi_record_trouble("a file could not be read when its recording began");
			break;
		}
		piece.head.offset = at;
		piece.data_size = (size_t)n;
		record_once(&piece);
	}
	record_end(&file, begin, 0);
}

void record_content(int fd, const char *path)
{
	int saved = errno;
	struct stat st;

	if (fi_record_is_running() && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    reclog_claim_inode(&self.log, st.st_dev, st.st_ino) != RECLOG_KNOWN) {
		copy(fd, &st, path);
		reclog_inode_done(&self.log, st.st_dev, st.st_ino);
	}
	errno = saved;
}

void record_made(uint64_t dev, uint64_t ino)
{
	int saved = errno;

	if (fi_record_is_running())
		reclog_inode_done(&self.log, dev, ino);
	errno = saved;
}

/* Before the name is gone, because the number may be used again at once. Should the file stay, its
 * content is put into the log once more, which does no harm. */
void record_unmade(const char *path)
{
	int saved = errno;
	struct stat st;

	if (fi_record_is_running() && lstat(path, &st) == 0 && st.st_nlink == 1)
		reclog_forget_inode(&self.log, st.st_dev, st.st_ino);
	errno = saved;
}

void record_digest(int fd, uint64_t dev, uint64_t ino, const char *path)
{
	static _Thread_local uint8_t buffer[CONTENT_SIZE];
	struct reclog_entry e = {.head = {.type = RECLOG_DIGEST, .dev = dev, .ino = ino},
				 .path = path};
	int saved = errno;
	XXH3_state_t state;
	uint64_t begin = record_begin(&e), size = 0;
	ssize_t n;

	if (begin == 0)
		return;
	XXH3_INITSTATE(&state);
	(void)XXH3_64bits_reset(&state);
	while ((n = read_at(fd, buffer, sizeof buffer, size)) > 0) {
		(void)XXH3_64bits_update(&state, buffer, (size_t)n);
		size += (uint64_t)n;
	}
	e.head.length = size;
	e.head.offset = XXH3_64bits_digest(&state);
	record_end(&e, begin, n < 0 ? -errno : 0);
	errno = saved;
}

/* ---- which files ---- */

/* What SQLite makes of a database's name, by what stands behind it. 0: nothing. */
static enum record_kind kind_of(const char *behind)
{
	if (*behind == '\0')
		return RECORD_DATABASE;
	if (strcmp(behind, "-journal") == 0 || strncmp(behind, "-mj", 3) == 0)
		return RECORD_JOURNAL;
	if (strcmp(behind, "-wal") == 0)
		return RECORD_WAL;
	return strcmp(behind, "-shm") == 0 ? RECORD_SHM : 0;
}

static bool find(const char *path, struct record_name *ret)
{
	for (size_t i = 0; i < self.database_count; i++) {
		const struct database *d = &self.databases[i];
		size_t size = strlen(d->given);
		enum record_kind kind;

		if (strncmp(path, d->given, size) != 0 || (kind = kind_of(path + size)) == 0)
			continue;
		if ((size_t)snprintf(ret->path, sizeof ret->path, "%s%s", d->path, path + size) >=
		    sizeof ret->path)
			continue;
		ret->kind = kind;
		return true;
	}
	return false;
}

bool record_is_recorded(const char *path, struct record_name *ret)
{
	if (!atomic_load_explicit(&self.running, memory_order_acquire))
		return false;
	(void)pthread_mutex_lock(&self.lock);
	bool found = find(path, ret);

	(void)pthread_mutex_unlock(&self.lock);
	return found;
}

/* The path without symbolic links, of a file that may not be there yet. NULL: none that fits. */
static char *resolve(const char *path)
{
	char *whole = realpath(path, NULL);
	char folder[RECLOG_PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (whole != NULL || slash == NULL || errno != ENOENT)
		return whole;
	size_t size = slash == path ? 1 : (size_t)(slash - path);

	if (size >= sizeof folder)
		return NULL;
	memcpy(folder, path, size);
	folder[size] = '\0';
	char *above = realpath(folder, NULL);

	if (above != NULL) {
		const char *gap = strcmp(above, "/") == 0 ? "" : "/";

		if (asprintf(&whole, "%s%s%s", above, gap, slash + 1) < 0)
			whole = NULL;
		free(above);
	}
	return whole;
}

/* Puts the files beside a database into the log. */
static void record_beside(const char *path)
{
	const char *base = strrchr(path, '/') + 1;
	char folder[RECLOG_PATH_MAX], name[RECLOG_PATH_MAX];
	size_t size = (size_t)(base - path), base_size = strlen(base);
	struct dirent *entry;

	if (size >= sizeof folder)
		return;
	memcpy(folder, path, size);
	folder[size] = '\0';
	DIR *d = opendir(folder);

	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (strncmp(entry->d_name, base, base_size) != 0 ||
		    entry->d_name[base_size] == '\0')
			continue;
		enum record_kind kind = kind_of(entry->d_name + base_size);

		if ((kind != RECORD_JOURNAL && kind != RECORD_WAL) ||
		    (size_t)snprintf(name, sizeof name, "%s%s", folder, entry->d_name) >=
			sizeof name)
			continue;
		int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

		if (fd >= 0) {
			record_content(fd, name);
			(void)close(fd);
		}
	}
	if (d != NULL)
		(void)closedir(d);
}

/* Has any process recorded it? */
static bool is_in_log(const char *path)
{
	const struct reclog_header *h = reclog_header(&self.log);
	uint32_t count = __atomic_load_n(&h->database_count, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < count && i < RECLOG_DATABASES_MAX; i++)
		if (strcmp(h->databases[i], path) == 0)
			return true;
	return false;
}

/* reclog_add_database(), and what stands beside it when it is new there. */
static bool add_to_log(const char *path)
{
	int fd = open(self.log.path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)flock(fd, LOCK_EX);
	bool is_new = !is_in_log(path), added = reclog_add_database(&self.log, path);

	if (is_new && added)
		record_beside(path);
	if (fd >= 0)
		(void)close(fd);
	return added;
}

/* Adds the database to those of this process. Owns `path`, which may be NULL. */
static void add(const char *given, char *path)
{
	struct database *d = &self.databases[self.database_count];

	if (self.database_count < RECLOG_DATABASES_MAX && path != NULL &&
	    strlen(path) < RECLOG_PATH_MAX && add_to_log(path)) {
		*d = (struct database){strdup(given), path};
		if (d->given != NULL) {
			self.database_count++;
			return;
		}
	}
	free(path);
	fi_record_trouble("a database could not be recorded: its name is too long, or there are "
			  "too many");
}

void record_enter(const char *path)
{
	struct record_name name;

	(void)pthread_mutex_lock(&self.lock);
	self.open_count++;
	if (self.running && !(find(path, &name) && name.kind == RECORD_DATABASE))
		add(path, resolve(path));
	(void)pthread_mutex_unlock(&self.lock);
}

void record_leave(void)
{
	(void)pthread_mutex_lock(&self.lock);
	self.open_count--;
	(void)pthread_mutex_unlock(&self.lock);
}

/* ---- beginning and ending ---- */

static void before_fork(void)
{
	(void)pthread_mutex_lock(&self.lock);
}

static void after_fork(void)
{
	(void)pthread_mutex_unlock(&self.lock);
}

static void after_fork_in_child(void)
{
	self.is_told = false;
	this_pid = 0;
	this_tid = 0;
	after_fork();
}

static int open_log(const char *path, enum fi_record_log log, struct err *err)
{
	char *folder = resolve(path[0] == '/' ? path : ".");
	char *whole = NULL;
	int rc = -ENOENT;

	if (folder != NULL && path[0] == '/')
		whole = strdup(path);
	else if (folder != NULL && asprintf(&whole, "%s/%s", folder, path) < 0)
		whole = NULL;
	if (whole != NULL)
		rc = reclog_create(&self.log, whole, 0);
	if (rc == -EEXIST && log == FI_RECORD_JOIN)
		rc = reclog_attach(&self.log, whole);
	free(folder);
	free(whole);
	if (rc == -EEXIST)
		return err_set(err, ERR_IO,
			       "%s exists already; remove it, or set " RECLOG_ENVIRONMENT
			       " to record several processes into one file",
			       path);
	if (rc == -EINVAL)
		return err_set(err, ERR_IO, "%s is no recording", path);
	return rc == 0 ? 0 : err_set(err, ERR_IO, "%s: %s", path, strerror(-rc));
}

int fi_record_start(const char *path, enum fi_record_log log, struct err *err)
{
	static bool is_fork_watched;
	int rc = 0;

	(void)pthread_mutex_lock(&self.lock);
	if (self.running)
		rc = err_set(err, ERR_USAGE, "a recording runs already, into %s", self.log.path);
	else if (self.open_count > 0)
		rc = err_set(err, ERR_USAGE,
			     "a database is open: begin the recording first, then open it");
	else
		rc = open_log(path, log, err);
	if (rc == 0 && !is_fork_watched) {
		is_fork_watched = true;
		(void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
	}
	if (rc == 0) {
		self.is_told = false;
		self.is_trouble_told = false;
		self.number++;
		self.running = true;
	}
	(void)pthread_mutex_unlock(&self.lock);
	return rc;
}

int fi_record_stop(struct err *err)
{
	int rc = 0;

	(void)pthread_mutex_lock(&self.lock);
	if (!self.running) {
		rc = err_set(err, ERR_USAGE, "no recording runs");
	} else if (self.open_count > 0) {
		rc = err_set(err, ERR_USAGE, "a database is still open: close it first");
	} else {
		self.running = false;
		for (size_t i = 0; i < self.database_count; i++) {
			free(self.databases[i].given);
			free(self.databases[i].path);
		}
		self.database_count = 0;
		reclog_detach(&self.log);
	}
	(void)pthread_mutex_unlock(&self.lock);
	return rc;
}

bool fi_record_is_running(void)
{
	return atomic_load_explicit(&self.running, memory_order_acquire);
}
