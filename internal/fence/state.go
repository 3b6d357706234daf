package fence

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// state is what the name of a record's file says.
type state struct {
	last   uint64 // the token that was taken last
	limit  uint64 // up to which tokens may have been given; not below last
	synced bool   // the disk knows that
}

const unsynced = "unsynced"

// firstState is that of a new record. It begins with the time in microseconds, so
// that the tokens go on growing where an operator has removed a record, unless the
// clock went back too, and so that they fit where others keep numbers as floats.
func firstState(now time.Time) state {
	n := uint64(max(now.UnixMicro(), 0))
	return state{last: n, limit: n}
}

// next returns the state after one more token, its last. quick: what is reserved
// may be used.
func (s state) next(quick bool, span uint64) (state, error) {
	if quick && s.synced && s.last < s.limit {
		return state{last: s.last + 1, limit: s.limit, synced: true}, nil
	}
	if s.limit > math.MaxUint64-span {
		return state{}, fmt.Errorf("%w: no token is left above %d", ErrRecord, s.limit)
	}
	return state{last: s.limit + 1, limit: s.limit + span}, nil
}

func (s state) String() string {
	name := strconv.FormatUint(s.last, 10) + "-" + strconv.FormatUint(s.limit, 10)
	if !s.synced {
		name += "-" + unsynced
	}
	return name
}

// parse reads a name as String writes it.
func parse(name string) (s state, ok bool) {
	last, rest, _ := strings.Cut(name, "-")
	limit, mark, _ := strings.Cut(rest, "-")
	var err1, err2 error
	s.last, err1 = strconv.ParseUint(last, 10, 64)
	s.limit, err2 = strconv.ParseUint(limit, 10, 64)
	s.synced = mark != unsynced
	return s, err1 == nil && err2 == nil && s.last <= s.limit && s.String() == name
}

// highest returns the highest of the states among names. There is one, but where an
// operator has put another beside it.
func highest(names []string) (top state, ok bool) {
	for _, name := range names {
		s, is := parse(name)
		if is && (!ok || s.limit > top.limit || s.limit == top.limit && s.last > top.last) {
			top, ok = s, true
		}
	}
	return top, ok
}
