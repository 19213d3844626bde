package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdpnetwork "github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a Chromium that tells what pages complain of and ask for.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	requests   []string
	complaints []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("chromium is not installed")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun}
	for _, flag := range []string{"disable-background-networking", "disable-component-update", "disable-sync", "disable-quic", "disable-dev-shm-usage"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	// A browser that hangs is not what is tested here.
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	b := &browser{}
	b.ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(b.ctx); err != nil {
		t.Fatalf("%s does not run: %v", path, err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(b.ctx); err != nil {
			t.Error(err)
		}
	})
	if err := chromedp.Listen(b.ctx, b.note); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, cdpnetwork.Enable, cdpnetwork.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdpnetwork.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console.%s", e.Type))
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *log.EventEntryAdded: // breaches of the page's policy among it
		b.complaints = append(b.complaints, e.Entry.Text)
	}
}

// open shows a file, and returns its address.
func (b *browser) open(t *testing.T, file string) string {
	t.Helper()
	b.mu.Lock()
	b.requests, b.complaints = nil, nil
	b.mu.Unlock()
	address := (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()
	b.do(t, chromedp.Navigate(address))
	return address
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 20*time.Second)
	defer stop()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// ask returns what a script's expression is.
func ask[T any](t *testing.T, b *browser, script string) T {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return v
}

// view makes the window so many pixels wide.
func (b *browser) view(t *testing.T, width int64, scheme string) {
	t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		t.Fatal(err)
	}
}

// quiet checks that the page at address asked for nothing but itself, and
// complained of nothing.
func (b *browser) quiet(t *testing.T, address string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.requests, []string{address}) {
		t.Errorf("it asked for %q", b.requests)
	}
	for _, c := range b.complaints {
		t.Errorf("it complains: %s", c)
	}
}

// Scripts that look at the page.
const (
	// Figures that are shown, but have no size.
	emptyFigures = `[...document.querySelectorAll("figure")].filter(f => f.checkVisibility()).filter(f => {
		const r = f.getBoundingClientRect(); return r.width < 100 || r.height < 10 }).length`
	// Texts of an axis that run into each other.
	collisions = `[...document.querySelectorAll(".axis svg")].filter(s => s.checkVisibility()).flatMap(s => {
		const at = [...s.querySelectorAll("text")].map(t => t.getBoundingClientRect()).filter(r => r.width > 0).sort((a, b) => a.left - b.left);
		return at.slice(1).filter((r, i) => r.left < at[i].right) }).length`
	// Elements whose text is cut off at their right.
	clipped = `[...document.querySelectorAll("p, dd, dt, td, th, summary span, figcaption, li, h1, h2, h3, code")]
		.filter(e => e.checkVisibility() && !e.classList.contains("vh") && !e.closest(".vh, .scroll") && e.getBoundingClientRect().right > innerWidth + 1).length`
	ladderShows = `document.querySelector("#finding-1 .ladder")?.checkVisibility() ?? false`
)

// A report shows in a browser as it should: it asks for nothing, complains of
// nothing, has its figures, and shows the ladder of a finding that is clicked
// on or opened by keyboard.
func TestReportInBrowser(t *testing.T) {
	b := newBrowser(t)
	dir := t.TempDir()
	report := func(t *testing.T, name, capture string) string {
		t.Helper()
		file := filepath.Join(dir, name+".html")
		s, _, errs := streams(nil)
		if status := Main([]string{"report", "--isolated", "-o", file, capture}, s); status != exitClean {
			t.Fatalf("status %d, %s", status, errs)
		}
		st, err := os.Stat(file)
		if err != nil || st.Size() > 5<<20 {
			t.Fatalf("%d bytes, %v", st.Size(), err)
		}
		return file
	}
	large := os.Getenv("CONNLINT_LARGE_CAPTURE") // to look at another by hand
	if large == "" {
		large = filepath.Join(dir, "large.pcap")
		writeChurn(t, large, 10_000)
	}
	hostile := ""
	for name, text := range hostileScripts() {
		hostile = writeCapture(t, dir, name, text)
	}
	for _, c := range []struct {
		name, capture string
		shows         []string // selectors
	}{
		{"stall", filepath.Join(recorded, "lat001-java-httpserver-at-client.pcap"), []string{".timeline .stall", ".timeline .busy", ".timeline .closing", ".series .wait", ".bars .busy"}},
		{"churn", filepath.Join(recorded, "tw001-requests-without-session-at-client-snap200.pcap"), []string{".timeline .setup", ".bars .before", ".bars .after", ".series .wait"}},
		{"race", filepath.Join(recorded, "ka001-nginx-upstream-node-at-proxy-any.pcap"), []string{".timeline .race", ".timeline .idle", ".timeline .closing"}},
		{"hostile", hostile, nil},
		{"large", large, []string{".timeline .busy", ".series .open", ".bars .busy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := report(t, c.name, c.capture)
			b.view(t, 1280, "light")
			begin := time.Now()
			address := b.open(t, file)
			t.Logf("shown after %v", time.Since(begin).Round(time.Millisecond))
			for _, s := range c.shows {
				if !ask[bool](t, b, fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.checkVisibility() && e.getBoundingClientRect().width > 0)`, s)) {
					t.Errorf("nothing of %s is seen", s)
				}
			}
			if ask[int](t, b, `document.querySelectorAll("figure").length`) == 0 {
				t.Error("no figure")
			}

			if ask[bool](t, b, ladderShows) {
				t.Error("the ladder shows before anybody asks for it")
			}
			b.do(t, chromedp.Click("#finding-1 > summary"))
			if !ask[bool](t, b, ladderShows) {
				t.Error("a click on the finding does not show its ladder")
			}
			b.do(t, chromedp.Click("#finding-1 > summary"))
			if ask[bool](t, b, ladderShows) {
				t.Error("a second click does not hide it")
			}
			b.open(t, file)     // the way of the keyboard begins at its top
			for n := 0; ; n++ { // the skip link and the button stand before it
				b.do(t, chromedp.KeyEvent("\t"))
				if ask[bool](t, b, `document.activeElement === document.querySelector("#finding-1 > summary")`) {
					break
				}
				if n == 5 {
					t.Fatal("the first finding is not reached with the Tab key")
				}
			}
			b.do(t, chromedp.KeyEvent("\r"))
			if !ask[bool](t, b, ladderShows) {
				t.Error("the Enter key does not show its ladder")
			}

			for _, width := range []int64{1280, 390} {
				for _, scheme := range []string{"light", "dark"} {
					b.view(t, width, scheme)
					if w := ask[int64](t, b, `document.documentElement.scrollWidth`); w > width {
						t.Errorf("%d pixels wide in a window of %d", w, width)
					}
					for what, script := range map[string]string{"figures without size": emptyFigures, "labels over others": collisions, "texts cut off": clipped} {
						if n := ask[int](t, b, script); n > 0 {
							t.Errorf("%d pixels, %s: %d %s", width, scheme, n, what)
						}
					}
				}
			}
			if ask[int](t, b, `[...document.querySelectorAll("svg[role=img]:not([aria-label]), button:not(:has(*)):empty, table:not([aria-label]):not(.list):not(.timeline)")].length`) > 0 {
				t.Error("something has no name for who does not see it")
			}
			b.quiet(t, address)
		})
	}

	// What the checks are made of does tell a page that misbehaves.
	t.Run("bad page", func(t *testing.T) {
		file := filepath.Join(dir, "bad.html")
		page := `<meta http-equiv="Content-Security-Policy" content="img-src data:; script-src 'unsafe-inline'"><p style="width:2000px">x</p><img src="other.png"><script>undefined.x</script>`
		if err := os.WriteFile(file, []byte(page), 0o666); err != nil {
			t.Fatal(err)
		}
		b.view(t, 390, "light")
		b.open(t, file)
		if ask[int](t, b, clipped) == 0 {
			t.Error("text that is cut off is not noticed")
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.complaints) < 2 {
			t.Errorf("of an exception and a breach of policy only this is noticed: %q", b.complaints)
		}
	})
}

// The picture in the README is that of a recording's report. With -update it is
// taken anew.
func TestReadmeShowsTheReport(t *testing.T) {
	const (
		picture = "docs/report.png"
		capture = "reuse-requests-200ms-tls-without.pcap"
		wide    = 1000
	)
	root := filepath.Join("..", "..", "..", "..")
	if *update {
		b := newBrowser(t)
		file := filepath.Join(t.TempDir(), "report.html")
		s, _, errs := streams(nil)
		if status := Main([]string{"report", "--isolated", "-o", file, filepath.Join(recorded, capture)}, s); status != exitClean {
			t.Fatalf("status %d, %s", status, errs)
		}
		b.view(t, wide, "light")
		b.open(t, file)
		high := ask[float64](t, b, `document.querySelector(".timeline").closest("figure").getBoundingClientRect().bottom + 10`)
		beyond := true
		shot, err := chromedp.Call(b.ctx, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{CaptureBeyondViewport: &beyond,
			Clip: &cdppage.Viewport{Width: wide, Height: high, Scale: 1}})
		if err != nil {
			t.Fatal(err)
		}
		small, err := fewColours(shot.Data)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, picture), small, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(filepath.Join(root, picture))
	if err != nil {
		t.Fatal(err)
	}
	size, err := png.DecodeConfig(bytes.NewReader(have))
	if err != nil || size.Width != wide || len(have) > 150<<10 {
		t.Errorf("%s: %d bytes, %d pixels wide, %v", picture, len(have), size.Width, err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"](" + picture + ")", "connlint report testdata/recorded/" + capture} {
		if !strings.Contains(string(readme), want) {
			t.Errorf("README.md lacks %q", want)
		}
	}
}

// fewColours writes a PNG again with its 64 most frequent colours.
func fewColours(data []byte) ([]byte, error) {
	in, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	counts := map[color.Color]int{}
	area := in.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			counts[in.At(x, y)]++
		}
	}
	frequent := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	out := image.NewPaletted(area, color.Palette(frequent[:min(len(frequent), 64)]))
	nearest := map[color.Color]uint8{}
	for c := range counts {
		nearest[c] = uint8(out.Palette.Index(c))
	}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			out.SetColorIndex(x, y, nearest[in.At(x, y)])
		}
	}
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out)
	return b.Bytes(), err
}

// writeChurn writes a capture of n connections to a few servers, a request
// each, a quarter of a second apart. Every fifth stays open.
func writeChurn(t *testing.T, file string, n int) {
	t.Helper()
	order := binary.LittleEndian
	out := order.AppendUint32(nil, 0xa1b23c4d) // nanoseconds
	out = order.AppendUint16(order.AppendUint16(out, 2), 4)
	out = order.AppendUint32(append(out, make([]byte, 8)...), 1<<16)
	out = order.AppendUint32(out, 101) // raw IP
	const syn, fin, psh, ack = 2, 1, 8, 16
	for i := range n {
		at := int64(1_700_000_000_000_000_000) + int64(i)*25e7
		client, server := [6]byte{10, 0, byte(i >> 14), 1, byte(128 + i>>8&63), byte(i)}, [6]byte{10, 1, 0, byte(i % 7), 0, 80}
		seq := [2]uint32{uint32(i) * 7919, uint32(i) * 104729}
		send := func(side int, after int64, flags byte, payload string) {
			at += after
			src, dst := client, server
			if side == 1 {
				src, dst = server, client
			}
			total := 40 + len(payload)
			out = order.AppendUint32(order.AppendUint32(out, uint32(at/1e9)), uint32(at%1e9))
			out = order.AppendUint32(order.AppendUint32(out, uint32(total)), uint32(total))
			out = append(out, 0x45, 0, byte(total>>8), byte(total), 0, 0, 0x40, 0, 64, 6, 0, 0)
			out = append(append(out, src[:4]...), dst[:4]...)
			out = append(append(out, src[4:]...), dst[4:]...)
			out = binary.BigEndian.AppendUint32(out, seq[side])
			acked := seq[1-side]
			if flags&ack == 0 {
				acked = 0
			}
			out = binary.BigEndian.AppendUint32(out, acked)
			out = append(append(out, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0), payload...)
			seq[side] += uint32(len(payload))
			if flags&(syn|fin) != 0 {
				seq[side]++
			}
		}
		send(0, 0, syn, "")
		send(1, 200_000, syn|ack, "")
		send(0, 10_000, ack, "")
		send(0, 10_000, psh|ack, "GET /small HTTP/1.1\r\nHost: example.test\r\n\r\n")
		send(1, 300_000, psh|ack, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if i%5 == 0 {
			continue
		}
		send(0, 10_000, fin|ack, "")
		send(1, 200_000, fin|ack, "")
		send(0, 10_000, ack, "")
	}
	if err := os.WriteFile(file, out, 0o666); err != nil {
		t.Fatal(err)
	}
}
