package etcdlock

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/filelock-go/filelock/etcdlock/internal/keyqueue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStream is a stream to a server that answers as a test tells it.
type fakeStream struct {
	grpc.ClientStream // nil: nothing of it is used
	ctx               context.Context
	asked             chan int64
	answers           chan *pb.LeaseKeepAliveResponse
}

func (f *fakeStream) Send(r *pb.LeaseKeepAliveRequest) error {
	select {
	case f.asked <- r.ID:
		return nil
	case <-f.ctx.Done():
		return io.EOF
	}
}

func (f *fakeStream) Recv() (*pb.LeaseKeepAliveResponse, error) {
	select {
	case a, ok := <-f.answers:
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		return a, nil
	case <-f.ctx.Done():
		return nil, f.ctx.Err()
	}
}

func (f *fakeStream) answer(lease, ttl int64) {
	f.answers <- &pb.LeaseKeepAliveResponse{ID: lease, TTL: ttl}
}

// newRenewals returns renewals, and the streams that they open.
func newRenewals(t *testing.T) (*renewals, func(n int) *fakeStream) {
	var mu sync.Mutex
	var streams []*fakeStream
	r := &renewals{open: func(ctx context.Context) (pb.Lease_LeaseKeepAliveClient, error) {
		mu.Lock()
		defer mu.Unlock()
		streams = append(streams, &fakeStream{
			ctx: ctx, asked: make(chan int64), answers: make(chan *pb.LeaseKeepAliveResponse, 10),
		})
		return streams[len(streams)-1], nil
	}}
	t.Cleanup(r.close)
	return r, func(n int) *fakeStream {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, streams, n)
		return streams[n-1]
	}
}

func start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// TestRenewals: several leases at once, over one stream, whatever the order of answers.
func TestRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stream := newRenewals(t)
		one := start(func() error { return r.renew(t.Context(), 1) })
		s := stream(1)
		require.EqualValues(t, 1, <-s.asked)
		two := start(func() error { return r.renew(t.Context(), 2) })
		require.EqualValues(t, 2, <-s.asked)
		s.answer(3, 10) // nobody asked
		s.answer(2, 0)
		s.answer(1, 10)
		require.NoError(t, <-one)
		require.ErrorIs(t, <-two, keyqueue.ErrNoLease)
		again := start(func() error { return r.renew(t.Context(), 1) })
		require.EqualValues(t, 1, <-s.asked)
		s.answer(1, 10)
		require.NoError(t, <-again)
		stream(1)
	})
}

// TestLateAnswer:
//
//	renewal 1 is sent; nobody answers, and it is given up
//	renewal 2 of the same lease is sent
//	the answer to 1 arrives: it does not say that the server has heard of 2
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stream := newRenewals(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		first := start(func() error { return r.renew(ctx, 1) })
		old := stream(1)
		require.EqualValues(t, 1, <-old.asked)
		require.ErrorIs(t, <-first, keyqueue.ErrPassing)
		require.Equal(t, time.Second, time.Since(began))

		second := start(func() error { return r.renew(t.Context(), 1) })
		s := stream(2)
		require.EqualValues(t, 1, <-s.asked)
		old.answer(1, 10)
		synctest.Wait()
		select {
		case err := <-second:
			t.Fatalf("it took the answer to another request: %v", err)
		default:
		}
		s.answer(1, 10)
		require.NoError(t, <-second)
	})
}

// TestBrokenStream: all that wait on a stream that breaks may ask again, on another one.
func TestBrokenStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stream := newRenewals(t)
		var waiting []<-chan error
		for lease := range int64(3) {
			waiting = append(waiting, start(func() error { return r.renew(t.Context(), lease) }))
			require.Equal(t, lease, <-stream(1).asked)
		}
		close(stream(1).answers)
		for _, w := range waiting {
			require.ErrorIs(t, <-w, keyqueue.ErrPassing)
		}
		again := start(func() error { return r.renew(t.Context(), 1) })
		require.EqualValues(t, 1, <-stream(2).asked)
		stream(2).answer(1, 10)
		require.NoError(t, <-again)
	})
}

// TestNobodyListens: a request that cannot even be sent ends with its context, and holds
// up no other one for longer.
func TestNobodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stream := newRenewals(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := start(func() error { return r.renew(ctx, 1) })
		stream(1)
		second := start(func() error { return r.renew(t.Context(), 2) })
		began := time.Now()
		require.ErrorIs(t, <-first, keyqueue.ErrPassing)
		require.ErrorIs(t, <-second, keyqueue.ErrPassing)
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestNoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		r := &renewals{open: func(context.Context) (pb.Lease_LeaseKeepAliveClient, error) { return nil, refused }}
		require.ErrorIs(t, r.renew(t.Context(), 1), refused)
		require.ErrorIs(t, r.renew(t.Context(), 1), keyqueue.ErrPassing)
	})
}
