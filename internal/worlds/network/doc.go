// Package network is tests of the lock on a real network filesystem, between
// machines with kernels of their own. It is no more than tests, which skip
// unless they run on such a machine.
//
// Build them as a static program, put it on every client of one export, and
// start it there at the same moment in a directory of the export:
//
//	CGO_ENABLED=0 go test -c -o network.test ./internal/worlds/network
//	RIG_INDEX=1 RIG_HOSTS=2 RIG_DIR=/mnt RIG_REFEREE=10.0.0.11 ./network.test -test.v -for 60s
//
// with RIG_INDEX from 1 on, RIG_HOSTS the number of clients and RIG_REFEREE the
// address of the first one. That one keeps the score: the filesystem under test
// is no witness of overlaps on itself.
package network
