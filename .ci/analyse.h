/*
 * Tells clang-tidy what it cannot see, because it reads one file at a time: reporting an error
 * returns the code it was given, never 0. Without this every `return err_set(...)` looks like a
 * success that left its outputs unset. Included in front of each file by .ci/tidy, and by nothing
 * else; the two files that define these functions are read without it.
 */
#include "faultinject/base/err.h"
#include "store/internal.h"

#define err_set(err, code, ...)		((void)(err_set)(err, code, __VA_ARGS__), (code))
#define store_error_set(err, code, ...) ((void)(store_error_set)(err, code, __VA_ARGS__), (code))
#define store_error_set_sqlite(err, db, rc, ...)                                                   \
	((void)(store_error_set_sqlite)(err, db, rc, __VA_ARGS__), -1)
#define store_error_at(err, store, code, sqlite_code, ...)                                         \
	((void)(store_error_at)(err, store, code, sqlite_code, __VA_ARGS__), (code))
#define store_error_set_file(err, number, path, what)                                              \
	((void)(store_error_set_file)(err, number, path, what), -1)
