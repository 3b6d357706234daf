package queue

import (
	"cmp"
	"math"
	"time"
)

// Number is a ticket's number: the modification time of its file.
//
// It is seconds and nanoseconds rather than one int64 of nanoseconds, which
// ends in 2262: filesystems store times far beyond that, and a planted ticket
// may carry one.
type Number struct {
	Sec  int64 // since the Unix epoch, negative before it
	Nsec int32 // 0 to 999,999,999
}

// Compare returns -1, 0 or +1 as n is below, equal to or above m.
func (n Number) Compare(m Number) int {
	return cmp.Or(cmp.Compare(n.Sec, m.Sec), cmp.Compare(n.Nsec, m.Nsec))
}

// Add returns n+d for d >= 0. It reports false where no number is that high.
func (n Number) Add(d time.Duration) (Number, bool) {
	sec, nsec := int64(d/time.Second), n.Nsec+int32(d%time.Second)
	if nsec >= 1e9 {
		sec, nsec = sec+1, nsec-1e9
	}
	if n.Sec > math.MaxInt64-sec {
		return Number{}, false
	}
	return Number{n.Sec + sec, nsec}, true
}

// Max returns the higher of n and m.
func (n Number) Max(m Number) Number {
	if n.Compare(m) < 0 {
		return m
	}
	return n
}

// Time returns n as a wall-clock time, for display.
func (n Number) Time() time.Time { return time.Unix(n.Sec, int64(n.Nsec)) }
