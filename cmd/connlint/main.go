// Command connlint checks packet captures for faults in HTTP connection reuse.
package main

import (
	"os"

	"github.com/connlint/connlint/cmd/connlint/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cli.System())) }
