package queue

import "errors"

// Times are when a directory's entries last changed.
type Times struct{ Modified, Changed Number }

// solitude is what is known of being alone, which costs one look at the
// directory's times to know again: no ticket comes or goes without a change of
// them.
type solitude struct {
	// known: the times were noted before the last listing.
	known bool
	noted Times
	// alone: a listing begun after the times were noted showed nobody else that
	// conflicts.
	alone bool
	// settled: the times lay some ticks of the clock back when that listing
	// began, so that no change since can have left them as they were.
	settled bool
}

// MayRest has the contender notice whether it is alone, so that Rest can be
// called.
func (c *Contender) MayRest() { c.mayRest = true }

// Bind has others asked for others' tickets from now on.
func (c *Contender) Bind(others Others) { c.others = others }

// Doubt has the contender look again whether it is alone, for directories that
// do not show every change by their times.
func (c *Contender) Doubt() { c.settled = false }

// Rest gives up the turn as Leave does, but keeps the ticket, and reports whether
// it did: where it is if nobody else is there that conflicts (R14), or at the tail (R15). Then
// Resume or Leave is next.
func (c *Contender) Rest() (rests bool, err error) {
	switch {
	case !c.mayRest:
		return false, c.dir.Remove()
	case !c.alone:
		return c.passOn(false)
	}
	switch same, err := c.still(); {
	case err != nil:
		return false, c.dir.Remove()
	case !same && !c.marked:
		return c.passOn(false) // somebody is there, and the mark would be for nothing
	}
	if c.dir.Rest() != nil {
		return false, c.dir.Remove()
	}
	c.marked = true
	// Only now: whoever comes later finds the entry lock free, and does not wait
	// for us.
	if alone, err := c.isAlone(); err == nil && alone {
		return true, nil
	}
	return c.passOn(true)
}

// still reports whether nothing has changed since the contender was alone. If
// something has, the ticket may be gone, which must be known before it rests:
// from then on anybody may remove it, and no turn is lost by that.
func (c *Contender) still() (same bool, err error) {
	now, err := c.dir.Times()
	same = err == nil && now == c.noted
	if c.marked && !(same && c.settled) {
		err = c.comeIn()
	}
	return same, err
}

// passOn is R15. It raises the number of the ticket, which is what those behind
// wait for, and has it rest at the tail. left is whether it rests already, so that
// it may be gone.
func (c *Contender) passOn(left bool) (rests bool, err error) {
	n, err := c.dir.Restamp(c.own.Number, true)
	if err == nil {
		c.setOwn(Ticket{Name: c.own.Name, Number: n})
		c.solitude, c.marked = solitude{}, true
		return true, nil
	}
	err = c.dir.Remove()
	if left && errors.Is(err, ErrGone) {
		err = nil
	}
	return false, err
}

// Resume comes back to a resting ticket, and reports whether the contender is
// inside. If not, it has got in line anew, as by Join, and Wait or Try is next:
// to wait with its old number would overtake those who came while it rested.
// After any error the ticket is good for nothing but Leave.
func (c *Contender) Resume() (inside bool, err error) {
	// While it has the entry lock, nobody removes the ticket.
	if c.alone && c.settled {
		if inside, err = c.reenter(); inside || err != nil {
			return inside, err
		}
	}
	if c.alone {
		err = c.comeIn()
	} else {
		_, err = c.dir.Enter()
	}
	if err != nil {
		return false, err
	}
	if c.alone {
		if alone, err := c.isAlone(); alone || err != nil {
			return alone, err
		}
	}
	return false, c.again()
}

// reenter is Resume for one in whose directory nothing has changed, and reports whether
// that is so.
func (c *Contender) reenter() (inside bool, err error) {
	switch number, err := c.dir.Reenter(); {
	case err != nil:
		return false, err
	case number != c.own.Number:
		return false, ErrMoved
	}
	now, err := c.dir.Times()
	return now == c.noted, err
}

// Requeue is Rest and Resume in one, for one who knows that it is not alone and
// wants another turn. It reports whether it got in line anew; if not, Leave is next.
func (c *Contender) Requeue() bool {
	// A marked ticket may rest, and be gone, only when its locks are given up.
	return c.mayRest && (!c.marked || c.comeIn() == nil) && c.again() == nil
}

// again gets in line anew with the ticket that is there.
func (c *Contender) again() error {
	n, err := c.dir.Restamp(c.own.Number, false)
	if err != nil {
		return err
	}
	c.setOwn(Ticket{Name: c.own.Name, Number: n})
	c.setAhead(nil)
	c.setBelow(nil)
	c.solitude, c.marked, c.final, c.passed = solitude{}, false, false, nil
	return nil
}

// isAlone reports whether no ticket conflicts with the own one.
func (c *Contender) isAlone() (bool, error) {
	now, err := c.dir.Times()
	if err != nil {
		return false, err
	}
	if c.alone && c.settled && now == c.noted {
		return true, nil
	}
	_, _, err = c.list()
	return err == nil && !c.crowded, err
}

// note is called before a listing. Who was not alone at the last one will hardly be
// so at this one.
func (c *Contender) note() (err error) {
	c.solitude = solitude{}
	if c.mayRest && !c.crowded {
		if c.noted, err = c.dir.Times(); err == nil {
			c.known, c.settled = true, c.dir.Settled(c.noted)
		}
	}
	return err
}
