/*
 * Presets: named models, each with where its values come from and what it leaves out; see model.h.
 * A preset that is wrong in doubt leaves more states than the real thing, so that what holds on it
 * holds there. "leaves out" names what the real thing does beside that: "more states" can break
 * what holds here, "fewer states" can make hold there what breaks here.
 */
#include "faultinject/model.h"

static const struct model_info presets[] = {
    {
	.model = {.name = "strict-posix"},
	.summary = "only what POSIX promises: fsync, and nothing else, makes things durable",
	.stands_for = "no file system in particular; what holds here holds on every honest disk "
		      "that writes sectors whole and leaves zeros in holes",
	.sources = "POSIX.1-2017 fsync() and open(); Linux fsync(2), which says that the directory "
		   "needs a sync of its own; SQLite, 'Atomic Commit In SQLite' section 2, and "
		   "'Powersafe Overwrite' for undamaged neighbours",
	.leaves_out = "more states: a size that moved in the middle of one write (explore "
		      "reorder=file, too). Not at all: holes with garbage or old data, damage "
		      "within a sector, failing fsync, media errors",
    },
    {
	.model = {.name = "ext4-ordered",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync_scope = MODEL_SCOPE_FILESYSTEM,
		  .fsync_entry = 1,
		  .size_after_data = 1},
	.summary = "a journal of metadata in order; new blocks are written before the size that "
		   "shows them",
	.stands_for = "ext4 with data=ordered (the default), delalloc and barriers, up to Linux "
		      "5.5 or with dioread_lock",
	.sources = "Linux Documentation/admin-guide/ext4.rst (data=ordered); fs/ext4/fsync.c "
		   "(ext4_fsync_journal commits the transaction of the inode, for fdatasync the "
		   "last one that changed its size or blocks) and inode.c (ext4_map_blocks, "
		   "ext4_da_should_update_i_disksize); linux-ext4, 24 March 2023, 'defer updating "
		   "i_disksize until endio', for zeros behind an append inside a block",
	.leaves_out =
	    "more states: since Linux 5.6 (dioread_nolock by default) a new size may be "
	    "ahead of its data, which then reads as zeros: set size-after-data=no. Fewer: "
	    "the metadata of all files is in one order; auto_da_alloc. Not at all: "
	    "barrier=0, data=journal, fast_commit",
    },
    {
	.model = {.name = "ext4-writeback",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync_scope = MODEL_SCOPE_FILESYSTEM,
		  .fsync_entry = 1,
		  .hole = MODEL_HOLE_STALE},
	.summary = "a journal of metadata in order, which data does not wait for: a new size may "
		   "show what was deleted earlier",
	.stands_for =
	    "ext4 with data=writeback, up to Linux 5.5 or with dioread_lock; file systems "
	    "that journal metadata only, such as JFS",
	.sources = "Linux Documentation/admin-guide/ext4.rst ('can potentially leave stale data "
		   "exposed in recently written files in case of an unclean shutdown'); ext4(5), "
		   "data=writeback ('can allow old data to appear in files after a crash'); "
		   "fs/ext4/fsync.c",
	.leaves_out =
	    "more states: stale bytes of files that are not in the trace; of what was "
	    "deleted at a sector, and from elsewhere, only the latest is shown. Fewer: the "
	    "metadata of all files is in one order; blocks are used again only when their "
	    "deletion is committed; since Linux 5.6 new blocks read as zeros",
    },
    {
	.model = {.name = "xfs",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync_scope = MODEL_SCOPE_FILESYSTEM,
		  .fsync_entry = 1,
		  .size_after_data = 1},
	.summary = "a log of metadata in order; a size is logged when its data has been written",
	.stands_for = "XFS since Linux 2.6.22, default mount options",
	.sources = "Linux commit ba87ea699ebd, 'Fix to prevent the notorious NULL files problem': "
		   "the logged size is changed when the data has been written; fs/xfs/xfs_file.c "
		   "(xfs_fsync_seq: the log is forced up to the inode's last change, by fdatasync "
		   "only when more than timestamps changed); XFS FAQ, binary NULLS",
	.leaves_out =
	    "fewer states: data appended inside a block precedes its size, too, and the "
	    "metadata of all files is in one order. Not at all: reflink, real-time devices",
    },
    {
	.model = {.name = "apfs-no-fullfsync",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync = MODEL_FSYNC_LIES},
	.summary = "plain fsync on macOS: to the drive's cache, which may write in any order",
	.stands_for = "APFS and HFS+ with PRAGMA fullfsync=OFF, the default of SQLite and of "
		      "Apple's build of it",
	.sources = "Apple fsync(2): 'the drive itself may not physically write the data to the "
		   "platters for quite some time and it may be written in an out-of-order "
		   "sequence'; SQLite, PRAGMA fullfsync; names in order: assumed, APFS is closed",
	.leaves_out = "fewer states: drives write their caches within seconds; here nothing is "
		      "ever durable",
    },
    {
	.model = {.name = "apfs-barrier",
		  .namespace = MODEL_NAMESPACE_ORDERED,
		  .fsync = MODEL_FSYNC_BARRIER,
		  .fsync_entry = 1},
	.summary = "F_BARRIERFSYNC: what is before it reaches the disk before what is after it, "
		   "some time",
	.stands_for = "APFS with fcntl(F_BARRIERFSYNC) on Apple's drives, which Apple's build of "
		      "SQLite calls with PRAGMA fullfsync=ON",
	.sources = "Apple fcntl(2), F_BARRIERFSYNC: operations before it 'are guaranteed to be "
		   "persisted before any other I/O that would follow the barrier, although no "
		   "assumption should be made on what has been persisted or not when this call "
		   "returns'; names in order, and kept with their file: assumed, APFS is closed",
	.leaves_out = "more states: os_unix syncs directories by a plain fsync, which is a barrier "
		      "here. Not at all: drives without barriers, which the manual does not "
		      "promise anything for",
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
	.sources =
	    "SQLite, 'Powersafe Overwrite' and 'Atomic Commit In SQLite' section 2; Zheng et "
	    "al., FAST 2013, for shorn writes of flash under power faults",
	.leaves_out =
	    "more states: damage to the very bytes that were written, to a sector that is "
	    "written whole, and to sectors that nobody was writing; garbage other than "
	    "that of the run's seed (exhaustive means for that garbage)",
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
