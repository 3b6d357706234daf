package filelock

import "context"

// AcquireShared is Acquire for those who only read: any number may hold the lock
// together if all of them share it, and nobody else holds it meanwhile. It waits for
// exclusive holders and for those who wait to be one: whoever came before, reader or
// writer, is served before, so that neither kind keeps the other out for long.
//
// Goroutines that wait together share one place in the queue between processes, and one
// lease; see also WithBatch. What was acquired is given back with Unlock, which takes
// the last hold of whatever kind.
//
// There is no way from the one kind to the other while the lock is held: who waits
// knows what it waits for by the name of a ticket, which never changes, and would not
// wait for another one made later. For an owner that the context names and who holds
// the lock already:
//
//   - with WithReentrant, a shared acquisition adds a hold to what it holds, shared or
//     exclusive, which stays as it is;
//   - an exclusive one, where what it holds is shared, fails with ErrDeadlock at once
//     (a try with ErrLocked): give back the shared hold first, acquire anew, and look
//     again at what was read;
//   - without WithReentrant, all of these fail with ErrDeadlock.
//
// Where the context names no owner none of this can be known, and an exclusive
// acquisition waits for a shared hold of the same goroutine until its context is done.
//
// The errors are those of Acquire. If an exclusive ticket was ahead, the error is a
// *BusyError whose Holder is the first of these; readers may be inside before it.
func (l *FileLock) AcquireShared(ctx context.Context) error {
	_, err := l.acquire(ctx, request{shared: true})
	return err
}

// TryLockShared takes the lock to share it if nobody holds it exclusively, nor waits
// for that. Otherwise it fails with a *BusyError that matches ErrLocked, as TryLock
// does, which see.
func (l *FileLock) TryLockShared() error { return l.TryAcquireShared(context.Background()) }

// TryAcquireShared is TryLockShared for the owner that ctx names. If ctx is done, it
// fails with the context's error.
func (l *FileLock) TryAcquireShared(ctx context.Context) error {
	_, err := l.acquire(ctx, request{try: true, shared: true})
	return err
}

// HoldShared is to AcquireShared what Hold is to Acquire.
func (l *FileLock) HoldShared(ctx context.Context) (release func() error, err error) {
	return l.hold(ctx, request{named: true, shared: true})
}

// DoShared calls fn while the lock is held shared; see Do.
func (l *FileLock) DoShared(ctx context.Context, fn func(context.Context) error) error {
	return l.do(ctx, fn, request{named: true, shared: true})
}
