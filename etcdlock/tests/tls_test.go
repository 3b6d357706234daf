package tests

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/etcdlock"
)

// certify writes a server's certificate and key to dir, and returns a pool that trusts
// it.
func certify(t *testing.T, dir string, until time.Time) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(filepath.Join(dir, certName), cert, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, keyName), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600))
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(cert))
	return pool
}

// TestTLS: a server that cannot be trusted is told at once, and one that can serves.
func TestTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		until   time.Time
		trusted bool
		ok      bool
	}{
		"trusted":  {time.Now().Add(time.Hour), true, true},
		"wrong CA": {time.Now().Add(time.Hour), false, false},
		"expired":  {time.Now().Add(-time.Hour), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pool := certify(t, dir, tt.until)
			if !tt.trusted {
				pool = certify(t, t.TempDir(), tt.until)
			}
			c := startClusterIn(t, 1, dir)
			client, err := clientv3.New(clientv3.Config{
				Endpoints: []string{"https://" + c.endpoint(0)}, TLS: &tls.Config{RootCAs: pool}, Logger: zap.NewNop(),
			})
			require.NoError(t, err)
			t.Cleanup(func() { client.Close() })
			e, err := etcdlock.New(client)
			require.NoError(t, err)
			l, err := filelock.New("name", filelock.WithEngine(e))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			began := time.Now()
			err = l.Acquire(ctx)
			took := time.Since(began)
			t.Logf("after %v: %v", took, err)
			if tt.ok {
				require.NoError(t, err)
				require.NoError(t, l.Unlock())
				return
			}
			require.Less(t, took, atOnceLimit())
			require.ErrorIs(t, err, fs.ErrPermission)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "x509")
		})
	}
}
