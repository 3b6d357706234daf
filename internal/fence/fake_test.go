package fence

import (
	"fmt"
	"io/fs"
	"slices"
)

// disk is a record's directory in memory, which loses what was not synced when the
// power goes. All processes of a simulation share it.
type disk struct {
	names []string
	born  bool
	// states are the directory's contents from the last sync on, that one first: any
	// of them may be found after a loss of power.
	states [][]string
	moves  int
}

// save notes a change.
func (d *disk) save() { d.states = append(d.states, slices.Clone(d.names)) }

// lose is a loss of power, after which what was there after that many changes since
// the last sync is found.
func (d *disk) lose(after int) {
	d.names = slices.Clone(d.states[after])
	d.born = len(d.names) > 0
	d.states = [][]string{slices.Clone(d.names)}
}

// faults are ways to get it wrong, which the simulation must notice.
type faults struct {
	blindWrites bool // a rename succeeds from whatever state
	noSync      bool // a sync does nothing
	earlyMark   bool // what is not synced is not marked so
}

// fake is a process's way to a disk. step is called before each thing that it does.
type fake struct {
	*disk
	faults
	step func(what string)
}

func (f *fake) open() error {
	if f.born { // and for ever, so that it makes no difference when
		return nil
	}
	f.step("open")
	if !f.born {
		return fs.ErrNotExist
	}
	return nil
}

func (f *fake) make(first string) error {
	f.step("make")
	if !f.born {
		f.born, f.names = true, []string{first}
		f.save()
	}
	return nil
}

func (f *fake) list() ([]string, error) {
	f.step("list")
	return slices.Clone(f.names), nil
}

func (f *fake) move(from, to string) error {
	f.step("move")
	if f.earlyMark {
		s, _ := parse(to)
		s.synced = true
		to = s.String()
		if f.names[0] == to {
			return nil
		}
	}
	i := slices.Index(f.names, from)
	switch {
	case i >= 0:
		f.names[i] = to
	case f.blindWrites:
		f.names = []string{to}
	default:
		return fs.ErrNotExist
	}
	f.moves++
	f.save()
	return nil
}

func (f *fake) sync(bool) error {
	f.step("sync")
	if !f.noSync {
		f.states = [][]string{slices.Clone(f.names)}
	}
	return nil
}

func (f *fake) stands() (bool, error) { return true, nil }

func (f *fake) close() {}

func (d *disk) String() string { return fmt.Sprint(d.names) }
