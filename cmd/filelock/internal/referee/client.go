package referee

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"sync"
)

// Dial connects to a referee and says hello.
func Dial(ctx context.Context, address, key, role string) (net.Conn, *bufio.Reader, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	if err := json.NewEncoder(conn).Encode(Hello{Key: key, Role: role, Host: host, PID: os.Getpid()}); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, bufio.NewReader(conn), nil
}

// Line is a contender's connection to the referee.
type Line struct {
	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex // for writing
}

// Call connects as a contender and returns when the referee gives the start.
func Call(ctx context.Context, address, key string) (*Line, error) {
	conn, in, err := Dial(ctx, address, key, RoleContender)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var start message
	if err := readLine(in, &start); err != nil {
		conn.Close()
		return nil, err
	}
	return &Line{conn: conn, in: in}, nil
}

// Say tells the referee, and returns when that has put it down.
func (l *Line) Say(what What, text string) error {
	if err := l.Mention(what, text); err != nil {
		return err
	}
	var ok message
	return readLine(l.in, &ok)
}

// Mention tells the referee and does not wait: for Queues, Restarts and Ends.
func (l *Line) Mention(what What, text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return json.NewEncoder(l.conn).Encode(message{What: what, Text: text})
}

// Close ends the connection.
func (l *Line) Close() error { return l.conn.Close() }
