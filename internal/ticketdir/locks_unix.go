//go:build unix

package ticketdir

import "golang.org/x/sys/unix"

// refused reports whether err says that somebody else has a lock. EACCES is how
// SMB says it.
func refused(err error) bool { return err == unix.EAGAIN || err == unix.EACCES }

// noLocks reports whether err says that this filesystem has no locks, now, or
// this process none: a sandbox may not know the calls.
func noLocks(err error) bool {
	return err == unix.ENOLCK || err == unix.EOPNOTSUPP || err == unix.ENOTSUP || err == unix.ENOSYS || err == unix.EINVAL
}
