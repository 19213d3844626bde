package cli

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/connlint/connlint/capture"
	"github.com/connlint/connlint/capture/script"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

const repository = "../../../.."

func TestMain(m *testing.M) {
	testscript.Main(inScratch{m}, map[string]func(){
		"connlint":          func() { os.Exit(Main(os.Args[1:], System())) },
		"connlint-measured": func() { os.Exit(measured()) },
	})
}

// inScratch runs the tests with a directory for what they share.
type inScratch struct{ *testing.M }

const scratch = "CONNLINT_TEST_SCRATCH"

func (m inScratch) Run() int {
	dir, err := os.MkdirTemp("", "connlint-test")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(scratch, dir); err != nil {
		panic(err)
	}
	return m.M.Run()
}

// The sessions in testdata/cli run the command as a user does. Beside the
// commands of testscript they have
//
//	exits STATUS COMMAND [ARG...]  runs it and compares its exit status
//	pcap FILE SCRIPT               writes the packets of a capture/script fixture
//	cut FILE N NEW                 copies all but the last N bytes
//	recorded NAME NEW              copies a recorded capture
//	follows SCHEMA FILE            validates JSON against a schema of testdata/schema
func TestSessions(t *testing.T) {
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(root, "testdata", "cli"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "")
			e.Setenv("CLICOLOR_FORCE", "")
			e.Setenv("ROOT", root)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"pcap":  writePcap,
			"cut":   cut,
			"recorded": func(ts *testscript.TestScript, _ bool, args []string) {
				b, err := os.ReadFile(filepath.Join(root, "testdata", "recorded", args[0]))
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o666))
			},
			"follows": func(ts *testscript.TestScript, _ bool, args []string) {
				schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "testdata", "schema", args[0]))
				ts.Check(err)
				v, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[1])))
				ts.Check(err)
				ts.Check(schema.Validate(v))
			},
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func writePcap(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pcap FILE SCRIPT")
	}
	s, err := script.Parse(args[1], ts.ReadFile(args[1]))
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	w := pcapgo.NewWriterNanos(f)
	ts.Check(w.WriteFileHeader(262144, layers.LinkTypeEthernet))
	src := s.Source(0)
	for {
		var p capture.Packet
		err := src.Next(&p)
		if err == io.EOF {
			break
		}
		ts.Check(err)
		ts.Check(w.WritePacket(gopacket.CaptureInfo{
			Timestamp: time.Unix(0, p.Time), CaptureLength: len(p.Data), Length: p.OrigLen,
		}, p.Data))
	}
	ts.Check(f.Close())
}

func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cut FILE N NEW")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := ts.ReadFile(args[0])
	if len(b) < n {
		ts.Fatalf("%s has %d bytes", args[0], len(b))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(b[:len(b)-n]), 0o666))
}
