package referee

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Roles of those who connect.
const (
	RoleContender = "contender"
	RoleAgent     = "agent" // serves the referee's questions about the filesystem
	RoleHost      = "host"  // starts contenders and an agent on another host
)

// Hello is the first line of every connection.
type Hello struct {
	Key  string
	Role string
	Host string
	PID  int
}

// message is a line of a contender's, and the answer to it.
type message struct {
	What What
	Text string `json:",omitempty"`
}

// Server is the referee. Those who connect must know its key, so that nobody else
// can change the score.
type Server struct {
	listener net.Listener
	key      string
	// Meet is called for each connection that is no contender's, on a goroutine of
	// its own. The connection is closed when it returns.
	meet func(Hello, net.Conn, *bufio.Reader)

	mu      sync.Mutex
	began   time.Time
	history History
	ready   int
	gone    int
	changed chan struct{} // closed and made anew when ready grows
	start   chan struct{} // closed at the start
	ended   chan struct{} // closed by Close
	conns   map[net.Conn]bool
	closed  bool
	serving sync.WaitGroup
}

// Listen starts a referee at an address, such as "127.0.0.1:0". An empty key stands for
// one that nobody can guess.
func Listen(address, key string, meet func(Hello, net.Conn, *bufio.Reader)) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if key == "" {
		var random [8]byte
		if _, err := rand.Read(random[:]); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		key = hex.EncodeToString(random[:])
	}
	s := &Server{
		listener: l, key: key, meet: meet,
		changed: make(chan struct{}), start: make(chan struct{}), ended: make(chan struct{}), conns: map[net.Conn]bool{},
	}
	s.serving.Go(s.accept)
	return s, nil
}

// Address and Key are what others need to connect.
func (s *Server) Address() string { return s.listener.Addr().String() }

func (s *Server) Key() string { return s.key }

// lastWord is how long what is still to be said to those who are connected may take.
const lastWord = 5 * time.Second

// Close hears nobody any more, and returns when nobody is served any more: those who
// are just being told something get that.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	close(s.ended)
	for c := range s.conns {
		_ = c.SetReadDeadline(time.Now())
		_ = c.SetWriteDeadline(time.Now().Add(lastWord))
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			conn.Close()
			return
		}
		s.conns[conn] = true
		s.serving.Go(func() { s.serve(conn) })
		s.mu.Unlock()
	}
}

// introduction is how long one who connects may take to say who it is.
const introduction = 10 * time.Second

func (s *Server) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
	}()
	in := bufio.NewReader(conn)
	var hello Hello
	s.mu.Lock()
	if !s.closed {
		_ = conn.SetReadDeadline(time.Now().Add(introduction))
	}
	s.mu.Unlock()
	if err := readLine(in, &hello); err != nil || subtle.ConstantTimeCompare([]byte(hello.Key), []byte(s.key)) != 1 {
		return
	}
	s.mu.Lock()
	if !s.closed {
		_ = conn.SetReadDeadline(time.Time{})
	}
	s.mu.Unlock()
	if hello.Role != RoleContender {
		s.meet(hello, conn, in)
		return
	}
	s.contender(hello, conn, in)
}

// contender notes what a contender tells, and acknowledges it.
func (s *Server) contender(hello Hello, conn net.Conn, in *bufio.Reader) {
	s.mu.Lock()
	who := len(s.history.Contenders)
	s.history.Contenders = append(s.history.Contenders, Contender{Host: hello.Host, PID: hello.PID})
	s.ready++
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.gone++
	}()
	select {
	case <-s.start:
	case <-s.ended:
		return
	}
	out := json.NewEncoder(conn)
	if out.Encode(message{}) != nil {
		return
	}
	for {
		var m message
		if err := readLine(in, &m); err != nil {
			s.note(who, message{What: Vanishes})
			return
		}
		s.note(who, m)
		if m.What == Ends {
			return
		}
		if m.acknowledged() && out.Encode(message{}) != nil {
			return
		}
	}
}

// acknowledged reports whether who says it waits for an answer. The places in the
// queue are told by the way: that one is noted late only leaves an order unknown.
func (m message) acknowledged() bool { return m.What != Queues && m.What != Restarts }

func (s *Server) note(who int, m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history.Events = append(s.history.Events, Event{At: time.Since(s.began), Who: who, What: m.What, Text: m.Text})
}

// Await waits until n contenders are there.
func (s *Server) Await(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		ready, changed := s.ready, s.changed
		s.mu.Unlock()
		if ready >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d contenders came: %w", ready, n, context.Cause(ctx))
		}
	}
}

// Start lets the contenders begin. It is called once.
func (s *Server) Start() {
	s.mu.Lock()
	s.began = time.Now()
	s.mu.Unlock()
	close(s.start)
}

// Gone returns how many contenders have ended, one way or another.
func (s *Server) Gone() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// History returns what was told so far.
func (s *Server) History() History {
	s.mu.Lock()
	defer s.mu.Unlock()
	return History{
		Contenders: append([]Contender(nil), s.history.Contenders...),
		Events:     append([]Event(nil), s.history.Events...),
	}
}

// maxLine is more than anybody has to say.
const maxLine = 64 << 10

func readLine(in *bufio.Reader, to any) error {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return json.Unmarshal(line, to)
		case !errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine:
			return err
		}
	}
}
