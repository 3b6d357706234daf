// Package fence takes fencing tokens: numbers that grow with every grant of a
// lock, from a record that outlasts processes, reboots and power losses.
//
// # The record
//
// A record is a directory with one empty file in it, whose name is
//
//	<last>-<limit>            or            <last>-<limit>-unsynced
//
// last is the token that was taken last. All tokens up to limit are reserved: the
// disk knows that they may have been given, whatever it has missed since. A token is
// taken by renaming the file:
//
//	7-1024           →  8-1024              takes 8
//	1024-1024        →  1025-2048-unsynced  takes 1025, and then, in this order,
//	                    sync the directory
//	1025-2048-unsynced → 1025-2048          others may go on without a sync
//
// # Why no token comes twice, and none after a higher one
//
// A rename is a compare-and-swap. It fails if the old name is not there, and every
// rename goes to a name with a higher last, so that no name ever returns: of all who
// have seen one state, exactly one takes it further, and who was stopped in between,
// for however long, fails. That is so on every filesystem, for all clients of a
// server too, where appending and locks are not. A kill leaves the state before or
// the state after; there is nothing to be half-written, and a full disk has room.
//
// The record is born with its file in it, by the rename of a directory: a second
// one cannot take the place of a first one that has a file.
//
// After a power loss the disk shows some state that is no older than the last sync.
// Its limit is no lower than any token that was given: who reserves gives nothing
// before the sync has succeeded, and nobody else goes by a limit marked unsynced. So
// who cannot know whether there was a power loss reserves anew, above limit. That is
// everybody who has just opened the record. From then on it knows: it lives, and the
// filesystem is its own kernel's and has not been unmounted, since it keeps the record
// open. Where a server keeps the filesystem, the server's power counts, so that there
// each token is a reservation of its own.
//
// What this does not see to, and the caller must: a token is to be taken after the
// lock was entered, and counts only if the lock is still held afterwards. Else one
// who was stopped in between would have a higher token than who has the lock.
package fence
