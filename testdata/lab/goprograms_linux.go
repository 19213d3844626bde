package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runGoProgram plays one of the lab's Go parts; the lab starts itself as
// `lab program NAME ARG…` inside a namespace.
func runGoProgram(name string, args []string) error {
	programs := map[string]func([]string) error{
		"raw":        rawPeer,
		"get":        goGet,
		"serve":      goServe,
		"relay":      goRelay,
		"upload":     goUpload,
		"leak":       goLeak,
		"tls-resume": goResume,
		"workload":   goWorkload,
		"expect":     goExpect,
		"tls-get":    goTLSGet,
		"serve-tls":  goServeTLS,
	}
	p, ok := programs[name]
	if !ok {
		return fmt.Errorf("no program %q", name)
	}
	return p(args)
}

// rawPeer follows the step language of programs/rawpeer.py (without tls and
// rcvbuf).
func rawPeer(args []string) error {
	if len(args) < 3 {
		return errors.New("usage: raw connect|listen HOST PORT STEP…")
	}
	mode, addr, steps := args[0], net.JoinHostPort(args[1], args[2]), args[3:]
	options := map[string]int{"connections": 1, "parallel": 1, "every": 0}
	for len(steps) > 0 {
		word, arg, _ := strings.Cut(steps[0], ":")
		if _, ok := options[word]; !ok {
			break
		}
		options[word], _ = strconv.Atoi(arg)
		steps = steps[1:]
	}
	if mode == "listen" {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		for {
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			go playRaw(c, steps)
		}
	}
	var wg sync.WaitGroup
	for range options["parallel"] {
		wg.Go(func() {
			for range options["connections"] {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					fmt.Println(err)
					continue
				}
				playRaw(c, steps)
				time.Sleep(time.Duration(options["every"]) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return nil
}

func playRaw(c net.Conn, steps []string) {
	p := &rawConn{c: c.(*net.TCPConn), r: bufio.NewReader(c)}
	defer p.c.Close()
	if err := p.run(steps); err != nil && !errors.Is(err, errEnded) && !errors.Is(err, io.EOF) {
		fmt.Println(err)
	}
}

var errEnded = errors.New("script ended")

type rawConn struct {
	c *net.TCPConn
	r *bufio.Reader
}

func (p *rawConn) run(steps []string) error {
	for i := 0; i < len(steps); i++ {
		word, arg, _ := strings.Cut(steps[i], ":")
		n, _ := strconv.Atoi(arg)
		if word == "repeat" {
			end, depth := i+1, 1
			for ; depth > 0; end++ {
				if strings.HasPrefix(steps[end], "repeat:") {
					depth++
				} else if steps[end] == "done" {
					depth--
				}
			}
			for range n {
				if err := p.run(steps[i+1 : end-1]); err != nil {
					return err
				}
			}
			i = end - 1
			continue
		}
		if err := p.step(word, arg, n); err != nil {
			return err
		}
	}
	return nil
}

func (p *rawConn) step(word, arg string, n int) error {
	var err error
	switch word {
	case "send":
		_, err = io.WriteString(p.c, strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\\`, `\`).Replace(arg))
	case "fill":
		_, err = p.c.Write(bytes.Repeat([]byte("x"), n))
	case "sleep":
		time.Sleep(time.Duration(n) * time.Millisecond)
	case "head":
		_, err = p.head()
	case "message":
		if n, err = p.head(); err == nil {
			_, err = p.r.Discard(n)
		}
	case "bytes":
		_, err = p.r.Discard(n)
	case "eof":
		_, err = io.Copy(io.Discard, p.r)
	case "fin":
		err = p.c.CloseWrite()
	case "reset":
		_ = p.c.SetLinger(0)
		err = errEnded
	case "close":
		err = errEnded
	case "nodelay", "nagle":
		err = p.c.SetNoDelay(word == "nodelay")
	default:
		err = fmt.Errorf("unknown step %q", word)
	}
	return err
}

// head reads a message head and returns its Content-Length.
func (p *rawConn) head() (length int, err error) {
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return length, nil
		}
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "content-length") {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
}

// goGet requests URL N times with net/http: `get URL N [close] [fresh] [every:MS]`.
// close turns keep-alive off; fresh throws the connection away after each
// request, as a program does that makes a client each time.
func goGet(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.Proxy = nil
	var pause time.Duration
	for _, a := range args[2:] {
		word, arg, _ := strings.Cut(a, ":")
		switch word {
		case "close":
			tr.DisableKeepAlives = true
		case "every":
			ms, _ := strconv.Atoi(arg)
			pause = time.Duration(ms) * time.Millisecond
		}
	}
	fresh := slices.Contains(args[2:], "fresh")
	client := &http.Client{Transport: tr}
	for range n {
		res, err := client.Get(args[0])
		if err != nil {
			fmt.Println(err)
			continue
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if fresh {
			client.CloseIdleConnections()
		}
		time.Sleep(pause)
	}
	client.CloseIdleConnections()
	return nil
}

// goLeak requests URL N times and never closes a body, so that no connection
// returns to the pool: `leak URL N`. It stays until it is ended.
func goLeak(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var kept []*http.Response
	for range n {
		res, err := http.Get(args[0])
		if err != nil {
			return err
		}
		kept = append(kept, res)
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(time.Minute)
	fmt.Println(len(kept))
	return nil
}

// goResume makes N TLS connections one after the other with a session cache:
// `tls-resume ADDR N`.
func goResume(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	config := &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	for range n {
		c, err := tls.Dial("tcp", args[0], config)
		if err != nil {
			return err
		}
		fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		c.Close()
	}
	return nil
}

// goTLSGet requests URL N times over TLS, MS milliseconds apart, with one
// client: `tls-get URL N MS`.
func goTLSGet(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: tls-get URL N MS")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ms, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the lab's certificate is signed by nobody
	for range n {
		res, err := client.Get(args[0])
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	client.CloseIdleConnections()
	return nil
}

// goUpload posts N small JSON bodies through one connection on which Nagle's
// algorithm is switched on: `upload ADDR N`. It writes head and body apart, as
// hand-written clients do.
func goUpload(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetNoDelay(false); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	body := `{"sku":"A-1","quantity":3}`
	for i := range n {
		fmt.Fprintf(c, "POST /orders/%d HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", i, len(body))
		_, _ = io.WriteString(c, body)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
	}
	return nil
}

// goServe is a net/http server: `serve ADDR`. It answers GET with
// a short text, POST with the length it read, /status/N with status N.
func goServe(args []string) error {
	return (&http.Server{Addr: args[0], Handler: goHandler()}).ListenAndServe()
}

// goServeTLS is goServe over TLS without HTTP/2: `serve-tls ADDR CRT KEY`.
func goServeTLS(args []string) error {
	s := &http.Server{Addr: args[0], Handler: goHandler(), TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	return s.ListenAndServeTLS(args[1], args[2])
}

func goHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s took %d bytes\n", r.Method, r.URL.Path, n)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(300 * time.Millisecond)
		fmt.Fprintln(w, "slow")
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.WriteHeader(code)
	})
	return mux
}

// goRelay is a deliberately careless reverse proxy: `relay LISTEN UPSTREAM [add:NAME=VALUE…] [once]`.
// It parses heads and bodies by Content-Length, opens one upstream connection
// for each client connection, and passes every field on as it came, hop-by-hop
// ones included, in both directions. add: appends a field to each request. once:
// after one exchange it only waits for the server's close, as the blind relays
// of old did.
func goRelay(args []string) error {
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	var extra string
	for _, a := range args[2:] {
		if f, ok := strings.CutPrefix(a, "add:"); ok {
			name, value, _ := strings.Cut(f, "=")
			extra += name + ": " + value + "\r\n"
		}
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			up, err := net.Dial("tcp", args[1])
			if err != nil {
				return
			}
			defer up.Close()
			fromClient, fromServer := bufio.NewReader(c), bufio.NewReader(up)
			if slices.Contains(args[2:], "once") {
				if passMessage(fromClient, up, extra) == nil {
					_, _ = io.Copy(c, fromServer)
				}
				return
			}
			for passMessage(fromClient, up, extra) == nil && passMessage(fromServer, c, "") == nil {
			}
		}()
	}
}

func passMessage(from *bufio.Reader, to io.Writer, extra string) error {
	var head strings.Builder
	length := 0
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			break
		}
		// A forward proxy's request line becomes the origin's.
		if head.Len() == 0 && strings.Contains(line, " http://") {
			method, rest, _ := strings.Cut(line, " http://")
			if slash := strings.IndexByte(rest, '/'); slash >= 0 {
				line = method + " " + rest[slash:]
			}
		}
		head.WriteString(line)
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "content-length") {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	head.WriteString(extra + "\r\n")
	body := make([]byte, length)
	if _, err := io.ReadFull(from, body); err != nil {
		return err
	}
	_, err := to.Write(append([]byte(head.String()), body...))
	return err
}

// self is the running lab binary, to be started again inside a namespace.
func self() string {
	exe, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return exe
}
