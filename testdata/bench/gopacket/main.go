// Command gopacket reads a pcap file the way a program on gopacket would: a
// peer to measure connlint beside.
//
//	gopacket [-mode http|decode|walk] FILE
//
// http reassembles with tcpassembly and parses requests and responses with
// net/http; decode decodes Ethernet, IP and TCP and stops there; walk only
// steps over record headers.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/google/gopacket/tcpassembly"
	"github.com/google/gopacket/tcpassembly/tcpreader"
)

func main() {
	mode := flag.String("mode", "http", "http, decode or walk")
	flag.Parse()
	f, err := os.Open(flag.Arg(0))
	if err != nil {
		fail(err)
	}
	r := bufio.NewReaderSize(f, 1<<20)
	switch *mode {
	case "http":
		err = parse(r)
	case "decode":
		err = decode(r, func(gopacket.CaptureInfo, *layers.IPv4, *layers.TCP) {})
	case "walk":
		err = walk(r)
	default:
		err = fmt.Errorf("no mode %q", *mode)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gopacket:", err)
	os.Exit(1)
}

// walk counts the records of a little-endian pcap file.
func walk(r *bufio.Reader) error {
	if _, err := r.Discard(24); err != nil {
		return err
	}
	for n := 0; ; n++ {
		head, err := r.Peek(16)
		if err == io.EOF && len(head) == 0 {
			fmt.Println(n, "records")
			return nil
		} else if err != nil {
			return err
		}
		if _, err := r.Discard(16 + int(binary.LittleEndian.Uint32(head[8:]))); err != nil {
			return err
		}
	}
}

// decode calls segment for each TCP segment over IPv4, all that the profiles
// hold.
func decode(r io.Reader, segment func(gopacket.CaptureInfo, *layers.IPv4, *layers.TCP)) error {
	src, err := pcapgo.NewReader(r)
	if err != nil {
		return err
	}
	var eth layers.Ethernet
	var ip layers.IPv4
	var tcp layers.TCP
	dec := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip, &tcp)
	dec.IgnoreUnsupported = true
	var met []gopacket.LayerType
	n := 0
	for {
		data, info, err := src.ZeroCopyReadPacketData()
		if err == io.EOF {
			fmt.Println(n, "segments")
			return nil
		} else if err != nil {
			return err
		}
		if err := dec.DecodeLayers(data, &met); err == nil && len(met) > 2 && met[2] == layers.LayerTypeTCP {
			n++
			segment(info, &ip, &tcp)
		}
	}
}

// parse counts the requests and responses of a file.
func parse(r io.Reader) error {
	f := &factory{asked: map[ends]*asked{}}
	asm := tcpassembly.NewAssembler(tcpassembly.NewStreamPool(f))
	asm.MaxBufferedPagesPerConnection = 1000
	n := 0
	err := decode(r, func(info gopacket.CaptureInfo, ip *layers.IPv4, tcp *layers.TCP) {
		asm.AssembleWithTimestamp(ip.NetworkFlow(), tcp, info.Timestamp)
		if n++; n%100_000 == 0 {
			asm.FlushOlderThan(info.Timestamp.Add(-2 * time.Minute))
		}
	})
	asm.FlushAll()
	f.running.Wait()
	fmt.Println(f.requests.Load(), "requests", f.responses.Load(), "responses")
	return err
}

// factory makes a goroutine for each direction of a connection.
type factory struct {
	running             sync.WaitGroup
	requests, responses atomic.Int64

	mu    sync.Mutex
	asked map[ends]*asked // by the client's direction, while it is open
}

type ends struct{ net, ports gopacket.Flow }

// asked are requests that wait for their responses: what a response's body is
// depends on the request.
type asked struct {
	mu   sync.Mutex
	list []*http.Request
}

// New implements tcpassembly.StreamFactory.
func (f *factory) New(net, ports gopacket.Flow) tcpassembly.Stream {
	s := tcpreader.NewReaderStream()
	f.mu.Lock()
	a := f.asked[ends{net.Reverse(), ports.Reverse()}]
	if a == nil {
		a = &asked{}
		f.asked[ends{net, ports}] = a
	}
	f.mu.Unlock()
	f.running.Go(func() {
		f.read(&s, a)
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.asked, ends{net, ports})
	})
	return &s
}

func (f *factory) read(s io.Reader, a *asked) {
	defer tcpreader.DiscardBytesToEOF(s)
	r := bufio.NewReader(s)
	for {
		start, err := r.Peek(5)
		if err != nil {
			return
		}
		if string(start) != "HTTP/" {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			f.requests.Add(1)
			a.mu.Lock()
			a.list = append(a.list, req)
			a.mu.Unlock()
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			continue
		}
		var req *http.Request
		a.mu.Lock()
		if len(a.list) > 0 {
			req, a.list = a.list[0], a.list[1:]
		}
		a.mu.Unlock()
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return
		}
		f.responses.Add(1)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return
		}
	}
}
