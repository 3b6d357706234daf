package sim

import (
	"math/rand/v2"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
)

// clock stamps new tickets.
type clock struct {
	kind clockKind
	tick time.Duration
	now  queue.Number
}

type clockKind int

const (
	frozen  clockKind = iota // all tickets tie
	ticking                  // coarse, never back
	steppy                   // ticks, and steps back and forth now and then
	chaotic                  // anything, anew for each ticket
	clockKinds
)

var start = queue.Number{Sec: 1_700_000_000}

// read returns the time and moves the clock on.
func (c *clock) read(rng *rand.Rand) queue.Number {
	switch c.kind {
	case ticking:
		if rng.IntN(2) == 0 {
			c.now = plus(c.now, c.tick)
		}
	case steppy:
		switch rng.IntN(4) {
		case 0:
			c.now = plus(c.now, c.tick)
		case 1:
			step := time.Duration(1) << rng.IntN(62)
			c.now = plus(c.now, []time.Duration{step, -step}[rng.IntN(2)])
		}
	case chaotic:
		if rng.IntN(8) == 0 {
			c.now = queue.Number{Sec: rng.Int64N(1<<40) - 1<<39, Nsec: int32(rng.IntN(1e9))}
			break
		}
		c.now = plus(start, time.Duration(rng.IntN(5)-2)*c.tick)
	}
	return c.now
}

// plus adds a duration of either sign.
func plus(n queue.Number, d time.Duration) queue.Number {
	sec, nsec := n.Sec+int64(d/time.Second), n.Nsec+int32(d%time.Second)
	switch {
	case nsec >= 1e9:
		sec, nsec = sec+1, nsec-1e9
	case nsec < 0:
		sec, nsec = sec-1, nsec+1e9
	}
	return queue.Number{Sec: sec, Nsec: nsec}
}

// cut is what a directory keeps of a time that counts in units.
func cut(n queue.Number, unit time.Duration) queue.Number {
	if unit < time.Second {
		n.Nsec -= n.Nsec % int32(unit)
		return n
	}
	whole := int64(unit / time.Second)
	n.Sec -= ((n.Sec % whole) + whole) % whole
	n.Nsec = 0
	return n
}
