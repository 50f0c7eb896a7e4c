/* See sqlite_memory.h. https://www.sqlite.org/c3ref/mem_methods.html */
#include "harness/drive/sqlite_memory.h"

#include "faultinject/base/heap.h"

#include <sqlite3.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

static struct heap *heap; /* NULL: SQLite uses its own */

#ifndef SANITIZED
static void *method_malloc(int size)
{
	return heap_alloc(heap, (size_t)size);
}

static void method_free(void *p)
{
	heap_release(heap, p);
}

static void *method_realloc(void *p, int size)
{
	return heap_realloc(heap, p, (size_t)size);
}

static int method_size(void *p)
{
	return (int)heap_size_of(p);
}

static int method_roundup(int size)
{
	return (size + 7) & ~7;
}

static int method_init(void *ctx)
{
	(void)ctx;
	return SQLITE_OK;
}

static void method_shutdown(void *ctx)
{
	(void)ctx;
}

static void install(void)
{
	static const sqlite3_mem_methods methods = {
	    .xMalloc = method_malloc,
	    .xFree = method_free,
	    .xRealloc = method_realloc,
	    .xSize = method_size,
	    .xRoundup = method_roundup,
	    .xInit = method_init,
	    .xShutdown = method_shutdown,
	};

	if (heap != NULL)
		return;
	heap = heap_create(SQLITE_MEMORY_RUN_MAX);
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) {
		heap_free(heap);
		heap = NULL;
	}
}
#else
static void install(void)
{
}
#endif

void sqlite_memory_configure(void)
{
	install();
	/* Each connection would set up a little heap of its own, which this one makes idle. */
	(void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
}

void sqlite_memory_begin(void)
{
	if (heap != NULL)
		heap_begin(heap);
}

void sqlite_memory_end(void)
{
	if (heap != NULL)
		heap_end(heap);
}
