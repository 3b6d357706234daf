package etcdlock

import (
	"context"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// openStream keeps the stream open on which a client of a user with a password watches, by
// one watch of which nothing is expected. Otherwise the client ends it with the last wait,
// and the server checks the password for the next one, which takes it tens of milliseconds.
type openStream struct {
	client *clientv3.Client
	key    string

	mu   sync.Mutex
	kept *keptWatch // nil: there is none
}

type keptWatch struct{ end context.CancelFunc }

// keep opens the stream, unless it is open. It does not wait for that.
func (o *openStream) keep() {
	if o.client.Username == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept != nil {
		return
	}
	ctx, end := context.WithCancel(requireLeader(context.Background()))
	kept := &keptWatch{end}
	o.kept = kept
	go func() {
		for range o.client.Watch(ctx, o.key) {
		}
		end()
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.kept == kept { // and no other one by now
			o.kept = nil
		}
	}()
}

// drop has the client end the stream, if nobody else is on it: what went wrong on it may be
// for good, as when its token is too old.
func (o *openStream) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept != nil {
		o.kept.end()
		o.kept = nil
	}
}

// requireLeader is for all that is asked: a member that has lost the others is to say so.
// What is watched with it, and no more than that, is watched on one stream.
func requireLeader(ctx context.Context) context.Context { return clientv3.WithRequireLeader(ctx) }
