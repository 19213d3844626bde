package cli

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// How long TestLiveSoak watches. That memory does not grow over the windows in
// which rules across connections work, and over the 5 minutes for which
// connections that are over are remembered, shows in minutes.
//
//	go test ./cmd/connlint/internal/cli -run TestLiveSoak -v -timeout 20m -soak-time 10m
var soakTime = flag.Duration("soak-time", 10*time.Second, "how long TestLiveSoak watches")

// dialer dials inside the namespace.
func (n *network) dialer() func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = n.enter(func() (err error) {
			c, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			return err
		})
		return c, err
	}
}

// churn keeps opening connections to a server on the loopback until ctx ends:
// some for each request, some kept, some left idle, some that the server
// closes without saying so. It returns how many were opened.
func (n *network) churn(ctx context.Context, perSecond int) (opened int, err error) {
	var l net.Listener
	n.inside(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:0"); return err })
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abrupt" {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			fmt.Fprint(rw, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			rw.Flush()
			c.Close()
			return
		}
		fmt.Fprint(w, "hello")
	})}
	go srv.Serve(l)
	defer srv.Close()
	addr := l.Addr().String()
	dial := n.dialer()
	kept := &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 4}}
	single := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	get := func(c *http.Client, path string) error {
		resp, err := c.Get("http://" + addr + path)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	idle := make(chan net.Conn, 64)
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			close(idle)
			for c := range idle {
				c.Close()
			}
			return opened, nil
		case <-tick.C:
		}
		opened++
		switch {
		case i%50 == 49: // one more is idle, and the one that was longest is closed
			c, err := dial(ctx, "tcp", addr)
			if err != nil {
				continue // at the end
			}
			fmt.Fprint(c, "GET /idle HTTP/1.1\r\nHost: test\r\n\r\n")
			if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
				return opened, err
			}
			if len(idle) == cap(idle) {
				(<-idle).Close()
			}
			idle <- c
		case i%10 == 9:
			err = get(single, "/abrupt")
		case i%10 == 5:
			opened--
			err = get(kept, "/kept")
		default:
			err = get(single, fmt.Sprintf("/item/%d", i))
		}
		if err != nil {
			return opened, err
		}
	}
}

// TestLiveSoak watches connections come and go for long: the command's memory
// stays what it is.
func TestLiveSoak(t *testing.T) {
	n := newNetwork(t)
	args := []string{"live", "-i", "lo", "--isolated", "--fail-on", "never", "--format", "jsonl", "--metrics", "127.0.0.1:0"}
	every, rate, long := 5*time.Second, 150, *soakTime >= 5*time.Minute
	if !long {
		every, rate = *soakTime/40, 300
		args = append(args, "--window", "1s", "--idle-timeout", "3s")
	}
	out := filepath.Join(t.TempDir(), "report.json")
	p := n.spawn(nil, append(args, "--output", "json:"+out)...)
	p.captures()
	ctx, cancel := context.WithTimeout(context.Background(), *soakTime)
	defer cancel()
	stop, sizes := make(chan struct{}), make(chan []int64, 1)
	var wait sync.WaitGroup
	wait.Go(func() { sizes <- p.samples(every, stop) })
	opened, err := n.churn(ctx, rate)
	close(stop)
	wait.Wait()
	if err != nil {
		t.Fatal(err)
	}
	cpu := p.cpu()
	p.end(unix.SIGTERM)
	r := readReport(t, out)
	memory := <-sizes
	first, second := memory[:len(memory)/2], memory[len(memory)/2:]
	t.Logf("%d connections in %v, %d seen; %.2f s of CPU; %d samples: memory %.1f MiB, then %.1f MiB, at most %.1f MiB; found %v", opened, *soakTime,
		r.Captures[0].Conns, cpu.Seconds(), len(memory), mean(first)/(1<<20), mean(second)/(1<<20), float64(slices.Max(memory))/(1<<20), r.codes())
	if got := r.Captures[0].Conns; got < opened {
		t.Errorf("%d connections were opened, %d seen", opened, got)
	}
	slack := 0.0
	if !long { // what the first half was still growing to
		slack = 24 << 20
	}
	if a, b := mean(first), mean(second); b > 1.1*a+slack {
		t.Errorf("memory grows from %.0f bytes to %.0f: %v", a, b, memory)
	}
}
