package ticketdir

import (
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
)

// oneKernel are the filesystems that a single kernel alone mounts at a time, so
// that a listing and a stat show what is there now, and every lock is seen by
// all. FAT and NTFS are here as kernel drivers; through FUSE they have FUSE's
// number. Not here, for it may lie on a server's filesystem: ecryptfs.
var oneKernel = map[uint32]bool{
	unix.EXT4_SUPER_MAGIC:      true, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:       true,
	unix.BTRFS_SUPER_MAGIC:     true,
	unix.F2FS_SUPER_MAGIC:      true,
	unix.TMPFS_MAGIC:           true,
	unix.RAMFS_MAGIC:           true,
	unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.BCACHEFS_SUPER_MAGIC:  true,
	unix.MSDOS_SUPER_MAGIC:     true, // vfat too
	unix.EXFAT_SUPER_MAGIC:     true,
	unix.REISERFS_SUPER_MAGIC:  true,
	unix.NILFS_SUPER_MAGIC:     true,
	unix.JFFS2_SUPER_MAGIC:     true,
	unix.UDF_SUPER_MAGIC:       true,
	unix.MINIX_SUPER_MAGIC:     true,
	unix.MINIX_SUPER_MAGIC2:    true,
	unix.MINIX2_SUPER_MAGIC:    true,
	unix.MINIX2_SUPER_MAGIC2:   true,
	unix.MINIX3_SUPER_MAGIC:    true,
	0x2FC12FC1:                 true, // zfs
	0x7366746E:                 true, // ntfs3
	0x3153464A:                 true, // jfs
	0x52345362:                 true, // reiser4
	0x24051905:                 true, // ubifs
	0x482B:                     true, // hfsplus
	0x4244:                     true, // hfs
}

// OneKernel reports whether a directory is known to be on a filesystem that this
// kernel alone mounts.
func OneKernel(dir string) bool {
	var st unix.Statfs_t
	err := again(func() error { return unix.Statfs(dir, &st) })
	return err == nil && oneKernel[uint32(st.Type)]
}

// filesystemOf tells what is known of the filesystem of an open directory, and
// whether only an open makes it ask for a file's attributes: the kernel can have
// FUSE's server asked, but behind that another cache may answer.
//
// One that does not tell is taken for one of many kernels, as unknown ones are
// (rule R10): that is right everywhere.
func filesystemOf(fd int) (f liveness.Filesystem, followsOpen bool) {
	var st unix.Statfs_t
	if again(func() error { return unix.Fstatfs(fd, &st) }) != nil {
		return f, false
	}
	magic := uint32(st.Type) // signed on some machines, and narrow on others
	return liveness.Filesystem{
		Type:      int64(magic),
		ID:        uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
		OneKernel: oneKernel[magic],
		Stacks:    magic == unix.OVERLAYFS_SUPER_MAGIC,
	}, magic == unix.FUSE_SUPER_MAGIC
}

// answersAtOnce reports whether the attributes of an open file are in memory there, and
// not under a lock that somebody may have for long, as on zfs, nor on what a stack of
// filesystems stands on, which may ask anybody.
func answersAtOnce(f liveness.Filesystem) bool {
	switch uint32(f.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return true
	}
	return false
}
