//go:build unix && !linux

package main

func mayMount() bool { return false }

func mayUnshare() bool { return false }
