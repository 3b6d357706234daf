package report

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Filesystem is one that was worked in.
type Filesystem struct {
	Name    string // in the tables: disk, tmpfs
	Kind    string
	Journal string // ext4's: "yes" or "no", "" where it is not known
}

// kinds are the names for statfs's numbers.
var kinds = map[uint32]string{
	unix.EXT4_SUPER_MAGIC:      "ext4",
	unix.XFS_SUPER_MAGIC:       "xfs",
	unix.BTRFS_SUPER_MAGIC:     "btrfs",
	unix.F2FS_SUPER_MAGIC:      "f2fs",
	unix.TMPFS_MAGIC:           "tmpfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.NFS_SUPER_MAGIC:       "nfs",
	unix.FUSE_SUPER_MAGIC:      "fuse",
}

// FilesystemAt looks at the filesystem of a directory.
func FilesystemAt(name, dir string) Filesystem {
	f := Filesystem{Name: name, Kind: "unknown"}
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return f
	}
	magic := uint32(st.Type)
	f.Kind = cmp.Or(kinds[magic], fmt.Sprintf("of type %#x", magic))
	if magic == unix.EXT4_SUPER_MAGIC {
		f.Journal = ext4Journal(dir)
	}
	return f
}

// ext4Journal looks for the option in effect that only a journal has. ext2 and
// ext3 have ext4's number; where ext4 does not serve them there is nothing to
// look at.
func ext4Journal(dir string) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	dev := uint64(st.Dev)
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(dev), unix.Minor(dev)))
	if err != nil {
		return ""
	}
	options, err := os.ReadFile(filepath.Join("/proc/fs/ext4", filepath.Base(device), "options"))
	switch {
	case err != nil:
		return ""
	case strings.Contains("\n"+string(options), "\ndata="):
		return "yes"
	default:
		return "no"
	}
}

func (f Filesystem) String() string {
	switch f.Journal {
	case "yes":
		return f.Name + " is " + f.Kind + " with a journal"
	case "no":
		return f.Name + " is " + f.Kind + " without a journal"
	default:
		return f.Name + " is " + f.Kind
	}
}

// filesystemsText says what the names of filesystems in the tables stand for.
func filesystemsText(fs []Filesystem) string {
	if len(fs) == 0 {
		return ""
	}
	var names []string
	unjournalled := false
	for _, f := range fs {
		names = append(names, f.String())
		unjournalled = unjournalled || f.Journal == "no"
	}
	text := "In the tables " + strings.Join(names, ", ") + ".\n"
	if unjournalled {
		text += ext4Text
	}
	return text + "\n"
}

const ext4Text = `Without a journal ext4 does not use a deleted file's inode again until the deletion
is written to the disk, some half a minute later, but looks for another one: the
creation of a file takes longer the more were deleted of late, by anybody.
`
