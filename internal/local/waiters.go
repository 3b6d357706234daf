package local

// waiters is a list of goroutines, linked through themselves: container/list
// would allocate for each that waits.
type waiters struct {
	first, last *waiter
	n           int
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
	ws.n++
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
	ws.n--
}

// before returns how many are ahead of w.
func (ws *waiters) before(w *waiter) (n int) {
	for w = w.prev; w != nil; w = w.prev {
		n++
	}
	return n
}

// place returns an attempt's place in the list, from 1 on, or 0 if it is not there.
func (ws *waiters) place(a Attempt) (n int) {
	for w := ws.first; w != nil; w = w.next {
		if n++; w.attempt == a {
			return n
		}
	}
	return 0
}
