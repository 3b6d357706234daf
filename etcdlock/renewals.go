package etcdlock

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/filelock-go/filelock/etcdlock/internal/keyqueue"
)

// renewals renews leases by one stream for all of them. KeepAliveOnce opens a stream for each
// renewal, for which the server checks the password of a user who has one: fifty locks held
// keep it busy, so that leases end. KeepAlive counts from the receipt.
//
// A lease counts from when the renewal was sent that an answer is to, so an answer must not
// be taken for that to a later one. The server answers each request once. So a lease has
// one request on a stream at a time, and a stream on which one was given up is given up, too.
type renewals struct {
	open func(context.Context) (pb.Lease_LeaseKeepAliveClient, error)

	mu      sync.Mutex
	current *renewalStream // nil, or perhaps over
}

// errUnneeded is why a stream is over that nobody needs any more.
var errUnneeded = errors.New("nobody renews anything any more")

func (r *renewals) renew(ctx context.Context, lease int64) error {
	s := r.stream()
	answer, err := s.ask(ctx, lease)
	if err != nil {
		return explain(rpctypes.Error(err))
	}
	if answer.TTL <= 0 {
		return keyqueue.ErrNoLease
	}
	return nil
}

// stream returns one that is not known to be over.
func (r *renewals) stream() *renewalStream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil || r.current.ctx.Err() != nil {
		s := &renewalStream{requests: make(chan int64), pending: map[int64]chan *pb.LeaseKeepAliveResponse{}}
		s.ctx, s.end = context.WithCancelCause(context.Background())
		r.current = s
		go s.send(r.open)
	}
	return r.current
}

// close ends the stream. The next renewal opens another one.
func (r *renewals) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.current.end(errUnneeded)
	}
}

// renewalStream is one stream. It is over when its context is, whose cause says why.
type renewalStream struct {
	ctx      context.Context
	end      context.CancelCauseFunc
	requests chan int64

	mu      sync.Mutex
	pending map[int64]chan *pb.LeaseKeepAliveResponse // by lease
}

// ask sends a request and waits for the answer.
func (s *renewalStream) ask(ctx context.Context, lease int64) (*pb.LeaseKeepAliveResponse, error) {
	answer := make(chan *pb.LeaseKeepAliveResponse, 1)
	s.mu.Lock()
	s.pending[lease] = answer
	s.mu.Unlock()
	// From here on the stream is used up, unless the answer comes.
	select {
	case s.requests <- lease:
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	case <-ctx.Done():
		s.end(ctx.Err())
		return nil, ctx.Err()
	}
	select {
	case a := <-answer:
		return a, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	case <-ctx.Done():
		s.end(ctx.Err())
		return nil, ctx.Err()
	}
}

// send opens the stream and sends what is asked for. It may be held up for as long as the
// server takes nothing; but not when the stream is over.
func (s *renewalStream) send(open func(context.Context) (pb.Lease_LeaseKeepAliveClient, error)) {
	stream, err := open(s.ctx)
	if err != nil {
		s.end(err)
		return
	}
	go s.receive(stream)
	for {
		select {
		case lease := <-s.requests:
			if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: lease}); err != nil {
				return // receive knows why
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *renewalStream) receive(stream pb.Lease_LeaseKeepAliveClient) {
	for {
		answer, err := stream.Recv()
		if err != nil {
			s.end(err)
			return
		}
		s.mu.Lock()
		asked := s.pending[answer.ID]
		delete(s.pending, answer.ID)
		s.mu.Unlock()
		if asked != nil {
			asked <- answer
		}
	}
}
