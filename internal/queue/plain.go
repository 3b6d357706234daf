package queue

// sink is R12. It reports whether the contender is in; if not, a plain ticket
// from before is ahead, and the tickets ahead have been decided anew.
func (c *Contender) sink() (in bool, err error) {
	if !c.plainPeers {
		return true, nil
	}
	if _, err := c.dir.Renumber(Number{}); err != nil {
		return false, err
	}
	_, others, err := c.list()
	if err != nil {
		return false, err
	}
	ahead := false
	for _, t := range others {
		if t.Plain && t.Before(c.own) {
			_, standing, err := c.others.Look(t, false)
			if err != nil {
				return false, err
			}
			ahead = ahead || standing != Gone
		}
	}
	if !ahead {
		return true, nil
	}
	stored, err := c.dir.Renumber(c.own.Number)
	if err == nil && stored != c.own.Number {
		err = ErrMoved
	}
	if err != nil {
		return false, err
	}
	// Those who arrived meanwhile saw the epoch and may have ended below.
	if _, others, err = c.list(); err != nil {
		return false, err
	}
	c.decide(others)
	return false, nil
}
