package etcdurl

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/engine"
)

func clearEnvironment(t *testing.T) {
	for _, name := range []string{
		"ENDPOINTS", "DISCOVERY_SRV", "USER", "PASSWORD", "CACERT", "CERT", "KEY", "INSECURE_SKIP_TLS_VERIFY",
	} {
		t.Setenv("ETCDCTL_"+name, "")
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]address{
		"etcd://host/name": {hosts: []string{"host"}, name: "name"},
		"ETCD://host/name": {hosts: []string{"host"}, name: "name"},
		"etcds://a:1,[::1]:2,c/jobs/nightly?lease=10s": {tls: true, hosts: []string{"a:1", "[::1]:2", "c"}, name: "jobs/nightly", lease: 10 * time.Second},
		"etcd:///name":  {name: "name"},
		"etcd:////name": {name: "/name"},
		"etcd://me%40here@host/a%23b%20c%3f?root=%2Fx": {user: "me@here", hosts: []string{"host"}, name: "a#b c?", root: "/x"},
		"etcd://host/a@b:c,d?lease=1m&root=team":       {hosts: []string{"host"}, name: "a@b:c,d", lease: time.Minute, root: "team"},
	} {
		got, err := parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, *got, text)
	}
	for text, want := range map[string]string{
		"etcd://me:secret@host/name":         "ETCDCTL_PASSWORD",
		"etcd://me:@host/name":               "ETCDCTL_PASSWORD",
		"etcd://@host/name":                  "user",
		"etcd://%zz@host/name":               "user",
		"etcd://host":                        "name is missing",
		"etcd://host/":                       "name is missing",
		"etcd://host/%zz":                    "name",
		"etcd://host/a#b":                    "%23",
		"etcd://host/name?lease=10":          "whole seconds",
		"etcd://host/name?lease=1500ms":      "whole seconds",
		"etcd://host/name?lease=0s":          "whole seconds",
		"etcd://host/name?lease=1s&lease=2s": "2 times",
		"etcd://host/name?root=":             "root",
		"etcd://host/name?root=/x/":          "root",
		"etcd://host/name?ttl=3s":            "lease and root",
		"etcd://host/name?%zz":               "parameters",
	} {
		_, err := parse(text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestLocate(t *testing.T) {
	for _, tt := range []struct {
		text    string
		env     map[string]string
		service string
	}{
		{"etcd:///name", nil, `etcd http://127.0.0.1:2379 user="" root="/filelock" tls=""`},
		{"etcd://b:1,a,b:1/name", nil, `etcd http://a:2379,http://b:1 user="" root="/filelock" tls=""`},
		{"etcd://[::1],[::2]:7/name", nil, `etcd http://[::1]:2379,http://[::2]:7 user="" root="/filelock" tls=""`},
		{"etcds://a/name?root=x", map[string]string{"CACERT": "ca", "CERT": "c", "KEY": "k"}, `etcd https://a:2379 user="" root="x" tls="on,ca,c,k,false"`},
		{"etcd:///name", map[string]string{"ENDPOINTS": "http://a:1, b:2", "CACERT": "ca"}, `etcd http://a:1,http://b:2 user="" root="/filelock" tls=""`},
		{"etcd:///name", map[string]string{"ENDPOINTS": "https://a:1/", "INSECURE_SKIP_TLS_VERIFY": "true"}, `etcd https://a:1 user="" root="/filelock" tls="on,,,,true"`},
		{"etcds:///name", map[string]string{"ENDPOINTS": "a:1"}, `etcd https://a:1 user="" root="/filelock" tls="on,,,,false"`},
		{"etcd://a/name", map[string]string{"ENDPOINTS": "b:1", "DISCOVERY_SRV": "x"}, `etcd http://a:2379 user="" root="/filelock" tls=""`},
		{"etcd://a/name", map[string]string{"USER": "me:secret"}, `etcd http://a:2379 user="me" root="/filelock" tls=""`},
		{"etcd://a/name", map[string]string{"USER": "me", "PASSWORD": "secret"}, `etcd http://a:2379 user="me" root="/filelock" tls=""`},
		{"etcd://you@a/name", map[string]string{"USER": "me:other", "PASSWORD": "secret"}, `etcd http://a:2379 user="you" root="/filelock" tls=""`},
	} {
		clearEnvironment(t)
		for name, value := range tt.env {
			t.Setenv("ETCDCTL_"+name, value)
		}
		at, err := engine.Locate(tt.text)
		require.NoError(t, err, tt.text)
		require.Equal(t, tt.service, at.Service)
		require.Equal(t, "name", at.Name)
	}
	for _, tt := range []struct {
		text string
		env  map[string]string
		says string
	}{
		{"etcd://a:x/name", nil, "host:port"},
		{"etcd://a:0/name", nil, "host:port"},
		{"etcd://a:70000/name", nil, "host:port"},
		{"etcd://::1/name", nil, "host:port"},
		{"etcd://a,,b/name", nil, "host:port"},
		{"etcds:///name", map[string]string{"ENDPOINTS": "http://a:1"}, "without TLS"},
		{"etcd:///name", map[string]string{"ENDPOINTS": "http://a:1,https://b:1"}, "some"},
		{"etcd:///name", map[string]string{"ENDPOINTS": "unix://a:1"}, "want host:port"},
		{"etcd:///name", map[string]string{"DISCOVERY_SRV": "example.org"}, "DISCOVERY_SRV"},
		{"etcds://a/name", map[string]string{"CERT": "c"}, "only one"},
		{"etcds://a/name", map[string]string{"INSECURE_SKIP_TLS_VERIFY": "maybe"}, "true or false"},
		{"etcd://a/name", map[string]string{"USER": "me"}, "ETCDCTL_PASSWORD"},
		{"etcd://you@a/name", map[string]string{"USER": "me:other"}, "ETCDCTL_PASSWORD"},
	} {
		clearEnvironment(t)
		for name, value := range tt.env {
			t.Setenv("ETCDCTL_"+name, value)
		}
		_, err := engine.Locate(tt.text)
		require.ErrorContains(t, err, tt.says, tt.text)
	}
}

// TestConnect: what is wrong with files is told, and a user's connection to a server
// that does not answer ends with its context.
func TestConnect(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	for _, tt := range []struct {
		text string
		env  map[string]string
		says string
		is   error
	}{
		{"etcds://a/name", map[string]string{"CACERT": filepath.Join(t.TempDir(), "missing")}, "ETCDCTL_CACERT", nil},
		{"etcds://a/name", map[string]string{"CACERT": "etcdurl_test.go"}, "no certificate", nil},
		{"etcds://a/name", map[string]string{"CERT": "x", "KEY": "y"}, "ETCDCTL_CERT", nil},
		{"etcd://" + silent.Addr().String() + "/name", map[string]string{"USER": "me:secret"}, "", engine.ErrUnavailable},
	} {
		clearEnvironment(t)
		for name, value := range tt.env {
			t.Setenv("ETCDCTL_"+name, value)
		}
		at, err := Locate(tt.text)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		_, err = at.Connect(ctx)
		cancel()
		require.ErrorContains(t, err, tt.says)
		if tt.is != nil {
			require.ErrorIs(t, err, tt.is)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Less(t, time.Since(began), 2*time.Second)
	}
}
