package verify

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// filesystem names the type of the filesystem that a directory is on, as the mount
// table has it.
func filesystem(dir string) string {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "unknown"
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
		for row := range strings.Lines(string(mounts)) {
			before, after, ok := strings.Cut(row, " - ")
			if f := strings.Fields(before); ok && len(f) > 2 && f[2] == device {
				return strings.Fields(after)[0]
			}
		}
	}
	var fs unix.Statfs_t // btrfs has other devices there
	if err := unix.Statfs(dir, &fs); err != nil {
		return "unknown"
	}
	if uint32(fs.Type) == unix.BTRFS_SUPER_MAGIC {
		return "btrfs"
	}
	return fmt.Sprintf("type %#x", uint32(fs.Type))
}
