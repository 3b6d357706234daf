package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/engine"
)

func TestScheme(t *testing.T) {
	for text, want := range map[string]string{
		"etcd://host/name": "etcd", "ETCDS:///name": "etcds", "a+b-c.9://x": "a+b-c.9",
		"": "", "name": "", "/a/b": "", "etcd:/host/name": "", "./etcd://host": "", "c://dir/file": "",
		"9p://host": "", "a b://c": "", "ä://c": "", "://c": "",
	} {
		got, ok := engine.Scheme(text)
		require.Equal(t, want, got, text)
		require.Equal(t, want != "", ok, text)
	}
}

func TestLocate(t *testing.T) {
	_, err := engine.Locate("nobody://host/name")
	require.ErrorIs(t, err, engine.ErrNoScheme)
	_, err = engine.Locate("name")
	require.ErrorIs(t, err, engine.ErrNoScheme)

	engine.Register("for-test", func(url string) (engine.Location, error) {
		return engine.Location{Service: "here", Name: url}, nil
	})
	for _, url := range []string{"for-test://host/name", "For-Test://host/name"} {
		at, err := engine.Locate(url)
		require.NoError(t, err)
		require.Equal(t, engine.Location{Service: "here", Name: url}, at)
	}
	require.Panics(t, func() { engine.Register("for-test", nil) })
}
