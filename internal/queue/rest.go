package queue

import "errors"

// Times are when a directory's entries last changed.
type Times struct{ Modified, Changed Number }

// solitude is what is known of being alone, which costs one look at the
// directory's times to know again: no ticket comes or goes without a change of
// them.
type solitude struct {
	noted Times
	// alone: a listing begun after the times were noted showed nobody else.
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
func (c *Contender) Doubt() { c.solitude = solitude{} }

// Rest is R14. It gives up the turn as Leave does, but keeps the ticket if
// nobody else is there, and reports whether it did. Then Resume or Leave is
// next.
func (c *Contender) Rest() (rests bool, err error) {
	// First, whether the ticket was ours until now (ErrGone): anybody may remove it
	// once it rests.
	if !c.mayMark() || c.dir.Rest() != nil {
		return false, c.dir.Remove()
	}
	// Only now: whoever comes later finds the entry lock free, and does not wait
	// for us.
	if alone, err := c.isAlone(); alone && err == nil {
		c.rested = true
		return true, nil
	}
	if err = c.dir.Remove(); errors.Is(err, ErrGone) {
		err = nil
	}
	return false, err
}

// mayMark reports whether the ticket is there and worth resting: those who know
// of others are spared the marking.
func (c *Contender) mayMark() bool {
	if !c.mayRest || !c.alone && !c.rested {
		return false
	}
	now, err := c.dir.Times()
	same := err == nil && c.alone && now == c.noted
	if c.rested && !(same && c.settled) {
		return c.comeIn() == nil
	}
	return same
}

// Resume comes back to a resting ticket. It returns nil when the contender is
// inside. After any error the ticket is good for nothing but Leave: to wait with
// its old number would overtake those who came while it rested.
func (c *Contender) Resume() error {
	if err := c.comeIn(); err != nil {
		return err
	}
	alone, err := c.isAlone()
	if err == nil && !alone {
		err = ErrGone
	}
	return err
}

// isAlone reports whether the own ticket is the only one.
func (c *Contender) isAlone() (bool, error) {
	now, err := c.dir.Times()
	if err != nil {
		return false, err
	}
	if c.alone && c.settled && now == c.noted {
		return true, nil
	}
	_, others, err := c.list()
	return err == nil && len(others) == 0, err
}

// note is called before a listing.
func (c *Contender) note() (err error) {
	c.solitude = solitude{}
	if c.mayRest {
		if c.noted, err = c.dir.Times(); err == nil {
			c.settled = c.dir.Settled(c.noted)
		}
	}
	return err
}
