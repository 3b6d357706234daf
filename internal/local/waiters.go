package local

// waiters is a list of goroutines, linked through themselves: container/list
// would allocate for each that waits.
type waiters struct {
	first, last *waiter
	n           int
	exclusive   int // of these, those of the exclusive kind
}

// push puts w last.
func (ws *waiters) push(w *waiter) {
	w.prev = ws.last
	if ws.last == nil {
		ws.first = w
	} else {
		ws.last.next = w
	}
	ws.last = w
	ws.count(w, 1)
}

// remove takes w out of the list, in which it must be.
func (ws *waiters) remove(w *waiter) {
	if w.prev == nil {
		ws.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		ws.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev = nil, nil
	ws.count(w, -1)
}

func (ws *waiters) count(w *waiter, d int) {
	ws.n += d
	if !w.attempt.Shared() {
		ws.exclusive += d
	}
}
