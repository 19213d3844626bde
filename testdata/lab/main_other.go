//go:build !linux

// Command lab records testdata/recorded. It needs Linux: network namespaces,
// veth pairs and AF_PACKET sockets have no counterpart elsewhere.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "lab: recording needs Linux (network namespaces, veth, AF_PACKET) and root; the recordings themselves are in testdata/recorded")
	os.Exit(2)
}
