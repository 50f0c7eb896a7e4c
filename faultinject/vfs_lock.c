/*
 * Locks on database files: SHARED, RESERVED, PENDING, EXCLUSIVE, in two layers as in os_unix.
 *
 * Within a process, handles of one inode exclude each other by counting (unixLock). Between
 * processes, byte ranges do: this file asks what fcntl would answer. Both layers are derived from
 * the handles on the node, so there is no second copy of the state to keep true:
 *
 *     a handle at         its process holds
 *     SHARED and above    read lock on the SHARED range
 *     EXCLUSIVE           write lock on the SHARED range
 *     holds_reserved      write lock on RESERVED_BYTE   (not when it went SHARED to EXCLUSIVE, as
 *     holds_pending       write lock on PENDING_BYTE     the rollback of a hot journal does)
 *
 * What is recorded is what fcntl would have been asked to do: the second reader of a process takes
 * no lock that its process does not have, and only the last one to leave releases everything
 * (offset 0, size 0: to the end of the file, as fcntl has it). One thing is left out: the read
 * lock on PENDING_BYTE that exists only while SHARED is being taken, which nobody could see here,
 * where one call runs at a time.
 *
 * A request for EXCLUSIVE that fails after it took PENDING stays at PENDING: new readers are kept
 * out until the caller tries again or gives up. As in os_unix of SQLite 3.40.1, that is so on the
 * way from SHARED too; later versions take PENDING only on the way from RESERVED.
 */
#include "faultinject/vfs.h"
#include "faultinject/vfs_internal.h"

#include "faultinject/base/assert.h"

/* What the other handles of an inode mean for one of them. */
struct surroundings {
	int process_level;	/* the highest of its process, its own included */
	unsigned process_count; /* handles of its process at SHARED or above, itself included */
	bool is_shared, is_reserved, is_pending, is_exclusive; /* by other processes */
};

static struct surroundings look_around(const struct vfs_file *f)
{
	struct surroundings s = {0};

	for (const struct vfs_file *h = f->node->handles; h != NULL; h = h->next_handle) {
		if (h->lock == SQLITE_LOCK_NONE)
			continue;
		if (h->process == f->process) {
			s.process_count++;
			if (h->lock > s.process_level)
				s.process_level = h->lock;
			continue;
		}
		s.is_shared = true;
		s.is_reserved |= h->holds_reserved;
		s.is_pending |= h->holds_pending;
		s.is_exclusive |= h->lock == SQLITE_LOCK_EXCLUSIVE;
	}
	return s;
}

static int take_shared(struct vfs_file *f, const struct surroundings *s)
{
	if (s->process_level == SQLITE_LOCK_NONE) {
		if (s->is_pending || s->is_exclusive)
			return SQLITE_BUSY;
		fi_vfs_note_lock(f, false, OP_LOCK_SHARED, OP_SHARED_FIRST, OP_SHARED_SIZE);
	}
	f->lock = SQLITE_LOCK_SHARED;
	return SQLITE_OK;
}

static int take_reserved(struct vfs_file *f, const struct surroundings *s)
{
	if (s->is_reserved)
		return SQLITE_BUSY;
	fi_vfs_note_lock(f, false, 0, OP_RESERVED_BYTE, 1);
	f->holds_reserved = true;
	f->lock = SQLITE_LOCK_RESERVED;
	return SQLITE_OK;
}

static int take_exclusive(struct vfs_file *f, const struct surroundings *s)
{
	if (f->lock < SQLITE_LOCK_PENDING) {
		if (s->is_pending)
			return SQLITE_BUSY;
		fi_vfs_note_lock(f, false, 0, OP_PENDING_BYTE, 1);
		f->holds_pending = true;
		f->lock = SQLITE_LOCK_PENDING;
	}
	if (s->process_count > 1 || s->is_shared)
		return SQLITE_BUSY;
	fi_vfs_note_lock(f, false, 0, OP_SHARED_FIRST, OP_SHARED_SIZE);
	f->lock = SQLITE_LOCK_EXCLUSIVE;
	return SQLITE_OK;
}

int fi_vfs_lock(sqlite3_file *file, int level)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct surroundings s;
	int rc = vfs_enter();

	if (rc != SQLITE_OK || f->node == NULL || f->lock >= level)
		return rc;
	/* The order that sqlite3_io_methods promises. */
	ASSERT(f->lock != SQLITE_LOCK_NONE || level == SQLITE_LOCK_SHARED);
	ASSERT(level != SQLITE_LOCK_PENDING);
	ASSERT(level != SQLITE_LOCK_RESERVED || f->lock == SQLITE_LOCK_SHARED);
	s = look_around(f);
	if (f->lock != s.process_level &&
	    (s.process_level >= SQLITE_LOCK_PENDING || level > SQLITE_LOCK_SHARED))
		return SQLITE_BUSY;
	switch (level) {
	case SQLITE_LOCK_SHARED:
		return take_shared(f, &s);
	case SQLITE_LOCK_RESERVED:
		return take_reserved(f, &s);
	default:
		return take_exclusive(f, &s);
	}
}

static void unlock(struct vfs_file *f, int level)
{
	if (f->lock > SQLITE_LOCK_SHARED) {
		if (level == SQLITE_LOCK_SHARED)
			fi_vfs_note_lock(f, false, OP_LOCK_SHARED, OP_SHARED_FIRST, OP_SHARED_SIZE);
		fi_vfs_note_lock(f, true, 0, OP_PENDING_BYTE, 2);
		f->holds_pending = false;
		f->holds_reserved = false;
		f->lock = SQLITE_LOCK_SHARED;
	}
	if (level == SQLITE_LOCK_NONE) {
		if (look_around(f).process_count == 1)
			fi_vfs_note_lock(f, true, 0, 0, 0);
		f->lock = SQLITE_LOCK_NONE;
	}
}

/* Releasing works also when the call limit is exceeded. */
int fi_vfs_unlock(sqlite3_file *file, int level)
{
	struct vfs_file *f = (struct vfs_file *)file;
	int rc = vfs_enter();

	if (f->node == NULL || f->lock <= level)
		return rc;
	ASSERT_OP(level, <=, SQLITE_LOCK_SHARED);
	if (fi_machine.defect == FI_VFS_LOCK_STAYS && f->lock == SQLITE_LOCK_EXCLUSIVE)
		return rc;
	unlock(f, level);
	return rc;
}

void fi_vfs_unlock_all(struct vfs_file *f)
{
	if (f->lock > SQLITE_LOCK_NONE)
		unlock(f, SQLITE_LOCK_NONE);
}

int fi_vfs_check_reserved(sqlite3_file *file, int *ret_reserved)
{
	struct vfs_file *f = (struct vfs_file *)file;
	int rc = vfs_enter();

	if (rc != SQLITE_OK)
		return rc;
	*ret_reserved = 0;
	if (f->node != NULL) {
		struct surroundings s = look_around(f);

		*ret_reserved = s.process_level > SQLITE_LOCK_SHARED || s.is_reserved;
	}
	return SQLITE_OK;
}
