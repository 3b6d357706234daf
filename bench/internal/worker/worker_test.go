package worker

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

func start(t *testing.T, n int) *Fleet {
	t.Helper()
	f, err := Start(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestLoop(t *testing.T) {
	f := start(t, 2)
	path := filepath.Join(t.TempDir(), "target")
	begin := time.Now().Add(20 * time.Millisecond)
	var jobs []*Job
	for i, w := range f.Workers {
		jobs = append(jobs, must[*Job](t)(w.Loop(Loop{
			Rival: "filelock", Path: path, ID: i, Goroutines: 2,
			Start: begin.UnixNano(), End: begin.Add(50 * time.Millisecond).UnixNano(),
		})))
	}
	for _, j := range jobs {
		var r LoopResult
		if err := j.Report(&r); err != nil {
			t.Fatal(err)
		}
		if len(r.Acquired) != 2 || r.Acquired[0]+r.Acquired[1] == 0 || r.Waits.N == 0 {
			t.Errorf("result %+v", r)
		}
	}
	if f.Overlaps.Load() != 0 || f.Handoffs.Load() == 0 {
		t.Errorf("%d overlaps, %d hand-offs", f.Overlaps.Load(), f.Handoffs.Load())
	}
}

func TestHoldWaitRelease(t *testing.T) {
	f := start(t, 2)
	path := filepath.Join(t.TempDir(), "target")
	hold := must[*Job](t)(f.Workers[0].Hold(Hold{Rival: "gofrs", Path: path}))
	for f.Held.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	wait := must[*Job](t)(f.Workers[1].Once(Once{Rival: "gofrs", Path: path, At: []int64{0}}))
	time.Sleep(20 * time.Millisecond)
	if f.Done.Load() != 0 {
		t.Fatal("the waiter is through")
	}
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}
	var left Passage
	var got []Passage
	if err := hold.Report(&left); err != nil {
		t.Fatal(err)
	}
	if err := wait.Report(&got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Got < left.Left {
		t.Errorf("released at %d, got at %+v", left.Left, got)
	}
}

func TestRing(t *testing.T) {
	for _, poller := range []bool{false, true} {
		f := start(t, 3)
		for range 2 {
			begin := time.Now().Add(10 * time.Millisecond)
			var jobs []*Job
			for i, w := range f.Workers {
				jobs = append(jobs, must[*Job](t)(w.Ring(Ring{
					First: i == 0, Poller: poller,
					Start: begin.UnixNano(), End: begin.Add(20 * time.Millisecond).UnixNano(),
				})))
			}
			var first float64
			for _, j := range jobs {
				var r RingResult
				if err := j.Report(&r); err != nil {
					t.Fatal(err)
				}
				if first == 0 {
					first = r.Turns
				}
				if r.Turns == 0 || r.Turns != first {
					t.Errorf("turns %v, the first process's %v", r.Turns, first)
				}
			}
		}
	}
}

func TestKill(t *testing.T) {
	f := start(t, 1)
	if _, err := f.Workers[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.Restart(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Workers[0].Memory(); err != nil {
		t.Fatal(err)
	}
}

func TestAccount(t *testing.T) {
	w := start(t, 1).Workers[0]
	must[Memory](t)(w.Memory())
	if must[time.Duration](t)(w.CPU()) <= 0 {
		t.Error("no CPU time")
	}
	for name, v := range map[string]int{
		"switches":    must[int](t)(w.Switches()),
		"threads":     must[int](t)(w.Threads()),
		"descriptors": must[int](t)(w.Descriptors()),
		"resident":    must[int](t)(w.Resident()),
	} {
		if v <= 0 {
			t.Errorf("%s: %d", name, v)
		}
	}
}
