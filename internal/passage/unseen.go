package passage

import (
	"errors"
	"io/fs"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
)

// failurePatience is for how long looks at the ticket ahead may fail, each with
// an error of its own, before the wait ends with that error. A lack of
// descriptors, or a server's hiccup, is mostly over by then.
const failurePatience = 10 * time.Second

// failing is since when the looks at one ticket have failed.
type failing struct {
	name  string
	since time.Time
}

// unseen is a look that failed: nothing is known, so the ticket blocks, and is
// looked at again within the poll interval.
func (p *Passage) unseen(t queue.Ticket, err error) (queue.Ticket, queue.Standing, error) {
	now := time.Now()
	if p.failing.name != t.Name {
		p.failing = failing{name: t.Name, since: now}
	}
	if now.Sub(p.failing.since) > failurePatience && !errors.Is(err, fs.ErrPermission) {
		return t, queue.Final, err
	}
	p.again = true
	return t, queue.Final, nil
}
