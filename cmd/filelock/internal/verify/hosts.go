package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/filelock-go/filelock/cmd/filelock/internal/probe"
	"github.com/filelock-go/filelock/cmd/filelock/internal/referee"
	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
)

// roleFarAgent is an agent on another host.
const roleFarAgent = "far agent"

// wire is a connection of which a part was read already.
type wire struct {
	io.Reader
	io.Writer
	io.Closer
}

// plan is what another host is told to do.
type plan struct {
	Target    string // base name
	Processes int
	For, Hold time.Duration
}

// meet serves a connection that is no contender's, until the verification is over.
func (r *run) meet(hello referee.Hello, conn net.Conn, in *bufio.Reader) {
	switch hello.Role {
	case referee.RoleAgent, roleFarAgent:
		a := &agentLine{host: hello.Host, end: probe.NewRemote(wire{in, conn, conn}, answer)}
		defer a.end.Close()
		r.mu.Lock()
		if hello.Role == roleFarAgent {
			r.far = append(r.far, a)
		} else {
			r.near = append(r.near, a)
		}
		r.mu.Unlock()
		r.arrived <- struct{}{}
		<-r.over
	case referee.RoleHost:
		r.arrived <- struct{}{}
		select {
		case <-r.begins:
		case <-r.over:
			return
		}
		out := json.NewEncoder(conn)
		if out.Encode(plan{r.target, r.Processes, r.For, r.Hold}) != nil {
			return
		}
		<-r.over
		if r.report.Verdict != "" { // else the end of the connection tells that there is none
			_ = out.Encode(r.report)
		}
	}
}

// Join takes part in a verification that runs on another host, whose Listens was told
// join, and returns its report. Of the options only Dir, Worker and Progress matter; Dir
// is that host's directory as this one sees it.
func Join(ctx context.Context, join string, o Options) (Report, error) {
	address, key, ok := strings.Cut(join, "/")
	if !ok {
		return Report{}, fmt.Errorf("%q is not of the form HOST:PORT/KEY that the other one printed", join)
	}
	w, err := worker.Start(o.Worker, "agent", agency{address, key, roleFarAgent, o.Dir})
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = w.Kill() }()
	conn, in, err := referee.Dial(ctx, address, key, referee.RoleHost)
	if err != nil {
		return Report{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	o.Progress(0, "experiments")
	lines := json.NewDecoder(in)
	var p plan
	if err := decode(ctx, lines, &p); err != nil {
		return Report{}, err
	}
	if p.Target != filepath.Base(p.Target) || !strings.HasPrefix(p.Target, probe.Prefix) {
		return Report{}, fmt.Errorf("the other one wants to lock %q, which is nothing of a verification", p.Target)
	}
	if p.Processes < 1 || p.Processes > MostProcesses || p.For <= 0 || p.Hold <= 0 {
		return Report{}, fmt.Errorf("the other one wants %d processes, holds of %v and a contest of %v, which is nothing of a verification", p.Processes, p.Hold, p.For)
	}
	o.Progress(probing, "contending")
	crew, err := recruit(o.Worker, p.Processes, contention{Referee: address, Key: key, Target: filepath.Join(o.Dir, p.Target), For: p.For, Hold: p.Hold})
	defer crew.dismiss()
	if err != nil {
		return Report{}, err
	}
	var report Report
	if err := decode(ctx, lines, &report); err != nil {
		return report, err
	}
	o.Progress(1, "done")
	switch report.Verdict {
	case Safe, SafeByPolling, NotSafe:
		return report, nil
	}
	return report, fmt.Errorf("the other one has come to the verdict %q, which is none", report.Verdict)
}

// errRefused: the connection ends before anything was said.
var errRefused = errors.New("the other one has ended the connection: the key is wrong, or it has given up")

func decode(ctx context.Context, lines *json.Decoder, to any) error {
	err := lines.Decode(to)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return errRefused
	default:
		return err
	}
}
