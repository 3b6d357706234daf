package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

func sample(overlaps ...time.Duration) Timeline {
	t := Timeline{Title: "title", Verdict: "verdict", Length: 100 * ms, Overlaps: overlaps}
	for i := range 3 {
		r := Row{Name: "vm 12"}
		for at := time.Duration(i) * 2 * ms; at < 95*ms; at += 6 * ms {
			r.Uses = append(r.Uses, Use{Asked: at, Entered: at + ms, Left: at + 2*ms})
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

// parse reads a picture and returns how often each element is there.
func parse(t *testing.T, picture []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(picture)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
}

func TestTimeline(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, sample().Draw(&b))
	text := b.String()
	require.NotZero(t, parse(t, b.Bytes())["svg"])
	require.Contains(t, text, `rx="8" fill="`+paper+`"`, "it has a background")
	require.Equal(t, 6, strings.Count(text, `<path fill="`+blue+`"`), "a row's holds in each panel")
	require.Equal(t, 6, strings.Count(text, `<path fill="`+amber+`"`))
	require.Equal(t, 1, strings.Count(text, `fill="`+red+`"`), "in the legend only")

	b.Reset()
	require.NoError(t, sample(50*ms).Draw(&b))
	require.Equal(t, 4, strings.Count(b.String(), `fill="`+red+`"`), "the verdict, the legend, and a mark in each panel")
}

// TestTimelinePlaces: a hold is drawn where it was.
func TestTimelinePlaces(t *testing.T) {
	r := Row{Uses: []Use{{Asked: 10 * ms, Entered: 20 * ms, Left: 30 * ms}, {Asked: 40 * ms}}}
	at := func(d time.Duration) float64 { return float64(d / ms) }
	waits, holds := r.intervals(0, 100*ms, 90*ms, at)
	require.Equal(t, []interval{{10, 20}, {40, 90}}, waits, "one that never came in waits to the end")
	require.Equal(t, []interval{{20, 30}}, holds)
	waits, holds = r.intervals(32*ms, 38*ms, 90*ms, at)
	require.Empty(t, waits)
	require.Empty(t, holds)
}

func TestTimelinePart(t *testing.T) {
	from, to := sample().part()
	require.Zero(t, from)
	require.Less(t, to, 100*ms)
	from, to = sample(90 * ms).part()
	require.Less(t, from, 90*ms)
	require.GreaterOrEqual(t, to, 90*ms)
	from, to = Timeline{Length: ms}.part()
	require.Equal(t, [2]time.Duration{0, ms}, [2]time.Duration{from, to})
}

// TestEmpty: nothing to draw is drawn as nothing.
func TestEmpty(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Timeline{}.Draw(&b))
	parse(t, b.Bytes())
	b.Reset()
	require.NoError(t, Times{}.Draw(&b))
	parse(t, b.Bytes())
	require.NotContains(t, b.String(), "NaN")
}

// TestNamesOfOthers: a host's name may be anything.
func TestNamesOfOthers(t *testing.T) {
	s := sample()
	s.Rows[0].Name = "<script>\x1b[31m\x00&\"" + strings.Repeat("x", 100)
	var b bytes.Buffer
	require.NoError(t, s.Draw(&b))
	require.Zero(t, parse(t, b.Bytes())["script"])
	require.NotContains(t, b.String(), "\x1b")
}

func TestTimes(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Times{Title: "bench", Measures: []Measure{{Name: "free", P50: 2 * time.Microsecond, P99: 20 * time.Microsecond, Note: "n"}}}.Draw(&b))
	count := parse(t, b.Bytes())
	require.NotZero(t, count["rect"])
	require.Contains(t, b.String(), "1 µs")
	require.Contains(t, b.String(), "100 µs")
	require.NotContains(t, b.String(), "NaN")
}

func TestMerge(t *testing.T) {
	require.Equal(t, []interval{{1, 3}, {5, 5.5}}, merge([]interval{{1, 2}, {2.2, 3}, {5, 5}}, .5))
	require.Empty(t, merge(nil, .5))
}

func TestStep(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{
		8 * time.Second: time.Second, 5 * time.Second: time.Second, 100 * ms: 20 * ms, 0: 1, 3: 1,
	} {
		require.Equal(t, want, step(length, 8), "%v", length)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestDrawFails(t *testing.T) {
	require.ErrorIs(t, sample().Draw(full{}), io.ErrShortWrite)
}
