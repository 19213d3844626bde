//go:build linux

// Command lab records the captures in testdata/recorded: it builds network
// namespaces joined by a user-space link, runs real programs against each
// other, captures what the wire carried, and checks with tshark that each
// capture shows what its note claims before it keeps it.
//
//	go run ./testdata/lab list [-v]
//	go run ./testdata/lab record [-o DIR] [-keep] [SCENARIO…]
//	go run ./testdata/lab index [-o DIR]
//
// A SCENARIO is a name from list or a path.Match pattern; without one, all are
// recorded. Recording needs root, iproute2, tcpdump, tshark, ethtool and the
// programs the scenario names. Nothing leaves the namespaces it makes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

const defaultOut = "testdata/recorded"

func main() {
	// The lab starts itself again inside a namespace to play its Go parts.
	if len(os.Args) > 2 && os.Args[1] == "program" {
		if err := runGoProgram(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "lab program:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(cli(os.Args[1:], os.Stdout, os.Stderr))
}

func cli(args []string, out, errw io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(errw, "usage: lab list [-v] | lab record [-o DIR] [-keep] [SCENARIO…] | lab index [-o DIR]")
		return 2
	}
	switch args[0] {
	case "list":
		return list(args[1:], out, errw)
	case "record":
		return record(args[1:], out, errw)
	case "index":
		return index(args[1:], errw)
	}
	fmt.Fprintf(errw, "lab: unknown command %q (there are list, record and index)\n", args[0])
	return 2
}

func list(args []string, out, errw io.Writer) int {
	fs := flag.NewFlagSet("list", flag.ContinueOnError)
	fs.SetOutput(errw)
	verbose := fs.Bool("v", false, "also print titles")
	if fs.Parse(args) != nil {
		return 2
	}
	for _, s := range scenarios() {
		if *verbose {
			fmt.Fprintf(out, "%-7s  %-40s  %s\n", s.Family, s.Name, s.Title)
		} else {
			fmt.Fprintln(out, s.Name)
		}
	}
	return 0
}

func record(args []string, out, errw io.Writer) int {
	fs := flag.NewFlagSet("record", flag.ContinueOnError)
	fs.SetOutput(errw)
	dir := fs.String("o", defaultOut, "directory to write recordings to")
	keep := fs.Bool("keep", false, "keep a recording whose evidence check fails, to look at it")
	if fs.Parse(args) != nil {
		return 2
	}
	chosen, err := choose(scenarios(), fs.Args())
	if err != nil {
		fmt.Fprintln(errw, "lab:", err)
		return 2
	}
	if err := preflight(chosen); err != nil {
		fmt.Fprintln(errw, "lab:", err)
		return 2
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		fmt.Fprintln(errw, "lab:", err)
		return 2
	}
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt, syscall.SIGTERM)

	failed := 0
	for _, s := range chosen {
		select {
		case <-interrupt:
			fmt.Fprintln(errw, "lab: interrupted")
			return 3
		default:
		}
		files, err := recordScenario(s, *dir, *keep)
		for _, f := range files {
			fmt.Fprintf(out, "recorded %s\n", filepath.Base(f))
		}
		if err != nil {
			failed++
			fmt.Fprintf(errw, "lab: %s: %v\n", s.Name, err)
		}
	}
	if err := writeIndex(*dir); err != nil {
		fmt.Fprintln(errw, "lab:", err)
		return 3
	}
	if failed > 0 {
		fmt.Fprintf(errw, "lab: %d of %d scenarios failed\n", failed, len(chosen))
		return 1
	}
	return 0
}

func index(args []string, errw io.Writer) int {
	fs := flag.NewFlagSet("index", flag.ContinueOnError)
	fs.SetOutput(errw)
	dir := fs.String("o", defaultOut, "directory that holds the recordings")
	if fs.Parse(args) != nil {
		return 2
	}
	if err := writeIndex(*dir); err != nil {
		fmt.Fprintln(errw, "lab:", err)
		return 3
	}
	return 0
}

// choose picks the scenarios whose names match any pattern, in catalogue order.
func choose(all []*Scenario, patterns []string) ([]*Scenario, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	picked := map[*Scenario]bool{}
	for _, pattern := range patterns {
		found := false
		for _, s := range all {
			ok, err := path.Match(pattern, s.Name)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", pattern, err)
			}
			if ok {
				picked[s], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("no scenario matches %q; `lab list` prints their names", pattern)
		}
	}
	var chosen []*Scenario
	for _, s := range all {
		if picked[s] {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

// preflight says in one message everything the chosen scenarios lack.
func preflight(chosen []*Scenario) error {
	if os.Geteuid() != 0 {
		return errors.New("recording needs root: it makes network namespaces and opens packet sockets")
	}
	need := map[string]bool{"ip": true, "ss": true, "tcpdump": true, "dumpcap": true, "tshark": true, "ethtool": true}
	for _, s := range chosen {
		for _, p := range s.Programs {
			if c := catalogue[p].command; c != "" {
				need[c] = true
			}
		}
	}
	if missing := missingCommands(need); len(missing) > 0 {
		return fmt.Errorf("missing programs: %s (testdata/lab/README.md lists their packages)",
			strings.Join(missing, ", "))
	}
	return nil
}
