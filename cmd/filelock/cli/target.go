package cli

import (
	"errors"
	"fmt"

	"github.com/filelock-go/filelock/engine"
)

// target is one lock that the arguments name: by a path, or by a URL as a lock in a
// lock service.
type target struct {
	text string           // as it was given
	at   *engine.Location // nil: it is a path
}

// elsewhere is what has the lock services that this program may be built without.
var elsewhere = map[string]string{
	"etcd":  "github.com/filelock-go/filelock/etcdlock/cmd/filelock",
	"etcds": "github.com/filelock-go/filelock/etcdlock/cmd/filelock",
}

func parseTarget(text string) (target, error) {
	scheme, ok := engine.Scheme(text)
	if !ok {
		return target{text: text}, nil
	}
	at, err := engine.Locate(text)
	if errors.Is(err, engine.ErrNoScheme) {
		if module := elsewhere[scheme]; module != "" {
			return target{}, fmt.Errorf("this filelock is built without etcd; for one with it: go install %s@latest", module)
		}
		// What such a path would lock, a typing error would lock too. There may be a
		// password in the URL, so it is not repeated.
		return target{}, fmt.Errorf("there is no lock service %q (a path that looks like %s://... is written with ./ before it)", scheme, scheme)
	}
	if err != nil {
		return target{}, err
	}
	return target{text: text, at: &at}, nil
}

func parseTargets(texts []string) ([]target, error) {
	targets := make([]target, len(texts))
	for i, text := range texts {
		var err error
		if targets[i], err = parseTarget(text); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// inService reports whether one of the targets is in a lock service.
func inService(targets []target) bool {
	for _, t := range targets {
		if t.at != nil {
			return true
		}
	}
	return false
}
