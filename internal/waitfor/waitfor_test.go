package waitfor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// process is one that is inside of some queues and waits in others, each named by a letter.
func process(pid int, inside, waits string) Process {
	p := Process{PID: pid, Mounts: 1}
	add := func(letters string, state State) {
		for _, letter := range letters {
			q := Queue{"/d", ticket.Prefix(string(letter))}
			n := ticket.Name{Host: "h", PID: pid, Nonce: fmt.Sprintf("%032d", pid), Place: 1}
			p.Tickets = append(p.Tickets, Ticket{Queue: q, File: n.Format(q.Prefix), Name: n, PID: pid, State: state})
		}
	}
	add(inside, Inside)
	add(waits, Waiting)
	return p
}

// heir makes a process have what another one has.
func heir(p, of Process) Process {
	for _, t := range of.Tickets {
		if t.State == Inside {
			t.PID = p.PID
			p.Tickets = append(p.Tickets, t)
		}
	}
	return p
}

func TestCircles(t *testing.T) {
	elsewhere := process(2, "b", "a")
	elsewhere.Mounts = 2
	other := process(2, "b", "a")
	for i := range other.Tickets {
		other.Tickets[i].Name.Place = 5
	}
	idle := process(2, "b", "a")
	idle.Tickets[1].State = Idle
	run := process(3, "a", "")
	tests := []struct {
		name string
		all  []Process
		want []string
	}{
		{"nobody", nil, nil},
		{"a chain", []Process{process(1, "a", "b"), process(2, "b", "c"), process(3, "c", "")}, nil},
		{"two", []Process{process(1, "a", "b"), process(2, "b", "a")}, []string{
			"pid 1 waits for /d/b, which pid 2 holds while it waits for /d/a, which pid 1 holds",
		}},
		{"three, and one who only waits", []Process{process(1, "x", "a"), process(2, "a", "b"), process(3, "b", "c"), process(4, "c", "a")}, []string{
			"pid 2 waits for /d/b, which pid 3 holds while it waits for /d/c, which pid 4 holds while it waits for /d/a, which pid 2 holds",
		}},
		{"the shortest", []Process{process(1, "a", "bc"), process(2, "b", "c"), process(3, "c", "a")}, []string{
			"pid 1 waits for /d/c, which pid 3 holds while it waits for /d/a, which pid 1 holds",
		}},
		{"two circles", []Process{process(1, "a", "b"), process(2, "b", "a"), process(3, "c", "d"), process(4, "d", "c")}, []string{
			"pid 1 waits for /d/b, which pid 2 holds while it waits for /d/a, which pid 1 holds",
			"pid 3 waits for /d/d, which pid 4 holds while it waits for /d/c, which pid 3 holds",
		}},
		{"goroutines of one process", []Process{process(1, "a", "a")}, nil},
		{"one that has inherited what it waits for", []Process{heir(process(1, "", "a"), run), run}, []string{
			"pid 1 waits for /d/a, which it has inherited itself",
		}},
		{"heirs", []Process{heir(process(1, "", "b"), run), process(2, "b", "a"), run}, []string{
			"pid 1 waits for /d/b, which pid 2 holds while it waits for /d/a, which pid 1 holds",
		}},
		{"paths that mean something else there", []Process{process(1, "a", "b"), elsewhere}, nil},
		{"another filesystem", []Process{process(1, "a", "b"), other}, nil},
		{"one in its doorway", []Process{process(1, "a", "b"), idle}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, c := range Circles(test.all) {
				require.False(t, c.Certain)
				got = append(got, c.Text(Queue.Target))
			}
			for i := range test.want {
				test.want[i] = "may be a deadlock: " + test.want[i]
			}
			require.Equal(t, test.want, got)
		})
	}
}

// TestKeyOfCircle: the key is of these very waits and holds.
func TestKeyOfCircle(t *testing.T) {
	circle := func(change func([]Process)) string {
		all := []Process{process(1, "a", "b"), process(2, "b", "a")}
		change(all)
		return Circles(all)[0].Key
	}
	same := circle(func([]Process) {})
	require.Equal(t, same, circle(func([]Process) {}))
	for p := range 2 {
		for i := range 2 {
			require.NotEqual(t, same, circle(func(all []Process) { all[p].Tickets[i].Number = queue.Number{Nsec: 1} }))
			require.NotEqual(t, same, circle(func(all []Process) { all[p].Tickets[i].File += "x" }))
		}
	}
}

func TestCertainCircle(t *testing.T) {
	c := Circle{Certain: true, Steps: []Step{{"an owner", Queue{"/d", "a.lock."}}, {"another", Queue{"/d", "b.lock."}}}}
	require.Equal(t, "deadlock: an owner waits for a, which another holds while it waits for b, which an owner holds",
		c.Text(func(q Queue) string { return q.Prefix[:1] }))
}
