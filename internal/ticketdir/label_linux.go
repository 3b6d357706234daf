package ticketdir

import "golang.org/x/sys/unix"

// labelAttribute is the extended attribute of a ticket that holds its owner's label.
const labelAttribute = "user.filelock.label"

func storeLabel(fd int, label string) error {
	return again(func() error { return unix.Fsetxattr(fd, labelAttribute, []byte(label), 0) })
}

// loadLabel returns "" for one that is longer than ours can be: anybody may write
// what he likes to a file of his own.
func loadLabel(fd int) (label string) {
	var text [MaxLabel]byte
	_ = again(func() error {
		n, err := unix.Fgetxattr(fd, labelAttribute, text[:])
		if err == nil {
			label = string(text[:n])
		}
		return err
	})
	return label
}
