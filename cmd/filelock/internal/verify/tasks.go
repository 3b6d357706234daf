package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/filelock-go/filelock/cmd/filelock/internal/probe"
	"github.com/filelock-go/filelock/cmd/filelock/internal/referee"
	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
)

// Tasks are what workers do here.
func Tasks() map[string]worker.Func {
	return map[string]worker.Func{"contend": contend, "agent": agent, "entry": entry}
}

// agency is what an agent is to do: serve experiments in a directory.
type agency struct {
	Referee, Key, Role string
	Dir                string
}

func agent(ctx context.Context, spec json.RawMessage, _ io.Reader, _ io.Writer) error {
	var a agency
	if err := json.Unmarshal(spec, &a); err != nil {
		return err
	}
	conn, _, err := referee.Dial(ctx, a.Referee, a.Key, a.Role)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	end := probe.NewLocal(a.Dir)
	defer end.Close()
	return probe.Serve(conn, end)
}

// locked is a file whose entry lock is to be taken.
type locked struct{ Dir, Name string }

// entry takes the entry lock of a file, says so, and keeps it until it is killed.
func entry(ctx context.Context, spec json.RawMessage, _ io.Reader, out io.Writer) error {
	var l locked
	if err := json.Unmarshal(spec, &l); err != nil {
		return err
	}
	r := probe.NewLocal(l.Dir).Lock(l.Name, probe.Entry)
	if r.Held || r.Err != "" {
		return fmt.Errorf("the lock cannot be had: %s", r.Err)
	}
	fmt.Fprintln(out, "locked")
	<-ctx.Done()
	return nil
}
