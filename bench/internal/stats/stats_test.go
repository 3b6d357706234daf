package stats

import (
	"math"
	"testing"
)

func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-9
}

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		xs   []float64
		q    float64
		want float64
	}{
		{nil, 0.5, math.NaN()},
		{[]float64{7}, 0.5, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{1, 2, 3, 4, 5}, 1, 5},
		{[]float64{1, 2, 3, 4, 5}, 0, 1},
		{[]float64{0, 10}, 0.9, 9},
	} {
		if got := Quantile(c.xs, c.q); !near(got, c.want) {
			t.Errorf("Quantile(%v, %v) = %v, want %v", c.xs, c.q, got, c.want)
		}
	}
}

func TestRatios(t *testing.T) {
	got := Ratios([]float64{2, 9, 5, 1}, []float64{1, 3, 0})
	if len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Errorf("Ratios = %v, want [2 3]", got)
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		shares       []float64
		jain, spread float64
	}{
		{[]float64{5, 5, 5, 5}, 1, 0},
		{[]float64{8, 0, 0, 0}, 0.25, 3},
		{[]float64{9, 11}, 400.0 / (2 * 202), 0.1},
		{[]float64{0, 0}, math.NaN(), math.NaN()},
	} {
		if got := Jain(c.shares); !near(got, c.jain) {
			t.Errorf("Jain(%v) = %v, want %v", c.shares, got, c.jain)
		}
		if got := Spread(c.shares); !near(got, c.spread) {
			t.Errorf("Spread(%v) = %v, want %v", c.shares, got, c.spread)
		}
	}
}

func TestInversions(t *testing.T) {
	for _, c := range []struct {
		came, served []int64
		want         int
	}{
		{nil, nil, 0},
		{[]int64{10, 20, 30}, []int64{1, 2, 3}, 0},
		{[]int64{10, 20, 30}, []int64{3, 2, 1}, 3},
		{[]int64{30, 20, 10}, []int64{3, 2, 1}, 0},
		{[]int64{10, 20, 30, 40}, []int64{1, 3, 2, 4}, 1},
		{[]int64{10, 20}, []int64{5, 5}, 0},
		{[]int64{10, 14, 30}, []int64{3, 2, 1}, 2},
	} {
		if got := Inversions(c.came, c.served, 5); got != c.want {
			t.Errorf("Inversions(%v, %v) = %d, want %d", c.came, c.served, got, c.want)
		}
	}
}

func TestHistogramBuckets(t *testing.T) {
	for _, ns := range []int64{0, 1, 15, 16, 17, 31, 32, 33, 1000, 1023, 1024, 123_456_789, math.MaxInt64} {
		got := middle(bucket(ns))
		if math.Abs(got-float64(ns)) > 0.035*float64(ns) {
			t.Errorf("bucket of %d has its middle at %v", ns, got)
		}
	}
	if b := bucket(math.MaxInt64); b >= buckets {
		t.Errorf("bucket of the longest is %d of %d", b, buckets)
	}
	if bucket(-5) != 0 {
		t.Errorf("a negative duration is in bucket %d", bucket(-5))
	}
}

func TestHistogram(t *testing.T) {
	var a, b Histogram
	for i := range int64(900) {
		a.Add(1000 + i)
	}
	for range 100 {
		b.Add(1_000_000)
	}
	b.Seal()
	a.Merge(b)
	if a.N != 1000 || a.Longest != 1_000_000 {
		t.Fatalf("N %d, longest %d", a.N, a.Longest)
	}
	if got := a.Quantile(0.5); math.Abs(got-1500) > 50 {
		t.Errorf("median %v, want about 1500", got)
	}
	if got := a.Quantile(0.95); math.Abs(got-1e6) > 35e3 {
		t.Errorf("p95 %v, want about 1e6", got)
	}
	if _, part := a.CDF(); part[len(part)-1] != 1 {
		t.Errorf("the distribution ends at %v", part[len(part)-1])
	}
}
