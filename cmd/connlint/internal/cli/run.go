package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/connlint/connlint/capture/live"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/rules/runner"
)

// What a shell's exit status says of a command it could not run.
const (
	exitNotFound     = 127
	exitNotRunnable  = 126
	exitSignalOffset = 128
)

type runFlags struct {
	captureFlags
	grace time.Duration
}

func (a *app) runCommand() *cobra.Command {
	f := runFlags{captureFlags: newCaptureFlags()}
	f.format = choice{"text", report.Formats()}
	cmd := &cobra.Command{
		Use:     "run [FLAGS] -- COMMAND [ARG...]",
		Short:   "Run a command and check the traffic it causes",
		GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `run captures while a command runs, as a test suite, and then reports as check does, on
standard error. The command has standard input, output and error to itself until it
ends. After that run waits for its last connections to close, for --grace at most.

Everything on the interface counts, whoever sends it: narrow it down with --filter.

Exit status: the command's if it failed; else as that of check: 0 nothing at or above
--fail-on, 1 findings, 2 wrong usage or no right to capture, 3 the capture broke off.`,
		Example: `  connlint run -- go test ./...
  connlint run --filter 'port 8080' --output jsonl:findings.jsonl -- make integration
  connlint run -i any --write suite.pcapng -- npm test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("run needs a command after --, as in connlint run -- make test")
			}
			return a.run(cmd, &f, args)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.SetInterspersed(false) // what follows the command is its own
	f.addCapture(cmd, "capture on `INTERFACE`, as often as you like; any for all (default lo, the loopback)")
	fs.DurationVar(&f.grace, "grace", time.Second, "after the command, wait so long for connections to close")
	group(fs, "Capture")
	f.addRules(cmd)
	addChoice(cmd, "format", &f.format, "output `format`: text, concise, json, jsonl, sarif, junit, github, gitlab, checkstyle, rdjson, markdown")
	fs.Var(&f.outputs, "output", "write to `FILE` instead of standard error; FORMAT:FILE, as often as you like, writes there as well")
	fs.BoolVar(&f.all, "all", false, "list each occurrence, not groups of alike ones")
	fs.Var(&f.maxPerRule, "max-per-rule", "list at most `N` findings of a rule, 0 for all")
	fs.BoolVar(&f.statistics, "statistics", false, "a table by rule in place of the findings (text)")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "findings alone: no summary")
	addChoice(cmd, "color", &f.color, "colors, `when`: auto, always, never")
	f.addRedact(cmd)
	group(fs, "Output")
	f.addJobs(fs)
	group(fs, "Reading")
	return cmd
}

func (a *app) run(cmd *cobra.Command, f *runFlags, argv []string) error {
	if f.grace < 0 {
		return errors.New("--grace: a time from 0 on")
	}
	if len(f.interfaces) == 0 {
		f.interfaces = []string{loopback()}
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		a.status = exitNotFound
		a.complain(fmt.Errorf("cannot run %s: %w", argv[0], sayWhyNot(err)))
		return nil
	}
	s, err := a.openSession(cmd, &f.captureFlags)
	if err != nil {
		return err
	}
	s.opts.Monitor = runner.NewMonitor(runner.MonitorOptions{Live: true, Conns: 1, Findings: 1})

	// The socket is open: what the command sends is captured from its first
	// packet on.
	c := &child{cmd: exec.Command(path, argv[1:]...), tty: a.InTTY}
	c.cmd.Args[0] = argv[0]
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = a.In, a.stdout, a.Err
	c.cmd.Env = environment(s.owner)
	if err := c.start(); err != nil {
		a.status = exitNotRunnable
		a.complain(errors.Join(fmt.Errorf("cannot run %s: %w", argv[0], sayWhyNot(err)), s.src.Close()))
		return nil
	}
	over := make(chan struct{})
	var wait sync.WaitGroup
	failed := 0
	wait.Go(func() {
		failed = c.wait()
		s.settle(f.grace)
		s.src.Stop()
	})
	r := s.run(over, &wait)
	a.status = cmp.Or(failed, r.Status)
	// The report goes where it does not mix with the command's output.
	aside := *a
	aside.Out, aside.OutTTY = a.Err, a.ErrTTY
	s.job.app = &aside
	err = s.job.write(r)
	if err != nil && failed != 0 {
		a.complain(err)
		return nil
	}
	return err
}

// settle waits until no connection is open, or the grace time is over.
func (s *session) settle(grace time.Duration) {
	const step = 50 * time.Millisecond
	for end := time.Now().Add(grace); time.Now().Before(end); {
		time.Sleep(min(step, time.Until(end)))
		if s.opts.Monitor.Snapshot().Total.Open == 0 {
			return
		}
	}
}

// environment returns the command's: that of this process, but for what names
// the user if it has become another.
func environment(u *live.Account) []string {
	if u == nil {
		return nil
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "USER" || name == "LOGNAME" || name == "HOME" && u.Home != ""
	})
	env = append(env, "USER="+u.Name, "LOGNAME="+u.Name)
	if u.Home != "" {
		env = append(env, "HOME="+u.Home)
	}
	return env
}

// sayWhyNot shortens the errors of exec, whose text repeats the command.
func sayWhyNot(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e.Err
	}
	return sayWhy(err)
}

// child is a command that runs. Signals that are to end this process are
// passed on to it, and it is waited for.
type child struct {
	cmd     *exec.Cmd
	tty     bool // the terminal's signals reach it by themselves
	signals chan os.Signal
}

// signalLag is how much later than the command a signal for both may come.
const signalLag = 200 * time.Millisecond

// patience is how long a command that was told to end may take.
const patience = 5 * time.Second

func (c *child) start() error {
	c.signals = make(chan os.Signal, 8)
	signal.Notify(c.signals, endSignals()...)
	if !c.tty {
		ownGroup(c.cmd)
	}
	adopt()
	err := c.cmd.Start()
	if err != nil {
		signal.Stop(c.signals)
	}
	return err
}

// wait returns the command's exit status, as a shell gives it.
func (c *child) wait() int {
	done := make(chan error, 1)
	go func() { done <- c.cmd.Wait() }()
	var late <-chan time.Time
	told := 0
	for {
		select {
		case err := <-done:
			status := c.status(err)
			interrupted := late != nil
			if !interrupted && status > exitSignalOffset {
				// A terminal's signal may have reached it first.
				select {
				case <-c.signals:
					interrupted = true
				case <-time.After(signalLag):
				}
			}
			signal.Stop(c.signals)
			if interrupted {
				// What it left behind was told too, and may not have listened.
				if !c.tty {
					signalGroup(c.cmd, syscall.SIGTERM)
				}
				endLeft()
			}
			return status
		case sig := <-c.signals:
			if !c.tty || sig != os.Interrupt {
				c.signal(sig)
			}
			if late == nil {
				late = time.After(patience)
			}
		case <-late:
			// First gently, then not.
			if told++; told == 1 {
				c.signal(syscall.SIGTERM)
			} else {
				c.signal(os.Kill)
			}
			late = time.After(patience)
		}
	}
}

func (c *child) signal(sig os.Signal) {
	if !c.tty && signalGroup(c.cmd, sig) {
		return
	}
	_ = c.cmd.Process.Signal(sig) // it may just have ended
}

func (c *child) status(err error) int {
	state := c.cmd.ProcessState
	if state == nil {
		return exitNotRunnable
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitSignalOffset + int(ws.Signal())
	}
	if code := state.ExitCode(); code != 0 {
		return code
	}
	if err != nil { // its output could not be passed on
		return exitNotRunnable
	}
	return 0
}

// loopback returns the name of the loopback interface.
func loopback() string {
	list, err := net.Interfaces()
	if err == nil {
		for _, i := range list {
			if i.Flags&net.FlagLoopback != 0 {
				return i.Name
			}
		}
	}
	return "lo"
}
