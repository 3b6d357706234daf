package network_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// dying is how long a contender that was killed may seem to be inside: until
// its connection's end has come here.
const dying = 500 * time.Millisecond

// referee keeps the score, on the first machine. Each contender has a connection
// to it and says when it comes in and goes out.
type referee struct {
	mu       sync.Mutex
	inside   map[net.Conn]bool
	dead     map[net.Conn]bool
	holds    int
	overlaps int
	barriers map[string][]net.Conn
	tally    map[string]int
}

func newReferee(address string) (*referee, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	r := &referee{inside: map[net.Conn]bool{}, dead: map[net.Conn]bool{}, barriers: map[string][]net.Conn{}, tally: map[string]int{}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r, nil
}

// serve answers each line of one contender with "ok" or a number.
func (r *referee) serve(conn net.Conn) {
	defer conn.Close()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.inside, conn)
		r.dead[conn] = true
	}()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "in":
			r.in(conn)
			fmt.Fprintln(conn, "ok")
		case "out":
			r.out(conn)
			fmt.Fprintln(conn, "ok")
		case "count":
			r.mu.Lock()
			r.tally[rest]++
			r.mu.Unlock()
			fmt.Fprintln(conn, "ok")
		case "tally":
			r.mu.Lock()
			fmt.Fprintln(conn, r.tally[rest])
			r.mu.Unlock()
		case "meet": // name and number of those who are to meet
			name, n := rest, 0
			fmt.Sscanf(rest, "%s %d", &name, &n)
			r.meet(conn, name, n)
		case "score":
			r.mu.Lock()
			fmt.Fprintf(conn, "%d %d\n", r.holds, r.overlaps)
			r.holds, r.overlaps = 0, 0
			r.mu.Unlock()
		}
	}
}

func (r *referee) in(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds++
	for other := range r.inside {
		time.AfterFunc(dying, func() { r.accuse(other) })
	}
	r.inside[conn] = true
}

// accuse counts an overlap if another, who was inside when somebody came in,
// has not been found dead meanwhile.
func (r *referee) accuse(other net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dead[other] {
		r.overlaps++
	}
}

func (r *referee) out(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inside, conn)
}

// meet answers all n when the last of them has come.
func (r *referee) meet(conn net.Conn, name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.barriers[name] = append(r.barriers[name], conn)
	if len(r.barriers[name]) == n {
		for _, c := range r.barriers[name] {
			fmt.Fprintln(c, "ok")
		}
		delete(r.barriers, name)
	}
}
