//go:build !unix

package cli

import (
	"os"
	"os/exec"
)

func endSignals() []os.Signal { return []os.Signal{os.Interrupt} }

func ownGroup(*exec.Cmd) {}

func signalGroup(*exec.Cmd, os.Signal) bool { return false }
