package wire

import "testing"

func TestSeqWraps(t *testing.T) {
	tests := []struct {
		name string
		a, b Seq
		less bool
		sub  int // b.Sub(a)
	}{
		{"equal", 7, 7, false, 0},
		{"after", 7, 9, true, 2},
		{"over the wrap", 0xffffffff, 0, true, 1},
		{"far over the wrap", 0xfffffff0, 0x20, true, 0x30},
		{"just under half", 0, 0x7fffffff, true, 0x7fffffff},
		{"before", 9, 7, false, -2},
		{"before, over the wrap", 1, 0xffffffff, false, -2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a.Less(tt.b); got != tt.less {
				t.Errorf("Less = %v", got)
			}
			if got := tt.a.LessEq(tt.b); got != (tt.less || tt.a == tt.b) {
				t.Errorf("LessEq = %v", got)
			}
			if got := tt.b.Sub(tt.a); got != tt.sub {
				t.Errorf("Sub = %d, want %d", got, tt.sub)
			}
			if got := tt.a.Add(tt.sub); got != tt.b {
				t.Errorf("Add = %d, want %d", got, tt.b)
			}
			later := tt.a
			if tt.less {
				later = tt.b
			}
			if got := tt.a.Max(tt.b); got != later {
				t.Errorf("Max = %d, want %d", got, later)
			}
			if got := tt.b.Max(tt.a); got != later {
				t.Errorf("Max reversed = %d, want %d", got, later)
			}
		})
	}
}

func TestFlagsString(t *testing.T) {
	for f, want := range map[Flags]string{
		0: "none", SYN: "S", SYN | ACK: "S.", PSH | ACK: "P.", FIN | ACK: "F.", RST: "R", ACK: ".",
		SYN | ECE | CWR: "SEW", FIN | PSH | URG | ACK: "FPU.",
	} {
		if got := f.String(); got != want {
			t.Errorf("%08b: %q, want %q", uint8(f), got, want)
		}
	}
	if f := SYN | ACK; !f.Has(SYN|ACK) || f.Has(SYN|FIN) || !f.Any(SYN|FIN) || f.Any(RST|FIN) {
		t.Error("Has or Any is wrong")
	}
}
