package etcdurl

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// address is a URL, taken apart.
type address struct {
	tls   bool
	user  string
	hosts []string // none: the environment says which
	name  string
	lease time.Duration
	root  string
}

// parse takes a URL apart. Package net/url knows no lists of hosts. No error repeats the
// URL: there may be a password in it.
func parse(text string) (*address, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	if strings.Contains(rest, "#") {
		return nil, errors.New("a URL of etcd has no # in it; in a name it is written %23")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, name, _ := strings.Cut(rest, "/")
	a := &address{tls: strings.EqualFold(scheme, "etcds")}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user := authority[:i]
		if strings.Contains(user, ":") {
			return nil, errors.New("a password in a URL can be seen by others: put it in ETCDCTL_PASSWORD")
		}
		var err error
		if a.user, err = url.PathUnescape(user); err != nil || a.user == "" {
			return nil, errors.New("the user in the URL is no name")
		}
		authority = authority[i+1:]
	}
	if authority != "" {
		a.hosts = strings.Split(authority, ",")
	}
	var err error
	if a.name, err = url.PathUnescape(name); err != nil {
		return nil, fmt.Errorf("the lock's name: %w", err)
	}
	if a.name == "" {
		return nil, errors.New("the lock's name is missing: etcd://HOST:PORT/NAME")
	}
	return a, a.parameters(query)
}

// parameters takes what follows the question mark.
func (a *address) parameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("the parameters: %w", err)
	}
	for key, all := range values {
		value := all[len(all)-1]
		switch {
		case len(all) > 1:
			return fmt.Errorf("the parameter %q is there %d times", key, len(all))
		case key == "lease":
			a.lease, err = time.ParseDuration(value)
			if err != nil || a.lease < time.Second || a.lease%time.Second != 0 {
				return fmt.Errorf("lease=%q: want whole seconds, such as 10s", value)
			}
		case key == "root":
			if a.root = value; value == "" || strings.HasSuffix(value, "/") {
				return fmt.Errorf("root=%q: want what keys begin with, without a slash at its end", value)
			}
		default:
			return fmt.Errorf("there is no parameter %q; there are lease and root", key)
		}
	}
	return nil
}
