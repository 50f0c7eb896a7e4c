/*
 * Presets: named models, each with where its values come from and what it leaves out; see model.h.
 * A preset that is wrong in doubt leaves more states than the real thing, so that what holds on it
 * holds there; where it could leave fewer, "leaves out" says so.
 */
#include "faultinject/model.h"

static const struct model_info presets[] = {
    {
	.model = {.name = "strict-posix"},
	.summary = "only what POSIX promises: fsync, and nothing else, makes things durable",
	.stands_for = "no file system in particular; what holds here holds on every honest disk "
		      "that writes sectors whole and leaves zeros in holes",
	.sources = "POSIX.1-2017 fsync() and open(); SQLite, 'Atomic Commit In SQLite' sections 2 "
		   "and 9, and SQLITE_IOCAP_POWERSAFE_OVERWRITE for undamaged neighbours",
	.leaves_out = "holes with garbage or old data, damage within a sector, failing fsync, "
		      "media errors",
    },
    {
	.model = {.name = "ext4-ordered",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync_scope = MODEL_SCOPE_FILESYSTEM,
		  .fsync_entry = 1,
		  .size_after_data = 1},
	.summary = "a journal of metadata in order; new blocks are written before the size that "
		   "shows them",
	.stands_for = "ext4 with its defaults (data=ordered, delalloc, barriers on)",
	.sources = "Linux Documentation/admin-guide/ext4.rst (data=ordered) and "
		   "filesystems/ext4/journal.rst; fs/ext4/fsync.c and inode.c "
		   "(ext4_sync_file commits the transaction of the inode; "
		   "ext4_da_should_update_i_disksize); Pillai et al., OSDI 2014",
	.leaves_out = "auto_da_alloc (a rename over a file, and a truncation to nothing, flush "
		      "data early: fewer states), barrier=0, data=journal, fast_commit",
    },
    {
	.model = {.name = "ext4-writeback",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync_scope = MODEL_SCOPE_FILESYSTEM,
		  .fsync_entry = 1,
		  .hole = MODEL_HOLE_STALE},
	.summary = "a journal of metadata in order, which data does not wait for: a new size may "
		   "show what was deleted earlier",
	.stands_for = "ext4 with data=writeback; also JFS-like file systems that journal metadata "
		      "only",
	.sources = "Linux Documentation/admin-guide/ext4.rst (data=writeback: 'may expose stale "
		   "data'); fs/ext4/fsync.c; Pillai et al., OSDI 2014",
	.leaves_out = "stale bytes of other users' files; of everything that was deleted at a "
		      "file's sector only the latest is shown",
    },
    {
	.model = {.name = "xfs",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync_scope = MODEL_SCOPE_FILESYSTEM,
		  .fsync_entry = 1,
		  .size_after_data = 1},
	.summary = "a log of metadata in order; a size is logged when its data has been written",
	.stands_for = "XFS since Linux 2.6.22, default mount options",
	.sources = "XFS FAQ ('Why do I see binary NULLS in some files after recovery'); Linux "
		   "Documentation/filesystems/xfs/xfs-delayed-logging-design.rst; "
		   "fs/xfs/xfs_aops.c (xfs_setfilesize) and xfs_file.c (xfs_file_fsync forces the "
		   "log up to the inode)",
	.leaves_out = "that data appended inside a block also precedes its size (fewer states); "
		      "reflink, real-time devices",
    },
    {
	.model = {.name = "apfs-no-fullfsync",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync = MODEL_FSYNC_LIES},
	.summary = "plain fsync on macOS: to the drive's cache, which may write in any order",
	.stands_for = "APFS and HFS+ with SQLite's default PRAGMA fullfsync=OFF",
	.sources = "Apple fsync(2): 'the drive may not physically write the data to the platters "
		   "for quite some time and it may be written in an out-of-order sequence'; "
		   "SQLite, PRAGMA fullfsync",
	.leaves_out = "that drives write their caches within seconds: here nothing is ever "
		      "durable",
    },
    {
	.model = {.name = "apfs-barrier",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync = MODEL_FSYNC_BARRIER,
		  .fsync_entry = 1},
	.summary = "F_BARRIERFSYNC: what is before it reaches the disk before what is after it, "
		   "some time",
	.stands_for = "APFS with fcntl(F_BARRIERFSYNC), as Apple's own build of SQLite uses it",
	.sources = "Apple fcntl(2), F_BARRIERFSYNC: 'issues a barrier command to the drive to "
		   "persist I/O in order'",
	.leaves_out = "that F_BARRIERFSYNC falls back to a full flush on drives without barriers "
		      "(fewer states)",
    },
    {
	.model = {.name = "nvme-4k", .fsync_entry = 1, .sector = 2},
	.summary = "a drive that writes 4096 bytes at once or not at all, under a file system "
		   "whose fsync keeps a new file's name",
	.stands_for = "NVMe and Advanced Format drives with 4096-byte logical blocks under ext4, "
		      "XFS, btrfs, where nothing else is taken for granted",
	.sources = "NVM Express Base Specification, AWUPF (atomic write unit power fail); Linux "
		   "Documentation/ABI/stable/sysfs-block (logical_block_size)",
	.leaves_out = "drives with 4096-byte physical and 512-byte logical blocks that tear "
		      "(use sector=512)",
    },
    {
	.model =
	    {.name = "legacy-512-nopsow", .hole = MODEL_HOLE_GARBAGE, .no_psow = 1, .sector = 1},
	.summary = "an old disk: 512-byte sectors, a power loss may damage the sector that is "
		   "being written, holes show anything",
	.stands_for = "disks and flash without powersafe overwrite, FAT and other file systems "
		      "without a journal",
	.sources = "SQLite, 'PSOW' (powersafe overwrite) and 'Atomic Commit' section 2; Zheng et "
		   "al., FAST 2013, for shorn and flying writes of flash under power faults",
	.leaves_out = "damage to sectors that nobody was writing; garbage other than that of the "
		      "run's seed: exhaustive means for that garbage",
    },
    {
	.model = {.name = "lying-disk", .fsync = MODEL_FSYNC_LIES},
	.summary = "a control: fsync returns and does nothing, so nothing can be durable",
	.stands_for = "consumer drives that ignore FLUSH CACHE, hypervisors with cache=unsafe",
	.sources = "QEMU documentation, cache=unsafe; a run that stays green here sees nothing",
	.leaves_out = "drives that lie only sometimes",
    },
    {
	.model = {.name = "process-crash", .process_crash = true},
	.summary = "the processes die, the machine lives: what the kernel had, stays",
	.stands_for = "kill -9, a crash of the program, the OOM killer, on any file system; a "
		      "crash after every operation, and inside a write at page boundaries",
	.sources = "write(2) copies page by page and a fatal signal ends it between pages "
		   "(Linux mm/filemap.c, generic_perform_write)",
	.leaves_out = "power loss; surviving processes that share the WAL index",
    },
};

const struct model_info *model_presets(size_t *ret_count)
{
	*ret_count = sizeof presets / sizeof presets[0];
	return presets;
}
