package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestLiveSettingsHold is TestSettingsHold for live and run: they find what
// check finds by the same settings in the packets that were kept. What is sent
// may come late: it need not be what was to be sent.
func TestLiveSettingsHold(t *testing.T) {
	n := newNetwork(t)
	b := n.sender("b")
	dir := t.TempDir()
	list, ok := read(t, writeCapture(t, dir, "stall.pcap", stall))
	if !ok {
		t.Fatal("no packets")
	}
	for _, s := range settingsThatHold() {
		config := filepath.Join(dir, s.name+".yml")
		if err := os.WriteFile(config, []byte(s.config), 0o666); err != nil {
			t.Fatal(err)
		}
		t.Run("live/"+s.name, func(t *testing.T) {
			n.t = t
			kept := filepath.Join(t.TempDir(), "kept.pcapng")
			c := n.start("live", "-i", "a", "--config", config, "--format", "jsonl", "--exit-zero", "--write", kept, "--count", fmt.Sprint(len(list)), "--duration", "30s")
			b.replay(t, list)
			if status := c.wait(); status != exitClean {
				t.Errorf("status %d: %s", status, c.errs.String())
			}
			asCheck(t, c.out.String(), "--config", config, kept)
		})
		t.Run("run/"+s.name, func(t *testing.T) {
			n.t = t
			dir := t.TempDir()
			out, kept := filepath.Join(dir, "findings.jsonl"), filepath.Join(dir, "kept.pcapng")
			flags := append([]string{"--isolated"}, s.flags...)
			c := n.run("ready", append(append([]string{"run", "-i", "a"}, flags...), "--exit-zero", "--all", "--grace", "0s", "--write", kept, "--output", "jsonl:"+out,
				"--", "sh", "-c", "echo ready >&2; sleep 0.5")...)
			b.replay(t, list)
			if status := c.wait(); status != exitClean {
				t.Errorf("status %d: %s", status, c.errs.String())
			}
			text, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			asCheck(t, string(text), append(flags, kept)...)
		})
	}
}
