package probe

import (
	"io"
	"net/rpc"
	"time"
)

// Call is one operation, as it goes over the wire.
type Call struct {
	Op     string
	Name   string
	Time   time.Time
	Kind   LockKind
	Within time.Duration
}

// service is what an agent offers.
type service struct{ end End }

// Do does one operation.
func (s *service) Do(c Call, r *Result) error {
	switch c.Op {
	case "create":
		*r = s.end.Create(c.Name)
	case "stat":
		*r = s.end.Stat(c.Name)
	case "fresh":
		*r = s.end.Fresh(c.Name)
	case "settime":
		*r = s.end.SetTime(c.Name, c.Time)
	case "remove":
		*r = s.end.Remove(c.Name)
	case "list":
		*r = s.end.List()
	case "lock":
		*r = s.end.Lock(c.Name, c.Kind)
	case "unlock":
		*r = s.end.Unlock(c.Name)
	case "lockof":
		*r = s.end.LockOf(c.Name)
	case "watch":
		*r = s.end.Watch()
	case "told":
		*r = s.end.Told(c.Name, min(c.Within, time.Minute))
	default:
		*r = Result{Err: "there is no operation " + c.Op, Unsupported: true}
	}
	return nil
}

// Serve does what is asked over a connection until that ends.
func Serve(conn io.ReadWriteCloser, end End) error {
	server := rpc.NewServer()
	if err := server.RegisterName("Probe", &service{end}); err != nil {
		return err
	}
	server.ServeConn(conn)
	return nil
}

// Remote is the End of another process, which serves a connection.
type Remote struct {
	client   *rpc.Client
	patience time.Duration
}

// NewRemote returns the End of the process at the other end of a connection. An
// operation that takes longer than patience fails.
func NewRemote(conn io.ReadWriteCloser, patience time.Duration) *Remote {
	return &Remote{client: rpc.NewClient(conn), patience: patience}
}

// Close ends the connection.
func (r *Remote) Close() error { return r.client.Close() }

func (r *Remote) do(c Call) Result {
	var to Result
	call := r.client.Go("Probe.Do", c, &to, make(chan *rpc.Call, 1))
	timer := time.NewTimer(r.patience + c.Within)
	defer timer.Stop()
	select {
	case <-call.Done:
		if call.Error != nil {
			return Result{Err: "the other process: " + call.Error.Error()}
		}
		return to
	case <-timer.C:
		return Result{Err: c.Op + ": the other process did not answer within " + r.patience.String()}
	}
}

func (r *Remote) Create(name string) Result { return r.do(Call{Op: "create", Name: name}) }
func (r *Remote) Stat(name string) Result   { return r.do(Call{Op: "stat", Name: name}) }
func (r *Remote) Fresh(name string) Result  { return r.do(Call{Op: "fresh", Name: name}) }
func (r *Remote) SetTime(name string, to time.Time) Result {
	return r.do(Call{Op: "settime", Name: name, Time: to})
}
func (r *Remote) Remove(name string) Result { return r.do(Call{Op: "remove", Name: name}) }
func (r *Remote) List() Result              { return r.do(Call{Op: "list"}) }
func (r *Remote) Lock(name string, kind LockKind) Result {
	return r.do(Call{Op: "lock", Name: name, Kind: kind})
}
func (r *Remote) Unlock(name string) Result { return r.do(Call{Op: "unlock", Name: name}) }
func (r *Remote) LockOf(name string) Result { return r.do(Call{Op: "lockof", Name: name}) }
func (r *Remote) Watch() Result             { return r.do(Call{Op: "watch"}) }
func (r *Remote) Told(name string, within time.Duration) Result {
	return r.do(Call{Op: "told", Name: name, Within: within})
}
