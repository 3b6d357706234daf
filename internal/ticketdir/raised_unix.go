//go:build unix

package ticketdir

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Announce makes the entry that carries the raised number in its name. Being a
// change of the directory of our own, it makes the next listing fresh.
func (o *Own) Announce(n queue.Number) error {
	if o.h.oneKernel() {
		return nil
	}
	name := ticket.Raised(o.name, n)
	if err := o.touch(name); err != nil {
		return err
	}
	o.raised = append(o.raised, name)
	return nil
}

// touch makes an entry that is nobody's yet: a raised one's name can be foreseen,
// and what another user has planted there might block, or be removed by him.
// With a new ticket the name is another one.
func (o *Own) touch(name string) error {
	const flags = unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd, err := openat(o.h.fd, name, flags, uint32(o.q.Mode.Perm()))
	switch {
	case err == unix.EEXIST:
		return fmt.Errorf("%w: %w", queue.ErrGone, wrap("create", o.path(name), err))
	case err != nil:
		return wrap("create", o.path(name), err)
	}
	unix.Close(fd)
	o.changes++
	o.stale = false
	return nil
}

// scratch changes the directory and leaves it as it was.
func (o *Own) scratch() error {
	name := o.q.newScratch()
	if err := o.touch(name); err != nil {
		return err
	}
	if err := unlinkat(o.h.fd, name); err != nil && err != unix.ENOENT {
		return wrap("remove", o.path(name), err)
	}
	return nil
}

// sighting is when a piece of litter was first seen.
type sighting struct {
	at      time.Time
	changes int
}

// scratchLife is far more than a scratch entry is there for, unless its owner
// has died.
const scratchLife = time.Second

// sweep removes litter that this listing and the one before have shown. Of a
// raised entry one listing is no proof that it has no ticket: both may have been
// created while it ran, and only the entry seen. Nor are two of the same cache.
func (o *Own) sweep(l litter) {
	if len(l.orphans)+len(l.scratches) == 0 {
		o.seen = nil
		return
	}
	now := sighting{time.Now(), o.changes}
	before := o.seen
	o.seen = make(map[string]sighting, len(l.orphans)+len(l.scratches))
	sweep := func(names []string, over func(first sighting) bool) {
		for _, name := range names {
			first, ok := before[name]
			switch {
			case !ok:
				o.seen[name] = now
			case !over(first):
				o.seen[name] = first
			default:
				_ = unlinkat(o.h.fd, name)
			}
		}
	}
	sweep(l.orphans, func(first sighting) bool { return now.changes > first.changes })
	sweep(l.scratches, func(first sighting) bool { return now.at.Sub(first.at) >= scratchLife })
}
