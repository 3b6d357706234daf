//go:build unix

package ticketdir

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// Renumber sets both times, since some filesystems change the one that is left
// out, and reads back what was kept.
func (o *Own) Renumber(n queue.Number) (queue.Number, error) {
	o.times.Lock()
	defer o.times.Unlock()
	if err := o.setTimes(n, time.Now()); err != nil {
		return queue.Number{}, err
	}
	o.stale = true
	number, err := o.read(o.name)
	if err != nil {
		return queue.Number{}, wrap("stat", o.Path(), err)
	}
	o.number = number
	o.waited = o.waited || o.final
	return number, nil
}

func (o *Own) setTimes(n queue.Number, accessed time.Time) error {
	return o.setBoth(numberAt(accessed), n)
}

// setTimes is a variable for the tests of filesystems that do not keep them.
var setTimes = chtimes

func (o *Own) setBoth(accessed, modified queue.Number) error {
	err := setTimes(o.h.fd, o.name, accessed, modified)
	if err == unix.ENOENT {
		return queue.ErrGone
	}
	return wrap("chtimes", o.Path(), err)
}
