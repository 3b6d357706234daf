// Package stats holds the statistics of the benchmarks. It is pure.
package stats

import (
	"math"
	"slices"
)

// Median returns the middle of xs, or the mean of the two middle ones, and NaN
// of nothing. It leaves xs as it is.
func Median(xs []float64) float64 { return Quantile(xs, 0.5) }

// Quantile returns the q-quantile of xs (0 to 1), interpolated between the
// nearest two, and NaN of nothing. It leaves xs as it is.
func Quantile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(xs))
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// Ratios divides round by round. Rounds that one side lacks are left out.
func Ratios(over, under []float64) []float64 {
	var r []float64
	for i := range min(len(over), len(under)) {
		if under[i] != 0 {
			r = append(r, over[i]/under[i])
		}
	}
	return r
}

// Jain returns Jain's fairness index of the shares: 1 if all are equal, 1/n if
// one has everything, NaN if there is nothing to share.
func Jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// Spread returns how far the worst-off of the shares is from their mean, as a
// part of the mean, and NaN if there is nothing to share.
func Spread(shares []float64) float64 {
	var sum float64
	for _, x := range shares {
		sum += x
	}
	mean := sum / float64(len(shares))
	worst := 0.0
	for _, x := range shares {
		worst = max(worst, math.Abs(x-mean)/mean)
	}
	return worst
}

// Inversions counts the pairs that were served in another order than they
// came, apart from those that came less than tie apart.
func Inversions(came, served []int64, tie int64) (n int) {
	for i := range came {
		for j := range came {
			if came[j]-came[i] >= max(tie, 1) && served[j] < served[i] {
				n++
			}
		}
	}
	return n
}
