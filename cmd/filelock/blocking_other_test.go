//go:build unix && !linux

package main

// blocking is used on Linux only.
func blocking() {}
