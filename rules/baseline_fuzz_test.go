package rules

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzBaseline reads any bytes as a baseline. What is taken for one knows each
// of its fingerprints, and is the same written and read again, and again.
func FuzzBaseline(f *testing.F) {
	f.Add([]byte(`{"schema":1,"findings":[]}`))
	f.Add([]byte(`{"schema":1,"findings":[{"fingerprint":"a","code":"LAT001","rule":"nagle-delayed-ack","server":"\u202ex","method":"GET","route":"/*","side":"client"},{"fingerprint":"a"}]}`))
	f.Add([]byte(`{"schema":1,"findings":[{"fingerprint":"\ud800"},{"fingerprint":"\u0000"},{"Fingerprint":"x","unknown":[[[[]]]]}]} trailing`))
	f.Add([]byte(`{"schema":1e0,"findings":null,"schema":1}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	golden, _ := filepath.Glob("../testdata/*/*baseline*.json")
	for _, name := range golden {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := ReadBaseline(bytes.NewReader(in))
		if err != nil {
			return
		}
		has := b.Has()
		for _, k := range b.Known {
			if k.Fingerprint == "" || !has(k.Fingerprint) {
				t.Fatalf("%q is not known", k.Fingerprint)
			}
		}
		if has("") {
			t.Fatal("a finding without fingerprint is known")
		}
		var once, twice bytes.Buffer
		if err := b.Write(&once); err != nil {
			t.Fatal(err)
		}
		back, err := ReadBaseline(bytes.NewReader(once.Bytes()))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, &once)
		}
		again := back.Has()
		for _, k := range b.Known {
			if !again(k.Fingerprint) {
				t.Fatalf("%q is lost in writing", k.Fingerprint)
			}
		}
		if err := back.Write(&twice); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Fatalf("written again it is another\n%s\n%s\n%v", &once, &twice, err)
		}
	})
}
