package sim

// mutants are the ways to get the algorithm wrong that are known to be wrong.
var mutants = []mutant{
	{
		name: "no raise", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"if top.Number.Compare(c.own.Number) >= 0 {", "if false {"}},
	},
	{
		name: "no raise at a tie", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"if top.Number.Compare(c.own.Number) >= 0 {", "if top.Number.Compare(c.own.Number) > 0 {"}},
	},
	{
		name: "decides by the listing from before the raise", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{`			if _, others, err = c.list(); err != nil {
				return err
			}
`, ""}},
	},
	{
		name: "the number falls while waiting", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"		c.setAhead(remaining)\n", `		lower := Number{Sec: c.own.Number.Sec - 1}
		if lower, err = c.dir.Renumber(lower); err != nil {
			return err
		}
		c.setOwn(Ticket{Name: c.own.Name, Number: lower})
		c.setAhead(remaining)
`}},
	},
	{
		// It is not let in with another number than it knows (R13).
		name: "compares with the number from before the raise", file: "queue.go", mode: Queue, kind: Unexpected,
		edits: []edit{{"			c.setOwn(Ticket{Name: c.own.Name, Number: stored})\n", ""}},
	},
	{
		name: "enters when the watched ticket goes", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"		c.setAhead(remaining)\n", "		c.setAhead(remaining[:0])\n"}},
	},
	{
		name: "waits for the first ticket only", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"	c.setAhead(lower)\n", "	c.setAhead(lower[:min(1, len(lower))])\n"}},
	},
	{
		name: "waits only for those past the doorway", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"case standing == Gone, c.own.Before(now):", "case standing != Final, c.own.Before(now):"}},
	},
	{
		name: "waits for a ticket that has risen", file: "queue.go", mode: Queue, kind: Deadlock,
		edits: []edit{{"case standing == Gone, c.own.Before(now):", "case standing == Gone, c.own.Before(now) && false:"}},
	},
	{
		name: "ties without names", file: "directory.go", mode: Queue, kind: Overlap,
		edits: []edit{{"return strings.Compare(t.Name, u.Name)", "return 0 * strings.Compare(t.Name, u.Name)"}},
	},
	{
		name: "does not look whether what was stored is above", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"		if stored.Compare(top.Number) > 0 {\n", "		if true {\n"}},
	},
	{
		name: "does not read back what was stored", file: "queue.go", mode: Queue, kind: Deadlock,
		edits: []edit{{"		stored, err := c.dir.Renumber(want)\n", "		_, err := c.dir.Renumber(want)\n		stored := want\n"}},
	},
	{
		name: "one step is enough for a raise", file: "queue.go", mode: Queue, kind: Unexpected,
		edits: []edit{{"{1, 100, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second}", "{1}"}},
	},
	{
		name: "raises above the first ticket, not the highest", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"slices.MaxFunc(others, Ticket.Compare)", "slices.MinFunc(others, Ticket.Compare)"}},
	},
	{
		name: "looks before the watch, not after", file: "queue.go", mode: Queue, kind: Deadlock,
		edits: []edit{
			{"c.pass(ctx, c.ahead[n], try, !waited && !last, last || n == 0)", "c.pass(ctx, c.ahead[n], try, false, last || n == 0)"},
			{"			defer watch.Stop()\n			continue\n", "			defer watch.Stop()\n"},
		},
	},
	{
		name: "does not leave", file: "contender.go", mode: Queue, kind: Deadlock,
		edits: []edit{{"{ return c.dir.Remove() }", "{ return nil }"}},
	},
	{
		name: "goes on after the deciding listing failed", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{`			if _, others, err = c.list(); err != nil {
				return err
			}
`, "			_, others, _ = c.list()\n"}},
	},
	{
		name: "goes on after a failed raise", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{`			if err := c.raise(top); err != nil {
				return err
			}
`, "			c.raise(top)\n"}},
	},
	{
		name: "does not settle", file: "queue.go", mode: Queue, kind: Unseen,
		edits: []edit{{"	if err := c.dir.Settle(len(c.ahead) > 0); err != nil {\n		return err\n	}\n", ""}},
	},
	{
		name: "settles as if it did not wait", file: "queue.go", mode: Queue, kind: Unseen,
		edits: []edit{{"c.dir.Settle(len(c.ahead) > 0)", "c.dir.Settle(false)"}},
	},
	{
		name: "settles before it has decided", file: "queue.go", mode: Queue, kind: Unseen,
		edits: []edit{
			{"	c.decide(others)\n	if err", "	if err"},
			{"	c.final = true\n", "	c.decide(others)\n	c.final = true\n"},
		},
	},
	{
		name: "settles before the deciding listing", file: "queue.go", mode: Tries, kind: TryCount,
		edits: []edit{{"	number, others, err := c.list()\n", "	c.dir.Settle(true)\n	number, others, err := c.list()\n"}},
	},
	{
		name: "a try does not wait for the doorway", file: "queue.go", mode: Tries, kind: TryCount,
		edits: []edit{{"case try && standing == Final:", "case try:"}},
	},
	{
		name: "passes the doorway again after a cancel", file: "queue.go", mode: Queue, kind: Overtaken,
		edits: []edit{{"	c.final = true\n", ""}},
	},
	{
		name: "R10: raises without announcing", file: "queue.go", mode: Cached, kind: Overlap,
		edits: []edit{{"			return c.dir.Announce(stored)\n", "			return nil\n"}},
	},
	{
		name: "R10: announces after the deciding listing", file: "queue.go", mode: Cached, kind: Overlap,
		edits: []edit{
			{"			return c.dir.Announce(stored)\n", "			return nil\n"},
			{`			if _, others, err = c.list(); err != nil {
				return err
			}
`, `			if _, others, err = c.list(); err != nil {
				return err
			}
			if err := c.dir.Announce(c.own.Number); err != nil {
				return err
			}
`},
		},
	},
	{
		name: "R12: does not sink", file: "plain.go", mode: Plain, kind: Overlap,
		edits: []edit{{"	if !c.plainPeers {\n", "	if true {\n"}},
	},
	{
		name: "R12: does not list once sunk", file: "plain.go", mode: Plain, kind: Overlap,
		edits: []edit{{`	_, others, err := c.list()
	if err != nil {
		return false, err
	}
	ahead := false
`, "	var others []Ticket\n	ahead := false\n"}},
	},
	{
		name: "R12: stays sunk while it waits", file: "plain.go", mode: Plain, kind: Deadlock,
		edits: []edit{{"	stored, err := c.dir.Renumber(c.own.Number)\n", "	stored, err := c.own.Number, error(nil)\n"}},
	},
	{
		name: "R12: does not decide anew once it rose again", file: "plain.go", mode: Plain, kind: Overlap,
		edits: []edit{{"	c.decide(others)\n	return false, nil\n", "	c.decide(waitFor)\n	return false, nil\n"},
			{"			ahead = ahead || standing != Gone\n", "			if standing != Gone {\n				ahead = true\n				waitFor = append(waitFor, t)\n			}\n"},
			{"	ahead := false\n", "	ahead := false\n	var waitFor []Ticket\n"},
		},
	},
	{
		name: "R12: enters beside a plain one from before", file: "plain.go", mode: Plain, kind: Overlap,
		edits: []edit{{"if t.Plain && t.Before(c.own) {", "if false {"}},
	},
	{
		name: "R12: sinks before it is let in", file: "queue.go", mode: Plain, kind: Overlap,
		edits: []edit{
			{"		if err := c.comeIn(); err != nil {\n			return err\n		}\n", ""},
			{"		if in, err := c.sink(); in || err != nil {\n			return err\n		}\n", `		if in, err := c.sink(); err != nil {
			return err
		} else if in {
			_, err = c.dir.Enter()
			return err
		}
`},
		},
	},
	{
		name: "R14: looks for newcomers while it is inside", file: "rest.go", mode: Queue, kind: Deadlock,
		edits: []edit{{"	if c.dir.Rest() != nil {\n", "	alone, err := c.isAlone()\n	if c.dir.Rest() != nil {\n"},
			{"	if alone, err := c.isAlone(); err == nil && alone {\n		return true, nil", "	if err == nil && alone {\n		return true, nil"}},
	},
	{
		name: "R14: rests without a look for newcomers", file: "rest.go", mode: Queue, kind: Deadlock,
		edits: []edit{{"	if alone, err := c.isAlone(); err == nil && alone {\n		return true, nil", "	if true {\n		return true, nil"}},
	},
	{
		name: "R14: comes back without a look for newcomers", file: "rest.go", mode: Queue, kind: Overtaken,
		edits: []edit{{"		if alone, err := c.isAlone(); alone || err != nil {\n			return alone, err\n		}\n", "		return true, nil\n"}},
	},
	{
		name: "R14: comes back without the entry lock", file: "rest.go", mode: Queue, kind: Overlap,
		edits: []edit{{"		err = c.comeIn()\n	} else {", "		err = nil\n	} else {"}},
	},
	{
		name: "R14: comes back though its ticket is gone", file: "rest.go", mode: Queue, kind: Overlap,
		edits: []edit{{"		err = c.comeIn()\n	} else {", "		if c.comeIn() != nil {\n			return true, nil\n		}\n	} else {"}},
	},
	{
		name: "R14: notes the directory's times after the listing", file: "queue.go", mode: Queue, kind: Overtaken,
		edits: []edit{{`	if err := c.note(); err != nil {
		return Number{}, nil, err
	}
	all, err := c.dir.List()
`, `	all, err := c.dir.List()
	if err := c.note(); err != nil {
		return Number{}, nil, err
	}
`}},
	},
	{
		name: "R14: takes times of the same tick for an answer", file: "rest.go", mode: Queue, kind: Overtaken,
		edits: []edit{{"	if c.alone && c.settled && now == c.noted {", "	if c.alone && now == c.noted {"}},
	},
	{
		name: "R14: takes any times for an answer", file: "rest.go", mode: Queue, kind: Overtaken,
		edits: []edit{{"	if c.alone && c.settled && now == c.noted {", "	if _ = now; c.alone && c.settled {"}},
	},
	{
		name: "R14: rests though its ticket may be gone", file: "rest.go", mode: Queue, kind: Unexpected,
		edits: []edit{{"	if left && errors.Is(err, ErrGone) {", "	if false && errors.Is(err, ErrGone) {"}},
	},
	{
		name: "R15: gets in line with its old number", file: "rest.go", mode: Queue, kind: Overtaken,
		edits: []edit{{"	n, err := c.dir.Restamp(c.own.Number, false)\n	if err != nil {\n		return err\n	}\n", "	n := c.own.Number\n"}},
	},
	{
		name: "R15: gets in line without the doorway", file: "rest.go", mode: Queue, kind: Overlap,
		edits: []edit{{"c.solitude, c.marked, c.final, c.passed = solitude{}, false, false, nil", "c.solitude, c.marked, c.passed = solitude{}, false, nil"}},
	},
	{
		name: "R15: gets in line without the entry lock", file: "rest.go", mode: Queue, kind: Unexpected,
		edits: []edit{{"		_, err = c.dir.Enter()\n", "		err = nil\n"}},
	},
	{
		name: "R15: comes in by its entry lock alone", file: "rest.go", mode: Queue, kind: Overlap,
		edits: []edit{{"		_, err = c.dir.Enter()\n", "		_, err = c.dir.Enter()\n		if err == nil {\n			return true, nil\n		}\n"}},
	},
	{
		name: "kinds: readers and writers do not conflict", file: "directory.go", mode: Queue, kind: Overlap,
		edits: []edit{{"{ return !t.Shared || !u.Shared }", "{ return !t.Shared && !u.Shared }"}},
	},
	{
		name: "kinds: a writer passes readers", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"	c.setAhead(lower)\n", "	c.setAhead(slices.DeleteFunc(lower, func(t Ticket) bool { return t.Shared }))\n"}},
	},
	{
		name: "kinds: a reader passes writers", file: "directory.go", mode: Queue, kind: Overlap,
		edits: []edit{{"{ return !t.Shared || !u.Shared }", "{ return !t.Shared }"}},
	},
	{
		name: "kinds: a reader passes waiting writers", file: "queue.go", mode: Queue, kind: Overtaken,
		edits: []edit{{"		case standing == AtRest:\n", "		case c.shared && standing == Final && len(c.below) > 0:\n			return moved, false, nil\n		case standing == AtRest:\n"}},
	},
	{
		name: "kinds: readers wait for readers", file: "directory.go", mode: Tries, kind: TryCount,
		edits: []edit{{"{ return !t.Shared || !u.Shared }", "{ return true }"}},
	},
	{
		name: "kinds: raises above its own kind only", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{
			{"	if len(others) > 0 {\n", "	if same := slices.DeleteFunc(slices.Clone(others), func(t Ticket) bool { return t.Shared != c.shared }); len(same) > 0 {\n"},
			{"slices.MaxFunc(others, Ticket.Compare)", "slices.MaxFunc(same, Ticket.Compare)"},
		},
	},
	{
		name: "kinds: caches, and raises above its own kind only", file: "queue.go", mode: Cached, kind: Overlap,
		edits: []edit{
			{"	if len(others) > 0 {\n", "	if same := slices.DeleteFunc(slices.Clone(others), func(t Ticket) bool { return t.Shared != c.shared }); len(same) > 0 {\n"},
			{"slices.MaxFunc(others, Ticket.Compare)", "slices.MaxFunc(same, Ticket.Compare)"},
		},
	},
	{
		name: "kinds: a writer rests alone beside readers", file: "queue.go", mode: Queue, kind: Deadlock,
		edits: []edit{{"slices.ContainsFunc(others, c.own.Conflicts)", "slices.ContainsFunc(others, func(t Ticket) bool { return !t.Shared })"}},
	},
	{
		name: "kinds: a reader rests alone beside writers", file: "queue.go", mode: Queue, kind: Deadlock,
		edits: []edit{{"slices.ContainsFunc(others, c.own.Conflicts)", "slices.ContainsFunc(others, func(t Ticket) bool { return t.Shared || !c.shared })"}},
	},
	{
		name: "kinds: a reader comes back past writers", file: "rest.go", mode: Queue, kind: Overtaken,
		edits: []edit{{"		if alone, err := c.isAlone(); alone || err != nil {\n", "		if alone, err := c.isAlone(); alone || err != nil || c.shared {\n			alone = alone || err == nil\n"}},
	},
	{
		name: "kinds: R12: a reader does not sink", file: "plain.go", mode: Plain, kind: Overlap,
		edits: []edit{{"	if !c.plainPeers {\n", "	if !c.plainPeers || c.shared {\n"}},
	},
	{
		name: "R13: does not enter", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"	now, err := c.dir.Enter()\n", "	now, err := c.own.Number, error(nil)\n"}},
	},
	{
		name: "R13: enters before its turn", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{
			{"		if err := c.comeIn(); err != nil {\n			return err\n		}\n", ""},
			{"	for {\n		if err := c.passAll", "	if err := c.comeIn(); err != nil {\n		return err\n	}\n	for {\n		if err := c.passAll"},
		},
	},
	{
		name: "R13: goes on though its ticket is gone", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"	now, err := c.dir.Enter()\n", "	now, err := c.dir.Enter()\n	if err == ErrGone {\n		return nil\n	}\n"}},
	},
	{
		name: "R13: goes on though its number was changed", file: "queue.go", mode: Queue, kind: Overlap,
		edits: []edit{{"		err = ErrMoved\n", "		err = nil\n"}},
	},
}
