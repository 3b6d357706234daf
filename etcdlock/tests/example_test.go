package tests

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/etcdlock"
)

// nightly is the example of docs/engines.md.
func nightly(ctx context.Context, endpoints []string, run func(context.Context) error) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	defer client.Close()
	locks, err := etcdlock.New(client)
	if err != nil {
		return err
	}
	lock, err := filelock.New("jobs/nightly", filelock.WithEngine(locks))
	if err != nil {
		return err
	}
	return lock.Do(ctx, func(ctx context.Context) error {
		return run(ctx) // ctx ends when the lock is lost
	})
}

// store writes where only the holder may: etcd itself refuses it to who has lost the
// lock, even to one that does not know yet.
func store(ctx context.Context, client *clientv3.Client, lock *filelock.FileLock, key, value string) error {
	owned, err := etcdlock.Owned(lock)
	if err != nil {
		return err
	}
	answer, err := client.Txn(ctx).If(owned).Then(clientv3.OpPut(key, value)).Commit()
	if err != nil {
		return err
	}
	if !answer.Succeeded {
		return fmt.Errorf("%s was not written: %w", key, filelock.ErrLost)
	}
	return nil
}

func TestExamples(t *testing.T) {
	c := startCluster(t, 1)
	ran := false
	require.NoError(t, nightly(t.Context(), c.endpoints(), func(ctx context.Context) error {
		ran = true
		return ctx.Err()
	}))
	require.True(t, ran)

	client := newClient(t, c.endpoints()...)
	lock := newLock(t, c, "data")
	require.ErrorIs(t, store(t.Context(), client, lock, "/data", "1"), filelock.ErrNotLocked)
	require.NoError(t, lock.Acquire(t.Context()))
	require.NoError(t, store(t.Context(), client, lock, "/data", "1"))
	place, err := lock.Place()
	require.NoError(t, err)
	_, err = client.Delete(t.Context(), place.ID) // an operator
	require.NoError(t, err)
	require.ErrorIs(t, store(t.Context(), client, lock, "/data", "2"), filelock.ErrLost)
	<-lock.Lost()
	require.ErrorIs(t, lock.Unlock(), filelock.ErrLost)
	got, err := client.Get(t.Context(), "/data")
	require.NoError(t, err)
	require.Equal(t, "1", string(got.Kvs[0].Value))
}
