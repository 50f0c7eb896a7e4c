/* See call.h. */
#include "faultinject/record/call.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct call *call_list_add(struct call_list *l)
{
	struct call *c;

	l->items = xgrow(l->items, l->count, &l->cap, sizeof *l->items);
	c = &l->items[l->count++];
	memset(c, 0, sizeof *c);
	return c;
}

void call_list_release(struct call_list *l)
{
	free(l->items);
	arena_release(&l->arena);
	if (l->map != NULL)
		(void)munmap((void *)(uintptr_t)l->map, l->map_size_bytes);
	memset(l, 0, sizeof *l);
}
