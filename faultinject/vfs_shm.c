/*
 * The WAL index: shared memory of a database, and its eight locks.
 *
 * Memory belongs to the node of the database file and is dropped when the last handle unmaps it;
 * in os_unix the file may stay, but the next opener finds that nobody holds the dead-man switch
 * and truncates it, which comes to the same. It never reaches the storage (rule D10).
 *
 * A slot is held by any number of handles together or by one alone, whatever their processes:
 * here counting within a process and fcntl between processes answer alike. What is recorded is
 * again what fcntl would have been asked: a process that already holds a slot shared does not ask
 * for it a second time.
 *
 * Regions are kept for later use when they are dropped: a recovery allocates nothing.
 */
#include "faultinject/vfs.h"
#include "faultinject/vfs_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <string.h>

/* Regions that nobody uses, each holding the pointer to the next in its first bytes. */
static uint8_t *free_regions;

static uint8_t *region_take(void)
{
	uint8_t *r = free_regions;

	if (r != NULL)
		memcpy(&free_regions, r, sizeof free_regions);
	else
		r = xmalloc(VFS_SHM_REGION_SIZE);
	memset(r, 0, VFS_SHM_REGION_SIZE);
	return r;
}

static void region_give(uint8_t *r)
{
	memcpy(r, &free_regions, sizeof free_regions);
	free_regions = r;
}

int fi_vfs_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret_memory)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct vfs_node *n = f->node;
	int rc = vfs_enter();

	if (rc != SQLITE_OK)
		return rc;
	ASSERT(n != NULL);
	ASSERT_OP(size, ==, VFS_SHM_REGION_SIZE);
	if (region < 0 || region >= VFS_SHM_REGIONS_MAX)
		return SQLITE_IOERR_SHMSIZE;
	if (!f->is_shm_mapped) {
		f->is_shm_mapped = true;
		n->shm_handle_count++;
	}
	if ((size_t)region >= n->region_count && !extend) {
		*ret_memory = NULL;
		return SQLITE_OK;
	}
	while (n->region_count <= (size_t)region) {
		n->regions =
		    xgrow(n->regions, n->region_count, &n->regions_cap, sizeof *n->regions);
		n->regions[n->region_count++] = region_take();
	}
	*ret_memory = n->regions[region];
	return SQLITE_OK;
}

/* Does another handle of the process of `f` hold a slot of `mask` shared? */
static bool sibling_shares(const struct vfs_file *f, uint8_t mask)
{
	for (const struct vfs_file *h = f->node->handles; h != NULL; h = h->next_handle)
		if (h != f && h->process == f->process && (h->shm_shared & mask) != 0)
			return true;
	return false;
}

static void release(struct vfs_file *f, int offset, int count, bool shared)
{
	uint8_t mask = (uint8_t)(((1u << count) - 1) << offset);

	if ((((shared ? f->shm_shared : f->shm_exclusive)) & mask) == 0)
		return;
	if (shared)
		f->shm_shared &= (uint8_t)~mask;
	else
		f->shm_exclusive &= (uint8_t)~mask;
	if (!shared || !sibling_shares(f, mask))
		fi_vfs_note_lock(f, true, shared ? OP_LOCK_SHM | OP_LOCK_SHARED : OP_LOCK_SHM,
				 OP_SHM_LOCK_BASE + (uint64_t)offset, (uint64_t)count);
}

static int acquire(struct vfs_file *f, int offset, int count, bool shared)
{
	uint8_t mask = (uint8_t)(((1u << count) - 1) << offset);

	if (((shared ? f->shm_shared : f->shm_exclusive) & mask) == mask)
		return SQLITE_OK;
	for (const struct vfs_file *h = f->node->handles; h != NULL; h = h->next_handle) {
		/* Its own shared lock bars a handle from an exclusive one, as in os_unix. */
		if (!shared && (h->shm_shared & mask) != 0)
			return SQLITE_BUSY;
		if ((shared || h != f) && (h->shm_exclusive & mask) != 0)
			return SQLITE_BUSY;
	}
	if (shared)
		f->shm_shared |= mask;
	else
		f->shm_exclusive |= mask;
	if (!shared || !sibling_shares(f, mask))
		fi_vfs_note_lock(f, false, shared ? OP_LOCK_SHM | OP_LOCK_SHARED : OP_LOCK_SHM,
				 OP_SHM_LOCK_BASE + (uint64_t)offset, (uint64_t)count);
	return SQLITE_OK;
}

/* Releasing works also when the call limit is exceeded. */
int fi_vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	struct vfs_file *f = (struct vfs_file *)file;
	bool shared = (flags & SQLITE_SHM_SHARED) != 0;
	int rc = vfs_enter();

	ASSERT(offset >= 0 && count >= 1 && offset + count <= SQLITE_SHM_NLOCK);
	ASSERT(count == 1 || !shared);
	if ((flags & SQLITE_SHM_UNLOCK) != 0 && (shared || fi_machine.defect != FI_VFS_LOCK_STAYS))
		release(f, offset, count, shared);
	else if ((flags & SQLITE_SHM_UNLOCK) != 0)
		return rc;
	else if (rc == SQLITE_OK)
		rc = f->is_shm_mapped ? acquire(f, offset, count, shared) : SQLITE_IOERR_SHMLOCK;
	return rc;
}

void fi_vfs_shm_barrier(sqlite3_file *file)
{
	(void)file; /* one thread */
	(void)vfs_enter();
}

/* Works also when the call limit is exceeded. Deleting and keeping the file come to the same. */
int fi_vfs_shm_unmap(sqlite3_file *file, int delete_flag)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct vfs_node *n = f->node;
	int rc = vfs_enter();

	(void)delete_flag;
	if (n == NULL || !f->is_shm_mapped)
		return rc;
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
		release(f, i, 1, true);
		release(f, i, 1, false);
	}
	f->is_shm_mapped = false;
	ASSERT_OP(n->shm_handle_count, >, 0);
	if (--n->shm_handle_count == 0)
		while (n->region_count > 0)
			region_give(n->regions[--n->region_count]);
	return rc;
}

bool fi_vfs_shm_has_external_reader(const struct vfs_file *f)
{
	const uint8_t readers = (uint8_t)~7u; /* slots 3.. (WAL_READ_LOCK of wal.c) */

	if (f->node == NULL || !f->is_shm_mapped)
		return false;
	for (const struct vfs_file *h = f->node->handles; h != NULL; h = h->next_handle)
		if (h->process != f->process && ((h->shm_shared | h->shm_exclusive) & readers) != 0)
			return true;
	return false;
}

/*
 * The index that a recovery made, by what it was made of: the header, and the page number of each
 * frame that was read, none of which is 0. SQLite builds it from zeros, a frame at a time, so its
 * hash table follows from these (wal_index.h).
 *
 * Where no frame counts, readers go to the database file, and behind the header is what SQLite
 * copied there from memory that it had not set (walIndexRecover).
 */
static uint64_t recovered_hash(const uint8_t *const *regions, uint64_t h)
{
	struct wal_index w;
	size_t frames = 0;
	uint32_t page;

	if (wal_index_read(regions, 1, &w) && w.last_frame != 0) {
		for (; frames < WAL_INDEX_FIRST_FRAMES; frames++) {
			memcpy(&page, regions[0] + WAL_INDEX_HEADER_SIZE + 4 * frames, sizeof page);
			if (page == 0)
				break;
		}
	}
	return hash64(regions[0], WAL_INDEX_HEADER_SIZE + 4 * frames, h);
}

/* Nodes are summed, because the order in a bucket depends on who opened first. */
uint64_t fi_vfs_shm_hash(void)
{
	uint64_t sum = 0;

	for (size_t b = 0; b < VFS_NODE_BUCKETS; b++) {
		for (struct vfs_node *n = fi_machine.buckets[b]; n != NULL; n = n->next) {
			uint64_t h = n->inode;

			if (n->region_count == 0)
				continue;
			/* Whoever changes an index writes to the WAL first. */
			if (n->region_count == 1 && !fi_machine.written)
				h = recovered_hash((const uint8_t *const *)n->regions, h);
			else
				for (size_t i = 0; i < n->region_count; i++)
					h = hash64(n->regions[i], VFS_SHM_REGION_SIZE, h);
			sum += hash_mix(h, n->inode);
		}
	}
	return sum;
}

bool fi_vfs_wal_index(struct sqlite3 *db, const char *schema, struct wal_index *ret)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(db, schema, SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
	    file == NULL || file->pMethods != &fi_vfs_methods)
		return false;
	const struct vfs_node *n = ((struct vfs_file *)file)->node;
	if (n == NULL)
		return false;
	*ret = (struct wal_index){0};
	return n->region_count == 0 ||
	       wal_index_read((const uint8_t *const *)n->regions, n->region_count, ret);
}
