package local_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/turn"
)

const testBatch = time.Millisecond

// read begins to acquire as a reader, and returns when that blocks or ends.
func read(l *local.Line, w *world) *acquiring {
	a := beginAs(l, &attempt{w: w, shared: true, batch: testBatch})
	synctest.Wait()
	return a
}

func try(l *local.Line, w *world, shared bool) (*attempt, turn.Passage, error) {
	a := &attempt{w: w, shared: shared, batch: testBatch}
	p, err := l.Try(context.Background(), a)
	return a, p, err
}

// TestReadersTogether: who stands behind a reader that leads comes in with it, by one
// place, which is left by the last of them.
func TestReadersTogether(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		other := w.other() // place 1
		a, b, c := read(l, w), read(l, w), read(l, w)
		for _, r := range []*acquiring{a, b, c} {
			r.mustWait(t)
		}
		assert.Equal(t, []int{1, 2}, w.queue())
		other.Leave()
		w.history()
		for _, r := range []*acquiring{a, b, c} {
			r.mustHold(t, 2)
		}
		release(t, l, b, testBatch)
		release(t, l, a, testBatch)
		assert.Empty(t, w.history())
		release(t, l, c, testBatch)
		assert.Equal(t, []string{"leave 2"}, w.history())
	})
}

// TestLateReader joins those inside within the batch. After that it has a place of its
// own beside theirs, so that the turn of the first ends, however many come.
func TestLateReader(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a := read(l, w)
		time.Sleep(testBatch - 1)
		b := read(l, w)
		b.mustHold(t, 1)
		time.Sleep(time.Nanosecond)
		c := read(l, w)
		c.mustHold(t, 2)
		d := read(l, w)
		d.mustHold(t, 2) // whose batch has begun just now
		release(t, l, a, testBatch)
		release(t, l, b, testBatch)
		assert.Equal(t, []int{2}, w.queue())

		other := w.other() // a writer of another process, place 3
		time.Sleep(testBatch)
		e := read(l, w)
		e.mustWait(t)
		release(t, l, c, testBatch)
		release(t, l, d, testBatch)
		e.mustWait(t)
		other.Leave()
		e.mustHold(t, 4)
		release(t, l, e, testBatch)
	})
	t.Run("no batch", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a := read(l, w)
			b := beginAs(l, &attempt{w: w, shared: true})
			b.mustHold(t, 2)
			release(t, l, a, 0)
			release(t, l, b, 0)
		})
	})
	t.Run("not what is lost", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.lost = func(p *place) bool { return p.id == 1 }
			a, b := read(l, w), read(l, w)
			b.mustHold(t, 2)
			assert.ErrorIs(t, l.Release(a.place, testBatch), errLost)
			release(t, l, b, testBatch)
		})
	})
}

// TestLostParty: all of them learn of it.
func TestLostParty(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a, b := read(l, w), read(l, w)
		w.lost = func(p *place) bool { return p.id == 1 }
		assert.ErrorIs(t, l.Release(a.place, testBatch), turn.ErrLost)
		assert.ErrorIs(t, l.Release(b.place, testBatch), errLost)
	})
}

// TestLostPartyUnnoticed: where nothing watches a turn, each reader that leaves looks for
// itself, and so learns of a loss that nobody knew of.
func TestLostPartyUnnoticed(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		looks := 0
		w.standing = func(p *place) error {
			looks++
			assert.Zero(t, l.Waiting(), "the line can be used meanwhile")
			return nil
		}
		a, b, c, d := read(l, w), read(l, w), read(l, w), read(l, w)
		release(t, l, a, testBatch)
		assert.Equal(t, 1, looks)
		w.standing = func(*place) error { return turn.ErrLost }
		assert.ErrorIs(t, l.Release(b.place, testBatch), turn.ErrLost)
		assert.ErrorIs(t, l.Bequeath(c.place.(turn.Bequeather)), turn.ErrLost)
		w.standing = func(*place) error { return errFault }
		w.history()
		release(t, l, d, testBatch) // the last one learns of it by leaving
		assert.Equal(t, []string{"bequeath 1"}, w.history())
		time.Sleep(2 * inheritance)
	})
	t.Run("others leave meanwhile", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a, b, c := read(l, w), read(l, w), read(l, w)
			w.standing = func(*place) error {
				w.standing = nil
				release(t, l, b, testBatch)
				release(t, l, c, testBatch)
				assert.Equal(t, []int{1}, w.queue(), "one is inside still")
				return nil
			}
			w.history()
			release(t, l, a, testBatch)
			assert.Equal(t, []string{"leave 1"}, w.history())
		})
	})
	t.Run("nobody answers", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a, b := read(l, w), read(l, w)
			answer := make(chan struct{})
			w.standing = func(*place) error { <-answer; return nil }
			began := time.Now()
			assert.ErrorIs(t, l.Release(a.place, testBatch), turn.ErrUnanswered)
			assert.Equal(t, 5*time.Second, time.Since(began), "as long as leaving may take")
			close(answer)
			synctest.Wait()
			w.standing = nil
			release(t, l, b, testBatch)
			assert.Empty(t, w.queue())
		})
	})
}

// TestUnansweredTogether: where nobody answers, readers that leave at once all return in the
// time that leaving may take, the last one too, and the turn is given up in the end.
func TestUnansweredTogether(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		const patience = 5 * time.Second
		answer := make(chan struct{})
		w.standing = func(*place) error { <-answer; return nil }
		w.onLeave = func(*place) {
			select {
			case <-answer:
			case <-time.After(patience):
			}
		}
		readers := []*acquiring{read(l, w), read(l, w), read(l, w)}
		writer := acquire(l, w)
		began := time.Now()
		var all sync.WaitGroup
		for _, r := range readers {
			all.Go(func() { assert.ErrorIs(t, l.Release(r.place, testBatch), turn.ErrUnanswered) })
		}
		all.Wait()
		assert.Equal(t, patience, time.Since(began))
		writer.mustWait(t)
		close(answer)
		synctest.Wait()
		w.standing, w.onLeave = nil, nil
		writer.mustHold(t, 2)
		release(t, l, writer, 0)
	})
}

// TestReport: ahead is what the front says, if there is one, and who is ahead in this process.
func TestReport(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, world *world) {
		assert.Equal(t, turn.Report{Ahead: 2}, l.Report(2), "nobody is there")
		a := acquire(l, world)
		a.mustHold(t, 1)
		want := a.place.Report()
		assert.Equal(t, want, l.Report(0))
		want.Ahead += 2
		assert.Equal(t, want, l.Report(2))
		release(t, l, a, 0)
		assert.Equal(t, turn.Report{}, l.Report(0), "it has left")
	})
}

// TestPlaces: of a writer all are ahead who stand before it, of a reader the writers.
func TestPlaces(t *testing.T) {
	const r, w = true, false
	for name, tt := range map[string]struct {
		holder bool // of the line; another process is before it
		line   []bool
		want   []int
	}{
		"writers":         {w, []bool{w, w, w}, []int{0, 1, 2, 3}},
		"readers":         {r, []bool{r, r, r}, []int{0, 0, 0, 0}},
		"behind a reader": {r, []bool{r, w, r, w, r}, []int{0, 0, 2, 1, 4, 2}},
		"behind a writer": {w, []bool{r, r, w, r, w}, []int{0, 1, 1, 3, 2, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *local.Line, world *world) {
				other := world.other() // place 1
				var all []*acquiring
				for _, shared := range append([]bool{tt.holder}, tt.line...) {
					all = append(all, beginAs(l, &attempt{w: world, shared: shared}))
					synctest.Wait()
				}
				var ahead []int
				front := l.Places(func(a local.Attempt, n int) {
					assert.Same(t, all[len(ahead)].attempt, a)
					ahead = append(ahead, n)
				})
				assert.Equal(t, 2, front.(*place).id)
				assert.Equal(t, tt.want, ahead)

				// A try, and who gives up, are told the same.
				last := all[len(all)-1]
				want := ahead[len(ahead)-1]
				if slices.Contains(tt.line, w) { // else it would wait for its own ticket
					tries := want
					if !last.shared {
						tries++
					}
					b, _, err := try(l, world, last.shared)
					assert.ErrorIs(t, err, turn.ErrBusy)
					assert.Equal(t, []string{fmt.Sprintf("place 2, %d ahead", tries)}, b.behind)
				}
				last.cancel()
				last.mustFail(t, context.Canceled)
				assert.Equal(t, []string{fmt.Sprintf("place 2, %d ahead", want)}, last.behind)

				other.Leave()
				for _, a := range all[:len(all)-1] {
					synctest.Wait()
					require.True(t, a.done.Load())
					release(t, l, a, 0)
				}
			})
		})
	}
}

// TestWriterAmongReaders: it takes its place while readers are inside, and from then on
// readers stand behind it, in a batch or not.
func TestWriterAmongReaders(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a, b := read(l, w), read(l, w)
		writer := acquire(l, w)
		writer.mustWait(t)
		assert.Equal(t, []int{1, 2}, w.queue())
		c, d := read(l, w), read(l, w)
		second := acquire(l, w)
		e := read(l, w)
		for _, r := range []*acquiring{c, d, second, e} {
			r.mustWait(t)
		}
		release(t, l, a, testBatch)
		writer.mustWait(t)
		release(t, l, b, testBatch)
		writer.mustHold(t, 2)
		w.history()

		// The place of a writer serves no reader, batch or not: the next place is
		// taken before it is left.
		release(t, l, writer, time.Hour)
		c.mustHold(t, 3)
		d.mustHold(t, 3)
		second.mustWait(t)
		e.mustWait(t)
		assert.Equal(t, []string{"join 3", "leave 2", "wait 3", "join 4", "wait 4"}, w.history())
		release(t, l, c, testBatch)
		release(t, l, d, testBatch)
		second.mustHold(t, 4)
		e.mustWait(t)
		release(t, l, second, 0)
		e.mustHold(t, 5)
		release(t, l, e, testBatch)
	})
}

// TestRequeueServesItsKind: the tail's place is of the kind of the turn that was
// exchanged for it.
func TestRequeueServesItsKind(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		w.requeues = func(*place) bool { return true }
		a, b, c := acquire(l, w), acquire(l, w), read(l, w)
		w.history()
		w.onRequeued = func() { giveUpFirst(l, b) }
		release(t, l, a, 0)
		b.mustFail(t, context.Canceled)
		c.mustHold(t, 2)
		assert.Equal(t, []string{"requeue 1", "leave 1", "join 2", "wait 2"}, w.history())
		release(t, l, c, 0)
	})
	t.Run("not for a reader", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.requeues = func(*place) bool { return true }
			a, b := acquire(l, w), read(l, w)
			release(t, l, a, 0)
			b.mustHold(t, 2)
			release(t, l, b, 0)
		})
	})
}

// giveUpFirst cancels one of two goroutines in the line, and returns when it is out.
func giveUpFirst(l *local.Line, a *acquiring) {
	a.cancel()
	for l.Waiting() > 1 {
		time.Sleep(time.Nanosecond)
	}
}

// TestPlaceOfAnotherKind: who leads and gives up leaves its place to the next one only
// if that is of its kind.
func TestPlaceOfAnotherKind(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second bool
		want          int
	}{
		"writer, writer": {false, false, 2},
		"writer, reader": {false, true, 3},
		"reader, reader": {true, true, 2},
		"reader, writer": {true, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *local.Line, w *world) {
				other := w.other() // place 1
				a := beginAs(l, &attempt{w: w, shared: tt.first})
				a.mustWait(t)
				b := beginAs(l, &attempt{w: w, shared: tt.second})
				b.mustWait(t)
				a.cancel()
				a.mustFail(t, context.Canceled)
				b.mustWait(t)
				assert.Equal(t, []int{1, tt.want}, w.queue())
				other.Leave()
				b.mustHold(t, tt.want)
				release(t, l, b, 0)
			})
		})
	}
}

// TestReaderGivesUp as it is let in: the others stay inside.
func TestReaderGivesUp(t *testing.T) {
	for name, cancelFirst := range map[string]bool{"cancel first": true, "turn first": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *local.Line, w *world) {
				other := w.other()
				a, b, c := read(l, w), read(l, w), read(l, w)
				if cancelFirst {
					b.cancel()
					other.Leave()
				} else {
					other.Leave()
					b.cancel()
				}
				synctest.Wait()
				a.mustHold(t, 2)
				c.mustHold(t, 2)
				if b.err == nil {
					release(t, l, b, testBatch)
				}
				release(t, l, a, testBatch)
				assert.Equal(t, []int{2}, w.queue())
				release(t, l, c, testBatch)
			})
		})
	}
}

// TestTryOfReader: it comes in beside readers, and jumps no writer, in this process or
// another one.
func TestTryOfReader(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a := read(l, w)
		_, p, err := try(l, w, true)
		require.NoError(t, err)
		require.Same(t, a.place, p, "within the batch it joins")
		require.NoError(t, l.Release(p, testBatch))

		time.Sleep(testBatch)
		_, p, err = try(l, w, true)
		require.NoError(t, err)
		require.NotSame(t, a.place, p)

		// A writer is told at once.
		w.history()
		b, _, err := try(l, w, false)
		assert.ErrorIs(t, err, turn.ErrBusy)
		assert.Equal(t, []string{"place 1, 2 ahead"}, b.behind)
		assert.Empty(t, w.history())

		writer := acquire(l, w)
		writer.mustWait(t)
		b, _, err = try(l, w, true)
		assert.ErrorIs(t, err, turn.ErrBusy, "a writer leads")
		assert.Equal(t, []string{"place 3, 1 ahead"}, b.behind)

		require.NoError(t, l.Release(p, testBatch))
		release(t, l, a, testBatch)
		writer.mustHold(t, 3)
		_, _, err = try(l, w, true)
		assert.ErrorIs(t, err, turn.ErrBusy, "a writer is inside")
		release(t, l, writer, testBatch)
	})
}

// TestTryBesideLeader: a reader that tries while another one leads has a place of its
// own, and so is refused only for what is in the way of both.
func TestTryBesideLeader(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		w.onJoin = func(*place) {
			w.onJoin = nil
			_, p, err := try(l, w, true)
			require.NoError(t, err)
			require.NoError(t, l.Release(p, testBatch))
		}
		a := read(l, w)
		a.mustHold(t, 1)
		release(t, l, a, testBatch)
	})
	t.Run("a writer waits behind the leader", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			other := w.other()
			a, writer := read(l, w), acquire(l, w)
			_, _, err := try(l, w, true)
			assert.ErrorIs(t, err, turn.ErrBusy)
			other.Leave()
			a.mustHold(t, 2)
			release(t, l, a, testBatch)
			writer.mustHold(t, 3)
			release(t, l, writer, testBatch)
		})
	})
	t.Run("it fails", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.onJoin = func(*place) {
				w.onJoin = nil
				w.failWait = func(p *place) error { return turn.ErrBusy }
				_, p, err := try(l, w, true)
				assert.ErrorIs(t, err, turn.ErrBusy)
				assert.Nil(t, p)
				w.failWait = nil
			}
			a := read(l, w)
			a.mustHold(t, 1)
			release(t, l, a, testBatch)
		})
	})
}

// TestRestIsAwaited: while the last reader leaves nobody leads, so that who comes
// meanwhile can come back to a ticket that rests; with a writer that leads already it
// leaves beside that.
func TestRestIsAwaited(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a := read(l, w)
		var late *acquiring
		w.onLeave = func(*place) {
			w.onLeave = nil
			late = beginAs(l, &attempt{w: w, shared: true, batch: testBatch})
			for l.Waiting() == 0 {
				time.Sleep(time.Nanosecond)
			}
		}
		w.history()
		release(t, l, a, testBatch)
		late.mustHold(t, 2)
		assert.Equal(t, []string{"leave 1", "join 2", "wait 2"}, w.history())
		release(t, l, late, testBatch)
	})
}
