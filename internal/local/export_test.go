package local

import "sync"

// ForgetWaiters empties the pool of waiters: a channel that was made in one
// bubble of testing/synctest cannot be used in another.
func ForgetWaiters() { idle = sync.Pool{New: idle.New} }
