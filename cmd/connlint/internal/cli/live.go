package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/filter"
	"github.com/connlint/connlint/capture/live"
	"github.com/connlint/connlint/cmd/connlint/internal/report"
	"github.com/connlint/connlint/cmd/connlint/internal/tui"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/runner"
)

// filterFlags are the flags that choose packets.
type filterFlags struct{ expr, ddd string }

func (f *filterFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.expr, "filter", "", "only packets of this `EXPR`, in tcpdump's words: host, net, port, portrange, src, dst, tcp, udp, ip, ip6, vlan, and, or, not")
	fs.StringVar(&f.ddd, "filter-ddd", "", "only packets that the program in `FILE` takes: the output of tcpdump -ddd")
}

// filter returns what the flags say, nil for all packets.
func (f *filterFlags) filter() (*filter.Filter, error) {
	switch {
	case f.expr != "" && f.ddd != "":
		return nil, errors.New("--filter and --filter-ddd exclude each other")
	case f.expr != "":
		e, err := filter.New(f.expr)
		if se, ok := errors.AsType[*filter.SyntaxError](err); ok {
			return nil, errors.Join(fmt.Errorf("--filter: %w", err), fmt.Errorf("  %s", f.expr), fmt.Errorf("  %s", se.Mark()))
		} else if err != nil {
			return nil, fmt.Errorf("--filter: %w", err)
		}
		return e, nil
	case f.ddd != "":
		file, err := os.Open(f.ddd)
		if err != nil {
			return nil, fmt.Errorf("--filter-ddd: cannot read %q: %w", f.ddd, sayWhy(err))
		}
		defer file.Close()
		p, err := filter.ReadDDD(file)
		if err != nil {
			return nil, fmt.Errorf("--filter-ddd: %s: %w", f.ddd, err)
		}
		return filter.Compiled(p), nil
	}
	return nil, nil
}

// size is a flag that takes bytes, as in 64M.
type size int64

func (s *size) Type() string { return "SIZE" }

func (s *size) String() string {
	switch n := int64(*s); {
	case n == 0:
		return "0"
	case n%(1<<30) == 0:
		return strconv.FormatInt(n>>30, 10) + "G"
	case n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "M"
	default:
		return strconv.FormatInt(n, 10)
	}
}

func (s *size) Set(text string) error {
	digits, unit := strings.TrimRight(text, "kKMGiB"), int64(1)
	switch strings.TrimSuffix(strings.TrimSuffix(text[len(digits):], "B"), "i") {
	case "":
	case "k", "K":
		unit = 1 << 10
	case "M":
		unit = 1 << 20
	case "G":
		unit = 1 << 30
	default:
		return fmt.Errorf("%q is no size, such as 100M", text)
	}
	n, err := strconv.ParseInt(digits, 10, 40)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no size, such as 100M", text)
	}
	*s = size(n * unit)
	return nil
}

// captureFlags are what live and run have in common.
type captureFlags struct {
	checkFlags // those of them that make sense here

	interfaces []string
	snapLen    whole
	buffer     size
	user       string

	promiscuous bool // no flag of run

	save       saver
	rotateSize size
	ring       whole
}

func newCaptureFlags() captureFlags {
	return captureFlags{
		checkFlags: checkFlags{
			failOn:   choice{"warning", []string{"info", "warning", "error", "never"}},
			color:    choice{"auto", []string{"auto", "always", "never"}},
			redact:   choice{"default", []string{"default", "all", "none"}},
			progress: choice{value: "never"},
		},
		buffer: 64 << 20,
	}
}

func (f *captureFlags) addCapture(cmd *cobra.Command, ifaces string) {
	fs := cmd.Flags()
	fs.StringSliceVarP(&f.interfaces, "interface", "i", nil, ifaces)
	f.packets.add(fs)
	fs.Var(&f.snapLen, "snaplen", "keep `BYTES` of each packet, 0 for all")
	fs.Var(&f.buffer, "buffer", "memory for packets that wait: what does not fit is dropped, and counted")
	fs.StringVar(&f.user, "user", "", "go on as user `NAME` once the capture is open, if started as root (default: who called sudo)")
	group(fs, "Capture")
	fs.StringVar(&f.save.path, "write", "", "keep the packets in `FILE`, as pcapng")
	fs.Var(&f.rotateSize, "rotate-size", "begin another file after `SIZE`, as in 100M")
	fs.DurationVar(&f.save.every, "rotate-time", 0, "begin another file after `TIME`, as in 10m")
	fs.Var(&f.ring, "ring", "keep the latest `N` of these files")
	group(fs, "Packets")
}

func (f *captureFlags) addRules(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.addSelection(cmd)
	f.addPorts(fs)
	f.addBaseline(fs)
	group(fs, "Rules")
	f.addTo(fs)
	group(fs, "Configuration")
	addChoice(cmd, "fail-on", &f.failOn, "lowest `severity` that makes the exit status 1: info, warning, error, never")
	fs.BoolVar(&f.exitZero, "exit-zero", false, "exit 0 in spite of findings")
	group(fs, "Exit status")
}

// session is a capture that is open, and how to judge it.
type session struct {
	job   *job
	src   *live.Source
	tap   *tap
	opts  runner.Options
	owner *live.Account // that the process has become, nil if it stayed
	shown *tui.Tap      // around tap, where the terminal's screen shows it
}

// openSession opens the capture. After that the process is no longer root's.
func (a *app) openSession(cmd *cobra.Command, f *captureFlags) (*session, error) {
	j, err := a.newJob(cmd, &f.checkFlags, nil)
	if err != nil {
		return nil, err
	}
	f.save.size, f.save.ring = int64(f.rotateSize), int(f.ring)
	switch {
	case f.save.path == "" && (f.save.rotates() || f.ring > 0):
		return nil, errors.New("--rotate-size, --rotate-time and --ring need --write")
	case f.ring > 0 && !f.save.rotates():
		return nil, errors.New("--ring needs --rotate-size or --rotate-time")
	case f.save.every < 0:
		return nil, errors.New("--rotate-time: a time from 0 on")
	}
	for _, o := range f.outputs {
		if f.save.path != "" && filepath.Clean(o.file) == filepath.Clean(f.save.path) {
			return nil, fmt.Errorf("--output and --write name the same file, %q", o.file)
		}
	}
	src, err := live.Open(live.Options{Interfaces: f.interfaces, Filter: j.packets, SnapLen: int(f.snapLen),
		Promiscuous: f.promiscuous, Buffer: int(f.buffer)})
	if err != nil {
		return nil, err
	}
	s := &session{job: j, opts: j.opts, src: src, tap: &tap{Source: src}}
	if s.owner, err = live.DropRoot(f.user, a.Env("SUDO_UID"), a.Env("SUDO_GID")); err != nil {
		return nil, errors.Join(fmt.Errorf("--user: %w", err), src.Close())
	}
	if f.save.path != "" {
		f.save.name, f.save.snap = src.Info().Name, src.Info().SnapLen
		if err := f.save.next(src.Info().LinkTypes[0]); err != nil {
			return nil, errors.Join(err, src.Close())
		}
		s.tap.save = &f.save
	}
	return s, nil
}

// tap is a live source with what is done to each packet in passing: it is
// counted and written.
type tap struct {
	*live.Source
	save  *saver
	count uint64 // packets after which it ends, 0 for none

	packets, dropped atomic.Uint64
	err              error // of writing

	warn   func(dropped uint64) // of more drops, now and then; may be nil
	warned time.Time
}

func (t *tap) Next(p *capture.Packet) error {
	if t.err != nil {
		return t.err
	}
	n := t.packets.Load()
	if t.count > 0 && n >= t.count {
		return io.EOF
	}
	switch err := t.Source.Next(p); {
	case errors.Is(err, capture.ErrIdle):
		if t.save != nil {
			if err := t.save.flush(); err != nil {
				return t.broken(err)
			}
		}
		return err
	case err != nil:
		return err
	}
	t.packets.Store(n + 1)
	if t.save != nil {
		if err := t.save.packet(p, func() uint64 { return t.Info().Dropped }); err != nil {
			return t.broken(err)
		}
	}
	return nil
}

func (t *tap) broken(err error) error {
	t.err = &capture.ReadError{File: t.Source.Info().Name, Offset: -1, Frame: t.packets.Load(), Reason: "the capture ended early", Err: err}
	return t.err
}

// warnEvery is how often drops are told of while they go on.
const warnEvery = time.Minute

// Info is called at every tick: others may look at what it says of drops.
func (t *tap) Info() capture.Info {
	i := t.Source.Info()
	if t.warn != nil && i.Dropped > t.dropped.Load() && time.Since(t.warned) >= warnEvery {
		t.warned = time.Now()
		t.warn(i.Dropped)
	}
	t.dropped.Store(i.Dropped)
	return i
}

// liveFlags are the flags of live.
type liveFlags struct {
	captureFlags
	duration time.Duration
	count    whole
	metrics  string
	top      whole
	window   time.Duration
	idle     time.Duration
}

func (a *app) liveCommand() *cobra.Command {
	f := liveFlags{captureFlags: newCaptureFlags(), top: 20}
	f.format = choice{"text", []string{"text", "concise", "jsonl"}}
	cmd := &cobra.Command{
		Use:     "live [FLAGS] -i INTERFACE",
		Short:   "Watch a network interface and report as it goes",
		GroupID: groupCheck, DisableFlagsInUseLine: true,
		Long: `live captures on a network interface and writes each finding as soon as it is
certain: at once, at the end of its connection, or of a window of time where only
many connections together show it. Ctrl-C, --duration or --count ends it. On a
terminal, and without --format, it shows a screen to look around in: ? there helps.

It needs the right to capture and nothing else; started by sudo, it goes on as you
once the interface is open. To do without sudo, on Linux:

  sudo setcap cap_net_raw+ep $(command -v connlint)

Exit status: 0 nothing at or above --fail-on; 1 findings; 2 wrong usage, or no right
to capture; 3 the interface vanished, or the packets could not be written.`,
		Example: `  connlint live -i eth0 --filter 'tcp port 8080'
  connlint live -i any --format jsonl --duration 10m --output report.txt
  connlint live -i eth0 --write api.pcapng --rotate-size 100M --ring 10 --metrics :9900`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.live(cmd, &f) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.addCapture(cmd, "capture on `INTERFACE`, as often as you like; any for all")
	fs.BoolVar(&f.promiscuous, "promiscuous", false, "take packets between other hosts too")
	group(fs, "Capture")
	fs.DurationVar(&f.duration, "duration", 0, "end after `TIME`, as in 10m")
	fs.Var(&f.count, "count", "end after `N` packets")
	group(fs, "End")
	f.addRules(cmd)
	fs.DurationVar(&f.window, "window", 5*time.Minute, "judge many connections together every `TIME` of traffic")
	fs.DurationVar(&f.idle, "idle-timeout", time.Hour, "forget connections that were silent for `TIME`")
	group(fs, "Rules")
	addChoice(cmd, "format", &f.format, "output `format`: text, concise, jsonl")
	fs.Var(&f.outputs, "output", "write a report of it all, as check does, to `FILE` at the end")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "findings alone: no summary")
	addChoice(cmd, "color", &f.color, "colors, `when`: auto, always, never")
	f.addRedact(cmd)
	fs.StringVar(&f.metrics, "metrics", "", "serve figures for Prometheus at http://`ADDR`/metrics, as in :9900")
	fs.Var(&f.top, "metrics-servers", "servers with figures of their own, those with most requests")
	group(fs, "Output")
	f.addJobs(fs)
	group(fs, "Reading")
	return cmd
}

func (a *app) live(cmd *cobra.Command, f *liveFlags) error {
	if len(f.interfaces) == 0 {
		return errors.New("live needs an interface, as in: connlint live -i eth0; any stands for all")
	}
	if f.duration < 0 || f.window <= 0 || f.idle <= 0 {
		return errors.New("--duration, --window and --idle-timeout are times, as in 90s or 10m")
	}
	for i := range f.outputs {
		f.outputs[i].format = cmp.Or(f.outputs[i].format, f.format.value)
	}
	s, err := a.openSession(cmd, &f.captureFlags)
	if err != nil {
		return err
	}
	s.tap.count = uint64(f.count)

	lines := &lineWriter{a: a, name: s.src.Info().Name, ended: make(chan struct{}), format: f.format.value, style: report.Style{Quiet: true, Color: a.color(f.color.value), Width: a.width()}}
	if s.job.baseline != nil {
		lines.known = s.job.baseline.Has()
	}
	s.opts.Stream = &runner.Stream{Finding: lines.write, Window: f.window, IdleTimeout: f.idle,
		Clock: func() int64 { return time.Now().UnixNano() }}
	lines.silent = a.OutTTY && a.InTTY && a.Env("TERM") != "dumb" && !cmd.Flags().Changed("format")
	switch {
	case lines.silent:
		s.opts.Monitor = runner.NewMonitor(runner.MonitorOptions{Live: true})
	case f.metrics != "":
		s.opts.Monitor = runner.NewMonitor(runner.MonitorOptions{Live: true, Conns: 1, Findings: 1})
	}
	if f.metrics != "" {
		m := newMetrics(s, int(f.top))
		lines.found = m.found
		stop, err := m.serve(f.metrics)
		if err != nil {
			return errors.Join(fmt.Errorf("--metrics: %w", err), s.src.Close())
		}
		defer stop()
	}
	// Who reads that it captures may end it at once.
	ctx, cancel := signal.NotifyContext(context.Background(), endSignals()...)
	defer cancel()
	signals := ctx
	if !f.quiet && !lines.silent {
		fmt.Fprintf(a.Err, "connlint: capturing on %s; Ctrl-C ends it\n", report.Text(s.src.Info().Name))
		s.tap.warn = func(dropped uint64) {
			fmt.Fprintf(a.Err, "connlint: %s packets dropped so far; a larger --buffer, a smaller --snaplen or a --filter may help\n", rules.Count(int64(dropped)))
		}
	}
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	over := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		select {
		case <-ctx.Done():
			cancel() // a second signal is deadly
			s.src.Stop()
		case <-lines.ended:
			s.src.Stop()
		case <-over:
		}
	})
	var lookErr error
	if lines.silent {
		feed := tui.Feed{Title: s.src.Info().Name, Version: thisBuild().Version, Live: true, Color: a.color(f.color.value),
			Tap: tui.NewTap(s.tap, keptBytes), Monitor: s.opts.Monitor, Options: s.opts}
		s.shown = feed.Tap
		wait.Go(func() {
			defer s.src.Stop()
			lookErr = show(signals, feed)
		})
	}
	r := s.run(over, &wait)

	// The findings themselves are written: what is left is what they came to.
	rest := *a
	rest.Out = io.Discard
	s.job.app = &rest
	var failed []error
	if !f.quiet && f.format.value == "text" {
		style := report.Style{Statistics: true, Color: lines.style.Color, Width: lines.style.Width}
		failed = append(failed, report.Write(a.Out, "text", r, style))
	}
	a.status = r.Status
	return errors.Join(append(failed, lookErr, lines.failed(), s.job.write(r))...)
}

// run judges the capture until it is stopped, then sends home who waits to stop
// it, closes it, and returns what is to be reported.
func (s *session) run(over chan struct{}, wait *sync.WaitGroup) *report.Report {
	src := capture.Source(s.tap)
	if s.shown != nil {
		src = s.shown
	}
	res := runner.Run(src, s.opts)
	close(over)
	wait.Wait()
	if s.tap.save != nil {
		res.Err = errors.Join(res.Err, s.tap.save.end(s.tap.Info().Dropped))
	}
	if err := s.src.Close(); err != nil && res.Err == nil {
		res.Err = fmt.Errorf("%s: %w", res.File, err)
	}
	s.job.holdToBudgets(res)
	r := s.job.newReport()
	r.Captures = append(r.Captures, res)
	r.Unread = unread(nil, res.File, res.Err)
	s.job.conclude(r)
	return r
}

// lineWriter writes findings as they come.
type lineWriter struct {
	a      *app
	name   string // of the interface
	format string
	style  report.Style
	found  func(*runner.Finding) // may be nil
	known  func(string) bool     // the baseline, may be nil
	silent bool                  // somebody looks at the terminal's screen instead

	mu    sync.Mutex
	err   error
	ended chan struct{} // closed when nobody reads on
}

func (w *lineWriter) write(f *runner.Finding) {
	if f.Suppressed != 0 || w.known != nil && w.known(f.Fingerprint) {
		return
	}
	if w.found != nil {
		w.found(f)
	}
	if w.silent {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	one := &report.Report{Captures: []*runner.Result{{File: w.name, Format: "live", Findings: []runner.Finding{*f}}}}
	var b bytes.Buffer
	w.err = report.Write(&b, w.format, one, w.style)
	if w.err == nil {
		_, w.err = w.a.Out.Write(b.Bytes())
	}
	if w.err != nil {
		close(w.ended)
	}
}

func (w *lineWriter) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
