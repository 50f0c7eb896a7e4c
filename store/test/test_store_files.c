/* test_store_files.c: the files of the operating system, as the store sees them [D3]. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "store/test/store_test.h"

static void path_in(const struct folder *folder, const char *name, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/%s", folder->path, name);
}

static void *created(const char *path)
{
	const struct store_files *files = store_files_posix();
	void *file = NULL;

	assert_int_equal(files->create(files->context, path, &file), 0);
	assert_non_null(file);
	return file;
}

/* A file is created empty, private, closed on exec; it holds what was written, in order; what was
 * there before is gone. */
static void test_create_write_read(void **state)
{
	const struct store_files *files = store_files_posix();
	const struct folder *folder = folder_of(state);
	char path[256], buffer[16] = "";
	struct stat st;
	size_t got = 99;
	void *file;
	bool seen = false;

	path_in(folder, "f", path, sizeof(path));
	file_write(path, "something longer", 16);
	assert_int_equal(remove(path), 0);
	file = created(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 0);
	for (int fd = 3; fd < 64; fd++) {
		struct stat other;

		if (fstat(fd, &other) == 0 && other.st_ino == st.st_ino) {
			assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
			seen = true;
		}
	}
	assert_true(seen);
	assert_int_equal(files->write(files->context, file, "abc", 3), 0);
	assert_int_equal(files->write(files->context, file, "", 0), 0);
	assert_int_equal(files->write(files->context, file, "defg", 4), 0);
	assert_int_equal(files->sync(files->context, file), 0);
	assert_int_equal(files->close(files->context, file), 0);

	assert_int_equal(files->read(files->context, path, 0, buffer, sizeof(buffer), &got), 0);
	assert_int_equal(got, 7);
	assert_memory_equal(buffer, "abcdefg", 7);
	assert_int_equal(files->read(files->context, path, 2, buffer, 3, &got), 0);
	assert_int_equal(got, 3);
	assert_memory_equal(buffer, "cde", 3);
	assert_int_equal(files->read(files->context, path, 7, buffer, 3, &got), 0);
	assert_int_equal(got, 0);
	got = 99;
	assert_int_equal(files->read(files->context, path, UINT64_MAX, buffer, 3, &got), EINVAL);
	assert_int_equal(got, 99);

	file = created(path);
	assert_int_equal(files->close(files->context, file), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
}

/* rename replaces, remove removes, and what is not there is ENOENT; a folder that is none is an
 * error of sync_folder. */
static void test_names(void **state)
{
	const struct store_files *files = store_files_posix();
	const struct folder *folder = folder_of(state);
	char a[256], b[256], missing[300], buffer[4];
	void *file = (void *)a;
	size_t got = 99;

	path_in(folder, "a", a, sizeof(a));
	path_in(folder, "b", b, sizeof(b));
	snprintf(missing, sizeof(missing), "%s/none/f", folder->path);
	file_write(a, "new", 3);
	file_write(b, "old", 3);
	assert_int_equal(files->rename(files->context, a, b), 0);
	assert_false(file_exists(a));
	assert_int_equal(files->read(files->context, b, 0, buffer, 3, &got), 0);
	assert_memory_equal(buffer, "new", 3);
	assert_int_equal(files->sync_folder(files->context, folder->path), 0);

	assert_int_equal(files->rename(files->context, a, b), ENOENT);
	got = 99;
	assert_int_equal(files->read(files->context, a, 0, buffer, 3, &got), ENOENT);
	assert_int_equal(got, 99);
	assert_int_equal(files->remove(files->context, a), ENOENT);
	assert_int_equal(files->create(files->context, missing, &file), ENOENT);
	assert_ptr_equal(file, (void *)a);
	assert_int_equal(files->sync_folder(files->context, b), ENOTDIR);
	assert_int_equal(files->sync_folder(files->context, missing), ENOENT);
	assert_int_equal(files->create(files->context, folder->path, &file), EISDIR);

	assert_int_equal(files->remove(files->context, b), 0);
	assert_false(file_exists(b));
}

/* A write that the system cuts short is continued, and its reason is the result. */
static void test_short_write(void **state)
{
	const struct store_files *files = store_files_posix();
	const struct folder *folder = folder_of(state);
	struct rlimit before, limit;
	static char data[8192];
	char path[256];
	struct stat st;
	void *file;
	int number;

	path_in(folder, "f", path, sizeof(path));
	file = created(path);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 5000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	number = files->write(files->context, file, data, sizeof(data));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(number, EFBIG);
	assert_int_equal(files->close(files->context, file), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 5000);
}

/* A full disk says ENOSPC. */
static void test_full_disk(void **state)
{
	const struct store_files *files = store_files_posix();
	void *file;

	(void)state;
	if (!file_exists("/dev/full"))
		skip();
	file = created("/dev/full");
	assert_int_equal(files->write(files->context, file, "x", 1), ENOSPC);
	assert_int_equal(files->close(files->context, file), 0);
}

#define PIPE_BYTES (1024 * 1024)

struct pipe_reader {
	int fd;
	unsigned char *got;
	size_t size;
};

static void *pipe_read(void *context)
{
	struct pipe_reader *reader = context;
	ssize_t n;

	while ((n = read(reader->fd, reader->got + reader->size, 4096)) != 0) {
		if (n < 0)
			continue;
		reader->size += (size_t)n;
		usleep(100);
	}
	return NULL;
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

/* Signals that interrupt a write neither lose nor repeat a byte. */
static void test_interrupted_write(void **state)
{
	const struct store_files *files = store_files_posix();
	const struct folder *folder = folder_of(state);
	const struct itimerval often = {.it_interval = {0, 500}, .it_value = {0, 500}};
	const struct itimerval never = {0};
	const struct sigaction action = {.sa_handler = on_alarm};
	struct pipe_reader reader = {0};
	unsigned char *data = malloc(PIPE_BYTES);
	sigset_t set;
	pthread_t thread;
	char path[256];
	void *file;
	int number;

	path_in(folder, "pipe", path, sizeof(path));
	assert_int_equal(mkfifo(path, 0600), 0);
	reader.fd = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader.fd >= 0);
	reader.got = malloc(PIPE_BYTES + 4096);
	assert_non_null(data);
	assert_non_null(reader.got);
	for (size_t i = 0; i < PIPE_BYTES; i++)
		data[i] = (unsigned char)(i * 7 / 5);
	file = created(path);
	assert_int_equal(fcntl(reader.fd, F_SETFL, 0), 0);
	/* The signal is the writing thread's. */
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	assert_int_equal(pthread_create(&thread, NULL, pipe_read, &reader), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	number = files->write(files->context, file, data, PIPE_BYTES);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(number, 0);
	assert_int_equal(files->close(files->context, file), 0);
	pthread_join(thread, NULL);
	assert_true(alarms > 3);
	assert_int_equal(reader.size, PIPE_BYTES);
	assert_memory_equal(reader.got, data, PIPE_BYTES);
	close(reader.fd);
	free(reader.got);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_create_write_read), TEST(test_names),
	    TEST(test_short_write),	  TEST(test_full_disk),
	    TEST(test_interrupted_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
