package stats

import "math/bits"

const (
	fine    = 4 // bits: each power of two has 16 buckets, so the error is 3 %
	buckets = (64 - fine) << fine
)

// Histogram counts durations in nanoseconds. The zero value is empty and ready
// to use. Only the buckets in use are encoded.
type Histogram struct {
	Counts  map[int]uint64 `json:"counts"`
	N       uint64         `json:"n"`
	Longest int64          `json:"longest"`

	dense []uint64 // while adding
}

// Add counts one duration.
func (h *Histogram) Add(ns int64) {
	if h.dense == nil {
		h.dense = make([]uint64, buckets)
	}
	h.dense[bucket(ns)]++
	h.N++
	h.Longest = max(h.Longest, ns)
}

// Seal moves what was added to where it is encoded from.
func (h *Histogram) Seal() {
	if h.Counts == nil {
		h.Counts = map[int]uint64{}
	}
	for i, n := range h.dense {
		if n > 0 {
			h.Counts[i] += n
		}
	}
	h.dense = nil
}

// Merge adds all of another, sealed one.
func (h *Histogram) Merge(o Histogram) {
	h.Seal()
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.N += o.N
	h.Longest = max(h.Longest, o.Longest)
}

// Quantile returns the q-quantile in nanoseconds, 0 of nothing.
func (h *Histogram) Quantile(q float64) float64 {
	h.Seal()
	rank := uint64(q * float64(h.N))
	var seen uint64
	for i := range buckets {
		if seen += h.Counts[i]; seen > rank {
			return middle(i)
		}
	}
	return float64(h.Longest)
}

// CDF returns the points of the cumulative distribution: nanoseconds, and the
// part that was no longer.
func (h *Histogram) CDF() (ns, part []float64) {
	h.Seal()
	var seen uint64
	for i := range buckets {
		if n := h.Counts[i]; n > 0 {
			seen += n
			ns = append(ns, middle(i))
			part = append(part, float64(seen)/float64(h.N))
		}
	}
	return ns, part
}

func bucket(ns int64) int {
	v := uint64(max(ns, 0))
	if v < 1<<fine {
		return int(v)
	}
	shift := bits.Len64(v) - fine - 1
	return shift<<fine + int(v>>shift)
}

// middle is the inverse of bucket.
func middle(i int) float64 {
	if i < 2<<fine {
		return float64(i)
	}
	shift := i>>fine - 1
	low := uint64(i-shift<<fine) << shift
	return float64(low) + float64(uint64(1)<<shift)/2
}
