// Package verify finds out whether a directory is fit for locks: experiments show what
// its filesystem does (package probe), and processes, on several hosts if wanted,
// contend for a lock in it while a referee counts (package referee).
package verify

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/filelock-go/filelock/cmd/filelock/internal/probe"
	"github.com/filelock-go/filelock/cmd/filelock/internal/referee"
	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// Options are those of Run.
type Options struct {
	Dir       string        // absolute
	Processes int           // contenders on each host
	For       time.Duration // how long they contend
	Hold      time.Duration // how long each holds the lock
	// Listen is the referee's address, and Key what others must know to be heard: "" is
	// one that nobody can guess. Hosts is how many take part, this one included.
	Listen, Key string
	Hosts       int
	// Worker is the command that runs worker.Main with Tasks.
	Worker []string
	// Listens is told what others need to join, if there are to be others.
	Listens func(join string)
	// Progress is told how far it is, from 0 to 1, and what comes next.
	Progress func(done float64, what string)
}

// MostProcesses is how many may contend on each host.
const MostProcesses = 256

const (
	// arrival is how long others may take to join, and workers to start.
	arrival = 2 * time.Minute
	// staleness is how long a change may take to be seen before an experiment is over.
	staleness = 3 * time.Second
	// answer is how long an agent may take for one operation.
	answer = 20 * time.Second
	// probing is the part of the progress that the experiments are.
	probing = .4
)

// run is one verification.
type run struct {
	Options
	report  Report
	server  *referee.Server
	target  string        // base name
	arrived chan struct{} // one for each agent or host
	begins  chan struct{} // closed when the contest is about to begin
	over    chan struct{} // closed when the report is there, or will never be

	mu   sync.Mutex
	near []*agentLine
	far  []*agentLine
}

// agentLine is a process that serves experiments.
type agentLine struct {
	host string
	end  *probe.Remote
}

// Run verifies a directory. Its error says what kept it from coming to a verdict. It
// leaves nothing in the directory, or else the error says so.
func Run(ctx context.Context, o Options) (Report, error) {
	r := &run{
		Options: o, arrived: make(chan struct{}, 1024), begins: make(chan struct{}), over: make(chan struct{}),
	}
	switch info, err := os.Stat(o.Dir); {
	case err != nil:
		return r.report, err
	case !info.IsDir():
		return r.report, fmt.Errorf("%s is not a directory", o.Dir)
	}
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return r.report, err
	}
	r.target = probe.Prefix + hex.EncodeToString(id[:])
	r.report.Dir, r.report.Filesystem, r.report.OneKernel = o.Dir, filesystem(o.Dir), ticketdir.OneKernel(o.Dir)
	r.report.Findings = []probe.Finding{}
	var err error
	if r.server, err = referee.Listen(o.Listen, o.Key, r.meet); err != nil {
		return r.report, err
	}
	if err = r.all(ctx); err == nil {
		r.report.decide()
	}
	close(r.over)
	return r.report, errors.Join(err, r.server.Close(), r.clean())
}

// all makes the experiments and has the contest.
func (r *run) all(ctx context.Context) error {
	w, err := worker.Start(r.Worker, "agent", agency{r.server.Address(), r.server.Key(), referee.RoleAgent, r.Dir})
	if err != nil {
		return err
	}
	defer func() { _ = w.Kill() }()
	if r.Hosts > 1 {
		r.Listens(r.server.Address() + "/" + r.server.Key())
	}
	if err := r.await(ctx, 1+2*(r.Hosts-1)); err != nil { // another host comes with an agent
		return err
	}
	if err := r.experiments(ctx); err != nil {
		return err
	}
	return r.contest(ctx)
}

// await waits for n connections of agents and hosts.
func (r *run) await(ctx context.Context, n int) error {
	r.Progress(0, "waiting for all who take part")
	limit := time.NewTimer(arrival)
	defer limit.Stop()
	for i := range n {
		select {
		case <-r.arrived:
		case <-limit.C:
			return fmt.Errorf("%d of %d connections came within %v", i, n, arrival)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// experiments makes them with each agent.
func (r *run) experiments(ctx context.Context) error {
	local := probe.NewLocal(r.Dir)
	defer local.Close()
	r.mu.Lock()
	agents := append(append([]*agentLine(nil), r.near...), r.far...)
	near := len(r.near)
	r.mu.Unlock()
	const each = 11 // experiments
	made := 0
	for i, a := range agents {
		lab := probe.Lab{
			A: local, B: a.end, Remote: i >= near, Between: "two processes", OneKernel: r.report.OneKernel,
			Patience: staleness, Kill: r.kill,
			Progress: func(what string) {
				r.Progress(probing*min(1, float64(made)/float64(each*len(agents))), what)
				made++
			},
		}
		if lab.Remote {
			lab.Between = "this host and " + a.host
		}
		findings, err := lab.Run(ctx)
		if err != nil {
			return err
		}
		r.report.Findings = append(r.report.Findings, findings...)
	}
	return nil
}

// kill has a process take the entry lock of a file, and kills it.
func (r *run) kill(name string) error {
	w, err := worker.Start(r.Worker, "entry", locked{r.Dir, name})
	if err != nil {
		return err
	}
	var said [16]byte
	if _, err = w.Out.Read(said[:]); err != nil {
		return w.Wait() // it has ended by itself
	}
	return w.Kill()
}

// contest has contenders of all hosts take a lock in turn.
func (r *run) contest(ctx context.Context) error {
	crew, err := recruit(r.Worker, r.Processes, r.contention(r.server.Address(), r.Dir))
	defer crew.dismiss()
	if err != nil {
		return err
	}
	close(r.begins)
	wait, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	r.Progress(probing, "waiting for the contenders")
	if err := r.server.Await(wait, r.Hosts*r.Processes); err != nil {
		return err
	}
	r.server.Start()
	if err := r.attend(ctx); err != nil {
		return err
	}
	r.report.score(r.server.History())
	r.report.Hosts = hostsOf(r.report.Contenders)
	return nil
}

func (r *run) contention(address, dir string) contention {
	return contention{Referee: address, Key: r.server.Key(), Target: filepath.Join(dir, r.target), For: r.For, Hold: r.Hold}
}

// attend shows the progress until all contenders have done, or have had time enough.
func (r *run) attend(ctx context.Context) error {
	began := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		lasted := time.Since(began)
		done := min(1, lasted.Seconds()/r.For.Seconds())
		r.Progress(probing+(1-probing)*done, "contending")
		if r.server.Gone() == r.Hosts*r.Processes || lasted > r.For+patience+10*time.Second {
			return nil
		}
	}
}

// clean removes what contenders that were killed may have left.
func (r *run) clean() error {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), r.target+".") {
			if err := os.Remove(filepath.Join(r.Dir, e.Name())); err != nil && !os.IsNotExist(err) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func hostsOf(cs []referee.Contender) (hosts []string) {
	seen := map[string]bool{}
	for _, c := range cs {
		if !seen[c.Host] {
			seen[c.Host] = true
			hosts = append(hosts, c.Host)
		}
	}
	return hosts
}
