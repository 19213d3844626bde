package pcapfile

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// foreign lists formats known by their first bytes that are not read here.
var foreign = [...]struct {
	at    int
	magic string
	what  string
	how   string
}{
	{0, "snoop\x00\x00\x00", "a snoop capture (Solaris)", editcap},
	{0, "GMBU", "a Network Monitor 2 capture", editcap},
	{0, "RTSS", "a Network Monitor 1 capture", editcap},
	{0, "XCP\x00", "a NetXRay or Sniffer for Windows capture", editcap},
	{0, "TRSNIFF data    \x1a", "a Sniffer for DOS capture", editcap},
	{0, "\x7fver", "an EtherPeek, AiroPeek or OmniPeek capture", editcap},
	{0, "\x05VNF", "a Visual Networks capture", editcap},
	{0, "iptrace 1.0", "an AIX iptrace capture", editcap},
	{0, "iptrace 2.0", "an AIX iptrace capture", editcap},
	{0, "NCF", "a CommView capture", editcap},
	{0, "\xac\x01\x00\x1c", "an Ixia capture", editcap},
	{0, "\xab\x01\x00\x1c", "an Ixia capture", editcap},
	{0, "\x1c\x00\x01\xac", "an Ixia capture", editcap},
	{0, "\x1c\x00\x01\xab", "an Ixia capture", editcap},
	{0, "\xcd\x34\xb2\xa1", "a modified pcap capture (Mesquita)", editcap},
	{0, "\xa1\xb2\x34\xcd", "a modified pcap capture (Mesquita)", editcap},
	{0, "\x4d\x3c\x2b\xa1", "a modified pcap capture (Navtel)", editcap},
	{0, "\xa1\x2b\x3c\x4d", "a modified pcap capture (Navtel)", editcap},
	{0, "btsnoop\x00", "a Bluetooth capture", ""},
	{0, "MDMP", "a Windows crash dump", ""},
	{0, "PAGEDU", "a Windows crash dump", ""},
	{0, "\xfd7zXZ\x00", "compressed with xz", "unpack it first (xz -d)"},
	{0, "BZh", "compressed with bzip2", "unpack it first (bzip2 -d)"},
	{0, "\x1f\x9d", "compressed with compress", "unpack it first (gzip -d)"},
	{0, "PK\x03\x04", "a zip archive", "unpack it first (unzip)"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first (7z x)"},
	{257, "ustar", "a tar archive", "unpack it first (tar -xf)"},
}

const editcap = "convert it with editcap -F pcap"

// unsupported says in a line what a file is that is no pcap or pcapng file.
func unsupported(head []byte, outer compression) string {
	for _, f := range foreign {
		if len(head) >= f.at && bytes.HasPrefix(head[f.at:], []byte(f.magic)) {
			s := f.what + ", which is not supported"
			if f.how != "" {
				s += ": " + f.how
			}
			return s
		}
	}
	switch {
	case outer != plain && compressionOf(head) != plain:
		return "compressed twice: unpack it once first"
	case isText(head):
		return "text, not a capture (tcpdump saves one with -w)"
	case isERF(head):
		return "probably an ERF capture (Endace), which is not supported: " + editcap
	case len(head) >= 4 && binary.LittleEndian.Uint32(head) == blockSection:
		return "not a capture: a pcapng section without byte order"
	}
	return "not a capture: neither pcap nor pcapng"
}

// isText reports whether b looks like text, perhaps cut inside a character.
func isText(b []byte) bool {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			return i > 0 && !utf8.FullRune(b[i:])
		case r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b:
			return false
		}
		i += n
	}
	return true
}

// isERF guesses by the first record: a time stamp of this century in
// little-endian fixed point, a known type, lengths that agree.
func isERF(b []byte) bool {
	if len(b) < 16 {
		return false
	}
	sec, typ := binary.LittleEndian.Uint32(b[4:]), b[8]&0x7f
	record, wire := binary.BigEndian.Uint16(b[10:]), binary.BigEndian.Uint16(b[14:])
	return sec > 946684800 && typ >= 1 && typ <= 48 && record >= 16 && wire > 0 && int(record) <= int(wire)+64
}
