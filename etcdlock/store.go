package etcdlock

import (
	"context"
	"errors"
	"io/fs"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/filelock-go/filelock/etcdlock/internal/keyqueue"
	"github.com/filelock-go/filelock/etcdlock/internal/neighbour"
)

// store is etcd as a keyqueue.Store.
type store struct {
	client   *clientv3.Client
	renewals renewals
	watching openStream
}

var _ keyqueue.Store = (*store)(nil)

func newStore(client *clientv3.Client, root string) *store {
	s := &store{client: client, watching: openStream{client: client, key: root + "/"}}
	s.renewals.open = func(ctx context.Context) (pb.Lease_LeaseKeepAliveClient, error) {
		return pb.NewLeaseClient(client.ActiveConnection()).LeaseKeepAlive(requireLeader(ctx))
	}
	return s
}

// close ends what goes on in the background. It begins again when it is needed.
func (s *store) close() {
	s.renewals.close()
	s.watching.drop()
}

// Grant asks without etcd's retries at first. They would go on for as long as ctx lasts
// and hide the reason: a certificate that is not trusted, say. But they get a new token
// for a user, if the client has none yet or an old one.
func (s *store) Grant(ctx context.Context, seconds int64) (int64, time.Duration, error) {
	if err := s.closed(); err != nil {
		return 0, 0, err
	}
	raw := pb.NewLeaseClient(s.client.ActiveConnection())
	answer, err := raw.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: seconds})
	if err == nil {
		return answer.ID, time.Duration(answer.TTL) * time.Second, nil
	}
	if err = explain(rpctypes.Error(err)); !errors.Is(err, fs.ErrPermission) || s.client.Username == "" {
		return 0, 0, err
	}
	again, err := s.client.Grant(ctx, seconds)
	if err != nil {
		return 0, 0, explain(err)
	}
	return int64(again.ID), time.Duration(again.TTL) * time.Second, nil
}

func (s *store) Renew(ctx context.Context, lease int64) error {
	if err := s.closed(); err != nil {
		return err
	}
	neighbour.Tidy() // who holds for long has many callers
	return s.renewals.renew(ctx, lease)
}

func (s *store) Revoke(ctx context.Context, lease int64) error {
	if err := s.closed(); err != nil {
		return err
	}
	_, err := s.client.Revoke(ctx, clientv3.LeaseID(lease))
	return explain(err)
}

func (s *store) Left(ctx context.Context, lease int64) (time.Duration, error) {
	if err := s.closed(); err != nil {
		return 0, err
	}
	answer, err := s.client.TimeToLive(ctx, clientv3.LeaseID(lease))
	switch {
	case err != nil:
		return 0, explain(err)
	case answer.TTL < 0:
		return 0, keyqueue.ErrNoLease
	}
	return time.Duration(answer.TTL) * time.Second, nil
}

func (s *store) Commit(ctx context.Context, t keyqueue.Txn) (keyqueue.Answer, error) {
	if err := s.closed(); err != nil {
		return keyqueue.Answer{}, err
	}
	neighbour.Tidy()
	answer, err := s.client.Txn(requireLeader(ctx)).
		If(conds(t.If)...).Then(ops(t.Then)...).Else(ops(t.Otherwise)...).Commit()
	if err != nil {
		return keyqueue.Answer{}, explain(err)
	}
	a := keyqueue.Answer{Succeeded: answer.Succeeded, Revision: answer.Header.Revision}
	for _, r := range answer.Responses {
		if r := r.GetResponseRange(); r != nil {
			found := keyqueue.Found{Count: int(r.Count)}
			for _, kv := range r.Kvs {
				found.Entries = append(found.Entries, keyqueue.Entry{
					Key: string(kv.Key), Value: string(kv.Value), Created: kv.CreateRevision, Lease: kv.Lease,
				})
			}
			a.Gets = append(a.Gets, found)
		}
	}
	return a, nil
}

func conds(all []keyqueue.Cond) (cmps []clientv3.Cmp) {
	for _, c := range all {
		cmp := clientv3.Compare(clientv3.CreateRevision(c.Key), "=", c.Created)
		if c.Prefix {
			cmp = cmp.WithPrefix()
		}
		cmps = append(cmps, cmp)
	}
	return cmps
}

func ops(all []keyqueue.Op) (ops []clientv3.Op) {
	for _, op := range all {
		switch op := op.(type) {
		case keyqueue.Put:
			ops = append(ops, clientv3.OpPut(op.Key, op.Value, clientv3.WithLease(clientv3.LeaseID(op.Lease))))
		case keyqueue.Delete:
			ops = append(ops, clientv3.OpDelete(op.Key))
		case keyqueue.Get:
			ops = append(ops, get(op))
		}
	}
	return ops
}

func get(g keyqueue.Get) clientv3.Op {
	order := clientv3.SortAscend
	if g.Newest {
		order = clientv3.SortDescend
	}
	opts := []clientv3.OpOption{clientv3.WithSort(clientv3.SortByCreateRevision, order), clientv3.WithLimit(int64(g.Limit))}
	if g.Prefix {
		opts = append(opts, clientv3.WithPrefix())
	}
	if g.Below > 0 {
		opts = append(opts, clientv3.WithMaxCreateRev(g.Below-1))
	}
	if g.Bare {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	return clientv3.OpGet(g.Key, opts...)
}

// errClosed is of all that is asked of a client that is closed. It does not pass.
var errClosed = errors.New("the client of etcd is closed")

// closed returns errClosed if the client is: it would try again and again.
func (s *store) closed() error {
	if s.client.Ctx().Err() != nil {
		return errClosed
	}
	return nil
}

// errEnded is of a watch that ended without a word.
var errEnded = errors.New("the watch ended")

// Watch watches from now on: from a revision that is past, etcd would serve it by a
// loop that runs ten times a second only.
func (s *store) Watch(ctx context.Context, key string) (<-chan error, error) {
	if err := s.closed(); err != nil {
		return nil, err
	}
	s.watching.keep()
	events := s.client.Watch(requireLeader(ctx), key, clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	select {
	case first, ok := <-events:
		if !ok {
			s.watching.drop()
			return nil, explain(errEnded)
		}
		if err := first.Err(); err != nil {
			s.watching.drop()
			return nil, explain(err)
		}
	case <-ctx.Done():
		return nil, explain(ctx.Err())
	}
	told := make(chan error, 1)
	go func() {
		event, ok := <-events
		switch {
		case !ok:
			told <- errEnded
		default:
			told <- event.Err()
		}
	}()
	return told, nil
}
