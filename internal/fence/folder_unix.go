//go:build unix

package fence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// groupAndOthers are the permissions that let others than the owner write.
const groupAndOthers = 0o022

// share lets all change a new record who may change the directory that it is in,
// and so may queue for the lock, whatever the umask says. It is never sticky, or else
// each user could take only the first token after its own. What cannot be set is
// missed by those who lack it, whose acquisitions fail with that error.
func share(record, parent string) {
	info, err := os.Stat(parent)
	if err != nil {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = os.Chown(record, -1, int(st.Gid))
	}
	mode := info.Mode().Perm() | 0o700
	if own, err := os.Stat(record); err == nil {
		mode |= own.Mode() & fs.ModeSetgid // as it was inherited
	}
	_ = os.Chmod(record, mode)
}

// unsafeFor says why a record must not be used in a directory: somebody may change
// it who may not queue.
func unsafeFor(record, parent fs.FileInfo) (why string) {
	if more := record.Mode().Perm() & groupAndOthers &^ parent.Mode().Perm(); more != 0 {
		return fmt.Sprintf("more may write to it (%v) than to the directory that it is in (%v)", record.Mode().Perm(), parent.Mode().Perm())
	}
	r, ok1 := record.Sys().(*syscall.Stat_t)
	p, ok2 := parent.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || parent.Mode().Perm()&groupAndOthers != 0 {
		return ""
	}
	if uid := int(r.Uid); uid != 0 && uid != os.Geteuid() && r.Uid != p.Uid {
		return fmt.Sprintf("it belongs to user %d, who may not write to the directory that it is in", uid)
	}
	return ""
}

func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func cannotSync(error) bool { return false }
