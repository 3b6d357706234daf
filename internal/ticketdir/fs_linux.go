package ticketdir

import "golang.org/x/sys/unix"

// oneKernel are the filesystems that a single kernel alone mounts at a time,
// so that a listing and a stat show what is there now. FAT is here as a
// kernel driver; through FUSE it has FUSE's number. (unix has no name for the
// last one, exfat.)
var oneKernel = map[uint32]bool{
	unix.EXT4_SUPER_MAGIC:      true, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:       true,
	unix.BTRFS_SUPER_MAGIC:     true,
	unix.F2FS_SUPER_MAGIC:      true,
	unix.TMPFS_MAGIC:           true,
	unix.RAMFS_MAGIC:           true,
	unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.MSDOS_SUPER_MAGIC:     true,
	unix.REISERFS_SUPER_MAGIC:  true,
	unix.NILFS_SUPER_MAGIC:     true,
	0x2011BAB0:                 true,
}

// isOneKernel reports whether the filesystem of an open directory is known to
// be mounted by this kernel alone. Unknown ones are not (rule R10).
func isOneKernel(fd int) bool {
	var st unix.Statfs_t
	for {
		err := unix.Fstatfs(fd, &st)
		if err == unix.EINTR {
			continue
		}
		return err == nil && oneKernel[uint32(st.Type)]
	}
}
