//go:build !linux

package ticket

import "crypto/rand"

func fillRandom(b []byte) { rand.Read(b) }
