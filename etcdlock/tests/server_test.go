package tests

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/filelock-go/filelock/etcdlock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// election is how long a member waits for a leader's word.
const election = time.Second

// otherServer is the environment's name for the path of an etcd to test with, in place of
// the one that is compiled in.
const otherServer = "ETCD"

func init() {
	locktest.Register("etcd", serve)
	locktest.Register("other etcd", becomeServer)
}

// becomeServer is serve by the program of otherServer. That does not say when it is ready.
func becomeServer(args []string) error {
	cost, dir, number, addresses := args[0], args[1], args[2], args[3:]
	server, scheme := os.Getenv(otherServer), "http"
	cert, key := filepath.Join(filepath.Dir(dir), certName), filepath.Join(filepath.Dir(dir), keyName)
	flags := []string{server, "--data-dir", dir, "--name", "m" + number, "--log-level", "error", "--logger", "zap", "--bcrypt-cost", cost}
	if exists(cert) {
		scheme = "https"
		flags = append(flags, "--cert-file", cert, "--key-file", key)
	}
	var initial []string
	for i := 0; i < len(addresses); i += 2 {
		name := fmt.Sprintf("m%d", i/2)
		peer, client := "http://"+addresses[i], scheme+"://"+addresses[i+1]
		initial = append(initial, name+"="+peer)
		if name == "m"+number {
			flags = append(flags, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--listen-client-urls", client, "--advertise-client-urls", client)
		}
	}
	flags = append(flags, "--initial-cluster", strings.Join(initial, ","),
		"--heartbeat-interval", "100", "--election-timeout", fmt.Sprint(election.Milliseconds()))
	return syscall.Exec(server, flags, os.Environ())
}

// serve is one member: what passwords cost it, its directory, number, and the addresses of
// all, for peers and clients, in turn.
func serve(args []string) error {
	cost, dir, number, addresses := args[0], args[1], args[2], args[3:]
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name, cfg.LogLevel = dir, "m"+number, "error"
	bcrypt, err := strconv.ParseUint(cost, 10, 0)
	if err != nil {
		return err
	}
	cfg.BcryptCost = uint(bcrypt)
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
	server := "etcd"
	if os.Getenv(otherServer) != "" {
		server = "other etcd"
	}
	cost := 4 // the least: with the race detector others take seconds
	if *figures {
		cost = 10 // the default: a twentieth of a second
	}
	c.members[i] = locktest.Start(c.t, append([]any{server, cost, c.dirs[i], i}, c.addresses...)...)
}

func (c *cluster) ready(i int) {
	c.t.Helper()
	if os.Getenv(otherServer) == "" {
		c.members[i].Expect("ready")
		return
	}
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, // whether it is there, nothing else
	}}
	require.Eventually(c.t, func() bool {
		for _, scheme := range []string{"http", "https"} {
			if answer, err := client.Get(scheme + "://" + c.endpoint(i) + "/health"); err == nil {
				answer.Body.Close()
				return answer.StatusCode == http.StatusOK
			}
		}
		return false
	}, locktest.Stuck, 20*time.Millisecond, "etcd %s is not ready", os.Getenv(otherServer))
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

// contenders returns the keys of a lock, in the order of the queue.
func contenders(t testing.TB, client *clientv3.Client, name string) (all []string) {
	t.Helper()
	prefix := etcdlock.DefaultRoot + "/" + strings.ReplaceAll(name, "/", "%2F") + "/"
	answer, err := client.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	require.NoError(t, err)
	for _, kv := range answer.Kvs {
		all = append(all, string(kv.Key))
	}
	return all
}
