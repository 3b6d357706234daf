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

// awaitSwept waits until the owners of the kept tickets have left, if these were
// removed by somebody else: then no listing shows them any more.
//
// The holder's locks tell when it has left. Those of a waiter tell when it starts
// anew, which it does only after it has waited in the same way: so who has but a
// waiter's ticket waits for the holder, too.
func (k *kept) awaitSwept(ctx context.Context) error {
	for _, o := range []other{k.inside, k.watched} {
		for o != nil {
			now, err := o.Look()
			if err != nil {
				return err
			}
			if !now.Nameless || now.Entry != liveness.Held && now.Witness != liveness.Held {
				break
			}
			if err := wake.Sleep(ctx, sweptPoll); err != nil {
				return err
			}
		}
	}
	return nil
}
