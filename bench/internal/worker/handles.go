package worker

import (
	"sync"

	"github.com/filelock-go/filelock/bench/internal/rival"
)

// handles opens locks; where goroutines are to share a handle, one for each
// path.
type handles struct {
	mu     sync.Mutex
	shared map[string]rival.Lock
}

func (h *handles) open(key, path string) (rival.Lock, error) {
	r, err := rival.Get(key)
	if err != nil {
		return nil, err
	}
	if !r.Shared {
		return r.Open(path)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := key + "\x00" + path
	if l := h.shared[id]; l != nil {
		return l, nil
	}
	l, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	if h.shared == nil {
		h.shared = map[string]rival.Lock{}
	}
	h.shared[id] = l
	return l, nil
}

// done closes a handle that is nobody else's.
func (h *handles) done(l rival.Lock) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.shared {
		if s == l {
			return
		}
	}
	l.Close()
}
