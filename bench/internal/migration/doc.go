// Package migration has only a test: programs with gofrs/flock beside programs with
// this lock.
package migration
