//go:build unix

package ticketdir

import (
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
)

// showRenewal checks that a renewal can be seen. Its time is one that differs
// from the creation's even where whole seconds are stored.
func (o *Own) showRenewal(before Beat) error {
	o.times.Lock()
	defer o.times.Unlock()
	if err := o.setTimes(o.number, time.Now().Add(-10*time.Second)); err != nil {
		return err
	}
	st, err := o.unmoved()
	if err == nil && st.beat() == before {
		err = wrap("chtimes", o.Path(), fmt.Errorf("%w: this filesystem shows no renewal of a lease", errors.ErrUnsupported))
	}
	return err
}

// Beat renews the lease once the ticket is settled, and checks that it stands
// as it did: queue.ErrGone, queue.ErrMoved. It writes both times, since a
// filesystem may change the one that is left out, and reads the number back.
// It may be called beside the other methods.
func (o *Own) Beat() error {
	o.times.Lock()
	defer o.times.Unlock()
	if !o.final {
		return nil
	}
	if _, err := o.unmoved(); err != nil {
		return err
	}
	if err := o.setTimes(o.number, time.Now()); err != nil {
		return err
	}
	switch stored, err := o.read(o.name); {
	case err != nil:
		return wrap("stat", o.Path(), err)
	case stored != o.number:
		return queue.ErrMoved
	}
	return nil
}
