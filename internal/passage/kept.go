package passage

import (
	"context"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/wake"
)

// kept are others' tickets that stay open while their owners are waited for: the
// one that is watched, and the one that is inside. Their entry locks tell even
// when somebody has swept their names away.
type kept struct {
	watched, inside other
}

// find returns the open ticket of that name, or nil.
func (k *kept) find(name string) other {
	for _, o := range []other{k.watched, k.inside} {
		if o != nil && o.Name() == name {
			return o
		}
	}
	return nil
}

func (k *kept) has(o other) bool { return o != nil && (o == k.watched || o == k.inside) }

// put keeps o in one of the two places, and closes what it replaces.
func (k *kept) put(place *other, o other) {
	old := *place
	if old == o {
		return
	}
	*place = o
	if old != nil && !k.has(old) {
		old.Close()
	}
}

func (k *kept) close() {
	k.put(&k.watched, nil)
	k.put(&k.inside, nil)
}

// sweptPoll is how often the locks of a ticket without a name are looked at: no
// event tells of them.
const sweptPoll = 20 * time.Millisecond

// awaitSwept waits until none of the kept tickets' owners is inside that nobody
// else can see any more.
func (k *kept) awaitSwept(ctx context.Context) error {
	for {
		swept, err := k.swept()
		if !swept || err != nil {
			return err
		}
		if err := wake.Sleep(ctx, sweptPoll); err != nil {
			return err
		}
	}
}

// swept reports whether one is inside whose ticket has no name.
func (k *kept) swept() (bool, error) {
	for _, o := range []other{k.inside, k.watched} {
		if o == nil {
			continue
		}
		probe, err := o.Look()
		if err != nil {
			return false, err
		}
		if probe.Nameless && probe.Entry == liveness.Held {
			return true, nil
		}
	}
	return false, nil
}

// leave closes the ticket that was watched, unless its owner is inside.
func (k *kept) leave() {
	if k.watched == nil {
		return
	}
	if held, err := k.watched.Entered(); err == nil && held {
		k.put(&k.inside, k.watched)
	}
	k.put(&k.watched, nil)
}
