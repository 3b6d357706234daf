package filelock

import "golang.org/x/sys/unix"

// isMountPoint reports whether the file at path is a mount of its own, such as a
// single file that is bind-mounted into a container. Kernels before 5.8 do not
// tell.
func isMountPoint(path string) bool {
	var st unix.Statx_t
	for {
		err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
		if err != unix.EINTR {
			return err == nil && st.Attributes&st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0
		}
	}
}
