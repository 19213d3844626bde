package runner_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/connlint/connlint/capture/pcapfile"
	"github.com/connlint/connlint/capture/script"
	"github.com/connlint/connlint/rules"
	"github.com/connlint/connlint/rules/catalog"
	"github.com/connlint/connlint/rules/runner"
)

// The traffic of the benchmarks: an API on kept connections, downloads, and a
// connection for each request.
var loads = map[string]string{
	"api": `
conn 10.0.0.1:40000 > 10.0.0.2:80 ts
+0 handshake
repeat 4000
+1ms > P "GET /v1/items/{1000+i} HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1\r\nAccept: application/json\r\nX-Request-Id: {i}\r\n\r\n"
+1ms < P "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n" len=400
end
+1ms > close
`,
	"bulk": `
conn 10.0.0.1:40000 > 10.0.0.2:80 ts
+0 handshake
repeat 20
+1ms > P "GET /dist/{i}.tar.gz HTTP/1.1\r\nHost: dl.example.com\r\n\r\n"
+1ms < P "HTTP/1.1 200 OK\r\nContent-Length: 289600\r\n\r\n"
repeat 100
+0.02ms < . len=1448
+0.01ms < . len=1448
+0.01ms > A
end
end
+1ms > close
`,
	"churn": `
repeat 2000
conn c{i} 10.0.0.1:{32768+i} > 10.0.0.2:80
+0.1ms handshake
+0.1ms > P "GET /status/{i} HTTP/1.1\r\nHost: svc.example.com\r\nConnection: close\r\n\r\n"
+1ms < P "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 300\r\n\r\n" len=300
+0.1ms < close
end
`,
}

func BenchmarkRun(b *testing.B) {
	for _, name := range []string{"api", "bulk", "churn"} {
		s, err := script.Parse(name, loads[name])
		if err != nil {
			b.Fatal(err)
		}
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", name, workers), func(b *testing.B) {
				opts := runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: workers}
				b.ReportAllocs()
				var packets, size uint64
				for b.Loop() {
					src := s.Source(1 << 20)
					res := runner.Run(src, opts)
					if res.Err != nil {
						b.Fatal(res.Err)
					}
					packets, size = res.Packets, res.Bytes
				}
				b.SetBytes(int64(size))
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(packets), "ns/packet")
			})
		}
	}
}

// BenchmarkOdd shows what it saves that rules say what transactions and heads
// they ask for.
func BenchmarkOdd(b *testing.B) {
	s, err := script.Parse("api", loads["api"])
	if err != nil {
		b.Fatal(err)
	}
	var all []*rules.Rule
	for _, r := range catalog.All() {
		own := *r
		own.Odd, own.HeadBits, own.HeadOdd, own.TurnOdd = 0, 0, 0, 0
		all = append(all, &own)
	}
	for _, asked := range []struct {
		name  string
		rules []*rules.Rule
	}{{"odd", catalog.All()}, {"all", all}} {
		b.Run(asked.name, func(b *testing.B) {
			opts := runner.Options{Rules: asked.rules, Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: 1}
			for b.Loop() {
				if res := runner.Run(s.Source(1<<20), opts); res.Err != nil {
					b.Fatal(res.Err)
				}
			}
		})
	}
}

// BenchmarkFile runs over the capture that CONNLINT_BENCH_FILE names, to
// profile real traffic.
func BenchmarkFile(b *testing.B) {
	path := os.Getenv("CONNLINT_BENCH_FILE")
	if path == "" {
		b.Skip("CONNLINT_BENCH_FILE names no capture")
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			b.ReportAllocs()
			var packets, size uint64
			for b.Loop() {
				src, err := pcapfile.Open(path, pcapfile.Options{})
				if err != nil {
					b.Fatal(err)
				}
				res := runner.Run(src, runner.Options{Rules: catalog.All(), Precedence: catalog.Precedence(), Config: rules.Defaults(), Workers: workers})
				if err := src.Close(); err != nil || res.Err != nil {
					b.Fatal(err, res.Err)
				}
				packets, size = res.Packets, res.Bytes
			}
			b.SetBytes(int64(size))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(packets), "ns/packet")
		})
	}
}
