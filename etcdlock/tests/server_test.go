package tests

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/filelock-go/filelock/internal/locktest"
)

// election is how long a member waits for a leader's word.
const election = time.Second

func init() { locktest.Register("etcd", serve) }

// serve is one member: its directory, number, and the addresses of all, for peers and
// clients, in turn.
func serve(args []string) error {
	dir, number, addresses := args[0], args[1], args[2:]
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name, cfg.LogLevel = dir, "m"+number, "error"
	var initial []string
	for i := 0; i < len(addresses); i += 2 {
		name := fmt.Sprintf("m%d", i/2)
		initial = append(initial, name+"=http://"+addresses[i])
		if name == cfg.Name {
			peer, client := url.URL{Scheme: "http", Host: addresses[i]}, url.URL{Scheme: "http", Host: addresses[i+1]}
			cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
			cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
		}
	}
	cfg.InitialCluster = strings.Join(initial, ",")
	// As on a machine of its own; here many processes share few cores.
	cfg.TickMs, cfg.ElectionMs = 100, uint(election/time.Millisecond)
	if cert := filepath.Join(filepath.Dir(dir), certName); exists(cert) {
		cfg.ClientTLSInfo = transport.TLSInfo{CertFile: cert, KeyFile: filepath.Join(filepath.Dir(dir), keyName)}
		for _, urls := range [][]url.URL{cfg.ListenClientUrls, cfg.AdvertiseClientUrls} {
			urls[0].Scheme = "https"
		}
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	<-e.Server.ReadyNotify()
	locktest.Say("ready")
	locktest.Gate()
	e.Close()
	return nil
}

// certName and keyName are of files beside a member's directory, if clients need TLS.
const certName, keyName = "server.crt", "server.key"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// cluster is some members, each a process.
type cluster struct {
	t         testing.TB
	dirs      []string
	addresses []any // for peers and clients, in turn
	members   []*locktest.Child
}

func startCluster(t testing.TB, members int) *cluster {
	t.Helper()
	return startClusterIn(t, members, t.TempDir())
}

// startClusterIn starts it with its directories in dir.
func startClusterIn(t testing.TB, members int, dir string) *cluster {
	t.Helper()
	c := &cluster{t: t, members: make([]*locktest.Child, members)}
	for i := range members {
		c.dirs = append(c.dirs, filepath.Join(dir, fmt.Sprint(i)))
		c.addresses = append(c.addresses, freeAddress(t), freeAddress(t))
	}
	for i := range members {
		c.begin(i)
	}
	for i := range members {
		c.ready(i)
	}
	return c
}

// begin starts member i; ready waits until it serves.
func (c *cluster) begin(i int) {
	c.t.Helper()
	c.members[i] = locktest.Start(c.t, append([]any{"etcd", c.dirs[i], i}, c.addresses...)...)
}

func (c *cluster) ready(i int) {
	c.t.Helper()
	c.members[i].Expect("ready")
}

func (c *cluster) endpoint(i int) string { return c.addresses[2*i+1].(string) }

func (c *cluster) endpoints() (all []string) {
	for i := range c.members {
		all = append(all, c.endpoint(i))
	}
	return all
}

// freeAddress returns one that nobody listens at now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func newClient(t testing.TB, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
		DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// keys returns how many keys there are.
func keys(t testing.TB, client *clientv3.Client) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), locktest.Stuck)
	defer cancel()
	answer, err := client.Get(ctx, "/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	require.NoError(t, err)
	return answer.Count
}
