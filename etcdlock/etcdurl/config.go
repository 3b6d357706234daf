package etcdurl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filelock-go/filelock/etcdlock"
)

const (
	defaultEndpoint = "127.0.0.1:2379"
	defaultPort     = "2379"
	// keepAlive is when a silent connection is asked for a sign of life, and how long
	// that may take. (gRPC makes ten seconds of the first.)
	keepAlive = 2 * time.Second
)

// config is all that a connection needs.
type config struct {
	endpoints      []string // sorted, with schemes
	user, password string
	root           string
	tls            tlsFiles
}

// String names the connection, without the password.
func (c *config) String() string {
	return fmt.Sprintf("etcd %s user=%q root=%q tls=%q", strings.Join(c.endpoints, ","), c.user, c.root, c.tls)
}

// config is what the URL says, and the environment.
func (a *address) config() (*config, error) {
	c := &config{root: a.root}
	if c.root == "" {
		c.root = etcdlock.DefaultRoot
	}
	hosts := a.hosts
	if len(hosts) == 0 {
		if os.Getenv("ETCDCTL_DISCOVERY_SRV") != "" {
			return nil, errors.New("ETCDCTL_DISCOVERY_SRV is not understood: name the hosts in the URL, or in ETCDCTL_ENDPOINTS")
		}
		hosts = strings.Split(valueOr(os.Getenv("ETCDCTL_ENDPOINTS"), defaultEndpoint), ",")
	}
	secure := 0
	for _, host := range hosts {
		e, err := a.endpoint(host)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(e, "https://") {
			secure++
		}
		c.endpoints = append(c.endpoints, e)
	}
	if secure != 0 && secure != len(hosts) {
		return nil, errors.New("some of the endpoints are with TLS, and some without")
	}
	slices.Sort(c.endpoints)
	c.endpoints = slices.Compact(c.endpoints)
	if secure > 0 {
		var err error
		if c.tls, err = tlsOfEnvironment(); err != nil {
			return nil, err
		}
	}
	c.user, c.password = userOf(a.user)
	if c.user != "" && c.password == "" {
		return nil, fmt.Errorf("the user %q has no password: put it in ETCDCTL_PASSWORD", c.user)
	}
	return c, nil
}

// userOf returns the user and the password. As for etcdctl, the user's variable holds both
// if the password has none of its own. The one of another user is not used.
func userOf(named string) (user, password string) {
	user, password = os.Getenv("ETCDCTL_USER"), os.Getenv("ETCDCTL_PASSWORD")
	if password == "" {
		user, password, _ = strings.Cut(user, ":")
		if named != "" && named != user {
			password = ""
		}
	}
	return valueOr(named, user), password
}

func valueOr(value, other string) string {
	if value == "" {
		return other
	}
	return value
}

// endpoint is one as the client wants it. In the environment a host may have a scheme
// of its own.
func (a *address) endpoint(host string) (string, error) {
	host = strings.TrimSpace(host)
	scheme := "http"
	if a.tls {
		scheme = "https"
	}
	if own, rest, ok := strings.Cut(host, "://"); ok {
		switch {
		case own != "http" && own != "https":
			return "", fmt.Errorf("endpoint %q: want host:port, http://host:port or https://host:port", host)
		case own == "http" && a.tls:
			return "", fmt.Errorf("endpoint %q is without TLS, and etcds is with it", host)
		}
		scheme, host = own, strings.TrimSuffix(rest, "/")
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		// Without a port. An address of IPv6 is in brackets.
		name, port, err = net.SplitHostPort(host + ":" + defaultPort)
	}
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || number == 0 || name == "" || strings.ContainsAny(name, "/%@ \t") {
		return "", fmt.Errorf("endpoint %q: want host:port", host)
	}
	return scheme + "://" + net.JoinHostPort(name, port), nil
}

// tlsFiles are what TLS needs. The zero value is no TLS.
type tlsFiles struct {
	CA, Cert, Key string // paths, or ""
	SkipVerify    bool
	on            bool
}

func tlsOfEnvironment() (t tlsFiles, err error) {
	t = tlsFiles{CA: os.Getenv("ETCDCTL_CACERT"), Cert: os.Getenv("ETCDCTL_CERT"), Key: os.Getenv("ETCDCTL_KEY"), on: true}
	if (t.Cert == "") != (t.Key == "") {
		return t, errors.New("of ETCDCTL_CERT and ETCDCTL_KEY only one is set")
	}
	if skip := os.Getenv("ETCDCTL_INSECURE_SKIP_TLS_VERIFY"); skip != "" {
		if t.SkipVerify, err = strconv.ParseBool(skip); err != nil {
			return t, fmt.Errorf("ETCDCTL_INSECURE_SKIP_TLS_VERIFY=%q: want true or false", skip)
		}
	}
	return t, nil
}

func (t tlsFiles) String() string {
	if !t.on {
		return ""
	}
	return strings.Join([]string{"on", t.CA, t.Cert, t.Key, strconv.FormatBool(t.SkipVerify)}, ",")
}

// config reads the files.
func (t tlsFiles) config() (*tls.Config, error) {
	if !t.on {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.SkipVerify}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("ETCDCTL_CACERT: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ETCDCTL_CACERT: there is no certificate in %s", t.CA)
		}
	}
	if t.Cert != "" {
		if _, err := t.certificate(nil); err != nil {
			return nil, err
		}
		// A command may run for longer than its certificate is valid: each connection
		// takes what is in the file then.
		c.GetClientCertificate = t.certificate
	}
	return c, nil
}

func (t tlsFiles) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("ETCDCTL_CERT, ETCDCTL_KEY: %w", err)
	}
	return &c, nil
}
