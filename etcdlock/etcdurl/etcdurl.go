// Package etcdurl has locks in etcd named by URLs, for programs that are told by their
// users which lock to take. To import it registers the schemes etcd and etcds (TLS)
// with package engine:
//
//	etcd://host:2379,host2:2379/jobs/nightly?lease=10s
//	etcds:///jobs/nightly
//
// What stands after the first slash is the lock's name, escaped as in any URL. Of the
// parameters, lease is how long the lock lasts without a sign of life, in whole seconds,
// and root what all keys begin with (see etcdlock.WithRoot).
//
// What a URL does not say is taken from the variables of the environment that etcdctl
// has for it: ETCDCTL_ENDPOINTS if there is no host, by default 127.0.0.1:2379;
// ETCDCTL_USER and ETCDCTL_PASSWORD, also as user:password in the first; and for TLS
// ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY and ETCDCTL_INSECURE_SKIP_TLS_VERIFY. A user may
// stand before the host, as in etcd://user@host/name. A password may not: others can
// see the arguments of a process.
//
// The connections are etcdlock.WithoutNeighbours: they are for programs that run others under
// a lock.
package etcdurl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/etcdlock"
)

func init() {
	engine.Register("etcd", Locate)
	engine.Register("etcds", Locate)
}

// Locate returns what a URL names. It reads the environment, and neither files nor
// anything from etcd.
func Locate(text string) (engine.Location, error) {
	u, err := parse(text)
	if err != nil {
		return engine.Location{}, err
	}
	cfg, err := u.config()
	if err != nil {
		return engine.Location{}, err
	}
	return engine.Location{Service: cfg.String(), Name: u.name, Lease: u.lease, Connect: cfg.connect}, nil
}

// service is a client and its engine.
type service struct {
	*etcdlock.Engine
	client *clientv3.Client
}

// Close implements engine.Service.
func (s *service) Close(ctx context.Context) error {
	return errors.Join(s.Engine.Close(ctx), s.client.Close())
}

// connect makes a client. For a user it asks etcd for a token.
func (c *config) connect(ctx context.Context) (engine.Service, error) {
	tls, err := c.tls.config()
	if err != nil {
		return nil, err
	}
	// The client lives longer than ctx.
	living, end := context.WithCancel(context.WithoutCancel(ctx))
	connected := context.AfterFunc(ctx, end)
	client, err := clientv3.New(clientv3.Config{
		Context: living, Endpoints: c.endpoints, Username: c.user, Password: c.password, TLS: tls,
		DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAlive, Logger: zap.NewNop(),
	})
	if !connected() && err == nil {
		client.Close()
		err = ctx.Err()
	}
	if err != nil {
		end()
		return nil, explain(ctx, err)
	}
	e, err := etcdlock.New(client, etcdlock.WithRoot(c.root), etcdlock.WithoutNeighbours())
	if err != nil {
		client.Close()
		return nil, err
	}
	return &service{e, client}, nil
}

func explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, context.Cause(ctx))
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return fmt.Errorf("%w: %w", fs.ErrPermission, err)
	default:
		return err
	}
}
