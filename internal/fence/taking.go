package fence

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// open opens the record, and makes it if it never was.
func (r *Record) open() error {
	if r.opened {
		return nil
	}
	err := r.dir.open()
	if errors.Is(err, fs.ErrNotExist) {
		if r.given > 0 {
			return r.lostError("was removed")
		}
		if err = r.dir.make(firstState(time.Now()).String()); err == nil {
			err = r.dir.open()
		}
	}
	if err != nil {
		return err
	}
	r.opened, r.watched, r.seen = true, false, false
	register(r)
	r.at("opened")
	return nil
}

// state returns the record's state, which may have moved on by now.
func (r *Record) state() (state, error) {
	if r.seen {
		return r.known, nil
	}
	names, err := r.dir.list()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return state{}, err
	}
	r.at("listed")
	now, ok := highest(names)
	switch {
	case !ok:
		// It may be empty because it was removed, and another one may be there by now.
		r.shut()
		return state{}, fmt.Errorf("%w (%w): %s: no file of the form <last>-<limit> is in it; %s", ErrRecord, errEmpty, r.path, r.remedy())
	case now.limit < r.given:
		return state{}, r.lostError(fmt.Sprintf("went back to %d", now.limit))
	case now.last < r.given:
		r.watched = false // as if it had been opened now
	}
	r.known, r.seen = now, true
	return now, nil
}

// move takes the record from a state that was seen to another one.
func (r *Record) move(from, to state) error {
	err := r.dir.move(from.String(), to.String())
	if err == nil {
		r.known, r.seen = to, true
		r.at("moved")
		return nil
	}
	r.seen = false
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.standing(); err != nil {
		return err
	}
	return errAgain
}

// settle makes a reservation outlast a loss of power, and then tells others so.
func (r *Record) settle(reserved state) error {
	if err := r.dir.sync(!r.watched); err != nil {
		return err
	}
	r.at("synced")
	r.watched = true
	if !r.alone() {
		return nil // nobody goes by it
	}
	settled := reserved
	settled.synced = true
	if err := r.move(reserved, settled); err != nil && !errors.Is(err, errAgain) {
		return err
	}
	r.at("settled")
	return nil
}

// standing returns errAgain if the path names another directory by now, or none,
// and closes the one that was open.
func (r *Record) standing() error {
	switch ok, err := r.dir.stands(); {
	case err != nil:
		return err
	case !ok:
		r.shut()
		return errAgain
	}
	return nil
}

func (r *Record) shut() {
	if r.opened {
		r.dir.close()
		r.opened = false
		unregister(r)
	}
}

// lostError says what happened to a record from which this process has tokens.
func (r *Record) lostError(what string) error {
	return fmt.Errorf("%w: %s %s, but token %d has been given; %s", ErrRecord, r.path, what, r.given, r.remedy())
}

// remedy says how to go on above the tokens that were given.
func (r *Record) remedy() string {
	to := "<n>-<n>, where n is above all tokens that were given"
	if r.given > 0 {
		n := r.given + 1<<20
		to = fmt.Sprintf("%d-%d, or one above all tokens that were given", n, n)
	}
	return fmt.Sprintf("leave exactly one empty file in it, named %s", to)
}
