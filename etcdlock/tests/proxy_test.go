package tests

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between clients and a server. While it is cut it swallows nothing and
// passes nothing on: as on a network where packets are lost, both sides wait, and what
// was on its way arrives afterwards.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	cond  sync.Cond
	isCut bool
	over  bool
	conns []net.Conn
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, to: to}
	p.cond.L = &p.mu
	var all sync.WaitGroup
	all.Go(func() { p.accept(&all) })
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		p.over = true
		p.cond.Broadcast()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		all.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) cut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = cut
	p.cond.Broadcast()
}

func (p *proxy) accept(all *sync.WaitGroup) {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.to)
		if err != nil {
			from.Close()
			continue
		}
		if !p.keep(from, to) {
			return
		}
		all.Go(func() { p.pass(from, to) })
		all.Go(func() { p.pass(to, from) })
	}
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	if p.over {
		for _, c := range conns {
			c.Close()
		}
	}
	return !p.over
}

// pass copies what comes, but while it is cut.
func (p *proxy) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.isCut && !p.over {
			p.cond.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
