package main

import (
	"bytes"
	"embed"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed programs
var programFiles embed.FS

// unpackPrograms writes the small programs to dir/programs, so that the lab
// works from any directory.
func unpackPrograms(dir string) error {
	return fs.WalkDir(programFiles, "programs", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, p)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := programFiles.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
}

// program is an entry of the catalogue of what scenarios run.
type program struct {
	command string   // what must be installed; "" for the lab's own Go
	version []string // how to ask for its version
	what    string   // for the lab's own programs: where they are
}

// python is Debian's interpreter, for which python3-requests is packaged.
const python = "/usr/bin/python3"

var catalogue = map[string]program{
	"nginx":         {"nginx", []string{"nginx", "-v"}, ""},
	"haproxy":       {"haproxy", []string{"haproxy", "-v"}, ""},
	"apache2":       {"apache2", []string{"apache2", "-v"}, ""},
	"squid":         {"squid", []string{"squid", "-v"}, ""},
	"varnish":       {"varnishd", []string{"varnishd", "-V"}, ""},
	"curl":          {"curl", []string{"curl", "-V"}, ""},
	"wrk":           {"wrk", []string{"wrk", "-v"}, ""},
	"ab":            {"ab", []string{"ab", "-V"}, ""},
	"chromium":      {"chromium", []string{"chromium", "--version"}, ""},
	"node":          {"node", []string{"node", "-v"}, "testdata/lab/programs/*.js"},
	"java":          {"java", []string{"java", "-version"}, "testdata/lab/programs/*.java"},
	"python":        {python, []string{python, "-V"}, "testdata/lab/programs/*.py"},
	"requests":      {python, []string{python, "-c", "import requests; print('python3-requests', requests.__version__)"}, ""},
	"go":            {"", []string{"go", "version"}, "testdata/lab/goprograms_linux.go"},
	"raw-py":        {python, []string{python, "-V"}, "testdata/lab/programs/rawpeer.py"},
	"raw-node":      {"node", []string{"node", "-v"}, "testdata/lab/programs/rawpeer.js"},
	"raw-go":        {"", []string{"go", "version"}, "testdata/lab/goprograms_linux.go"},
	"nc":            {"nc", nil, ""},
	"wget":          {"wget", []string{"wget", "-V"}, ""},
	"openssl":       {"openssl", []string{"openssl", "version"}, ""},
	"tinyproxy":     {"tinyproxy", []string{"tinyproxy", "-v"}, ""},
	"privoxy":       {"privoxy", []string{"privoxy", "--version"}, ""},
	"gunicorn":      {"gunicorn", []string{"gunicorn", "--version"}, "application: testdata/lab/programs/app.py"},
	"uvicorn":       {"uvicorn", []string{"uvicorn", "--version"}, "application: testdata/lab/programs/app.py"},
	"aiohttp":       {python, []string{python, "-c", "import aiohttp; print('python3-aiohttp', aiohttp.__version__)"}, ""},
	"httpx":         {python, []string{python, "-c", "import httpx; print('python3-httpx', httpx.__version__)"}, ""},
	"lwp":           {"lwp-request", []string{"perl", "-MLWP", "-e", "print 'libwww-perl ', LWP->VERSION"}, ""},
	"lighttpd":      {"lighttpd", []string{"lighttpd", "-v"}, ""},
	"caddy":         {"caddy", []string{"caddy", "version"}, ""},
	"php":           {"php", []string{"php", "-v"}, "its built-in server"},
	"webrick":       {"ruby", []string{"ruby", "-e", "require 'webrick'; puts 'webrick ' + WEBrick::VERSION"}, ""},
	"busybox":       {"busybox", []string{"busybox"}, "wget"},
	"aria2c":        {"aria2c", []string{"aria2c", "--version"}, ""},
	"redis":         {"redis-server", []string{"redis-server", "--version"}, ""},
	"memcached":     {"memcached", []string{"memcached", "-V"}, ""},
	"dnsmasq":       {"dnsmasq", []string{"dnsmasq", "--version"}, "asked by dig"},
	"raw-keepalive": {python, []string{python, "-V"}, "testdata/lab/programs/halfclose_keepalive.py"},
	"raw-relay":     {"", []string{"go", "version"}, "testdata/lab/goprograms_linux.go"},
}

// describe is the program with its version, for a note.
func (p program) describe(name string) string {
	s := "`" + name + "`"
	if len(p.version) > 0 {
		out, _ := exec.Command(p.version[0], p.version[1:]...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		s += " " + strings.TrimSpace(strings.TrimSuffix(line, " - https://haproxy.org/"))
	}
	if p.what != "" {
		s += " (" + p.what + ")"
	}
	return s
}

func missingCommands(need map[string]bool) []string {
	var missing []string
	for _, c := range sorted(need) {
		if _, err := exec.LookPath(c); err != nil {
			missing = append(missing, c)
		}
	}
	return missing
}

// Python, Node, Java and Go start the lab's own small programs.
func (l *Lab) Python(script string, args ...string) []string {
	return append([]string{python, "-u", l.Path("programs/" + script)}, args...)
}

func (l *Lab) Node(script string, args ...string) []string {
	return append([]string{"node", l.Path("programs/" + script)}, args...)
}

// Java runs a single source file; the heap is small because hosts are many.
func (l *Lab) Java(script string, args ...string) []string {
	return append([]string{"java", "-Xmx96m", "-XX:TieredStopAtLevel=1", l.Path("programs/" + script)}, args...)
}

func (l *Lab) Go(name string, args ...string) []string {
	return append([]string{self(), "program", name}, args...)
}

// URL is http://HOST:PORT/PATH for the scenario's IP version.
func (l *Lab) URL(n *Namespace, port int, path string) string {
	return "http://" + l.HostPort(n, port) + path
}

// HostPort is HOST:PORT, IPv6 addresses in brackets.
func (l *Lab) HostPort(n *Namespace, port int) string {
	host := n.Addr(l.V)
	if l.V == 6 {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}

// Nginx serves on host n with the given server-level configuration; events,
// http block and document root come with it. Directives for the http block go
// into http.
func (l *Lab) Nginx(n *Namespace, port int, http, server string) *Process {
	root := l.Documents()
	conf := l.File(fmt.Sprintf("nginx-%d.conf", port), fmt.Sprintf(`
daemon off; master_process on; worker_processes 1; pid %[1]s/nginx-%[2]d.pid; user root;
error_log %[1]s/nginx-%[2]d.err;
events { worker_connections 512; }
http {
  access_log off; types { text/html html; text/css css; image/png png; application/javascript js; }
  default_type text/plain;
  client_body_temp_path %[1]s/nb; proxy_temp_path %[1]s/np; fastcgi_temp_path %[1]s/nf; uwsgi_temp_path %[1]s/nu; scgi_temp_path %[1]s/ns;
  %[3]s
  server { listen %[2]d; listen [::]:%[2]d; server_name _; root %[4]s;
  %[5]s
  }
}
`, l.dir, port, http, root, server))
	return l.Serve(n, port, "nginx", "-c", conf, "-p", l.dir, "-e", l.Path("nginx-start.err"))
}

// Documents is a small site: an index page with style, script and images.
func (l *Lab) Documents() string {
	root := l.Path("www")
	if _, err := os.Stat(root); err == nil {
		return root
	}
	var page strings.Builder
	page.WriteString("<!doctype html><title>lab</title><link rel=stylesheet href=style.css><link rel=icon href=data:,><script src=app.js></script>")
	for i := 1; i <= 8; i++ {
		fmt.Fprintf(&page, "<img src=img%d.png alt=%d>", i, i)
		l.File(fmt.Sprintf("www/img%d.png", i), picture(i))
	}
	l.File("www/index.html", page.String()+"<p>hello\n")
	l.File("www/style.css", "body { color: #333; }\n"+strings.Repeat("/* filler */\n", 60))
	l.File("www/app.js", "window.lab = 1;\n"+strings.Repeat("// filler\n", 80))
	l.File("www/small.txt", strings.Repeat("small file\n", 20))
	l.File("www/medium.txt", strings.Repeat("0123456789abcdef", 1024))
	return root
}

// picture is a PNG of grey noise, some n hundred bytes long.
func picture(n int) string {
	img := image.NewGray(image.Rect(0, 0, 10*n, 20))
	rand.New(rand.NewSource(int64(n))).Read(img.Pix)
	var b bytes.Buffer
	_ = png.Encode(&b, img) // a bytes.Buffer takes everything
	return b.String()
}

// HAProxy serves on host n with the given frontends and backends.
func (l *Lab) HAProxy(n *Namespace, port int, body string) *Process {
	conf := l.File(fmt.Sprintf("haproxy-%d.cfg", port), `
global
  maxconn 256
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
`+body)
	return l.Serve(n, port, "haproxy", "-db", "-f", conf)
}

// Apache serves on host n; modules are names without mod_, body is the rest of
// the configuration.
func (l *Lab) Apache(n *Namespace, port int, modules []string, body string) *Process {
	root := l.Documents()
	var conf strings.Builder
	for _, m := range append([]string{"mpm_event", "authz_core", "authz_host", "mime", "dir"}, modules...) {
		fmt.Fprintf(&conf, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	fmt.Fprintf(&conf, `ServerName lab.test
ServerRoot %[1]s
PidFile %[1]s/apache-%[2]d.pid
ErrorLog %[1]s/apache-%[2]d.err
Mutex pthread
TypesConfig /etc/mime.types
DocumentRoot %[3]s
StartServers 1
ServerLimit 2
MinSpareThreads 5
MaxSpareThreads 50
ThreadsPerChild 25
MaxRequestWorkers 50
Listen %[2]d
<Directory %[3]s>
  Require all granted
</Directory>
%[4]s
`, l.dir, port, root, body)
	f := l.File(fmt.Sprintf("apache-%d.conf", port), conf.String())
	l.File("mime.types", "text/html html\n")
	return l.Serve(n, port, "apache2", "-D", "FOREGROUND", "-f", f)
}

// Squid is a forward proxy on host n without cache; extra goes at the end of
// its configuration.
func (l *Lab) Squid(n *Namespace, port int, extra string) *Process {
	// squid leaves root for the user proxy, who must be able to write its log.
	l.check(os.Mkdir(l.Path("squid"), 0o777))
	l.check(os.Chmod(l.Path("squid"), 0o777))
	conf := l.File("squid.conf", fmt.Sprintf(`
http_port %[2]d
acl lab src 10.77.0.0/16 fd77::/16
acl CONNECT method CONNECT
%[3]s
http_access allow lab
cache deny all
cache_mem 8 MB
access_log none
cache_log %[1]s/squid/cache.log
pid_filename %[1]s/squid/squid.pid
coredump_dir %[1]s/squid
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
visible_hostname proxy.lab.test
max_filedescriptors 1024
`, l.dir, port, extra))
	// A service name of its own: shared memory segments are named after it.
	// Another squid's must not be in the way, and one that is killed leaves
	// them behind.
	service := fmt.Sprintf("lab%d", os.Getpid())
	l.after = append(l.after, func() {
		left, _ := filepath.Glob("/dev/shm/" + service + "-*")
		for _, f := range left {
			_ = os.Remove(f)
		}
	})
	return l.Serve(n, port, "squid", "-n", service, "-N", "-f", conf)
}

// Varnish is a caching reverse proxy on host n in front of backend HOST:PORT.
func (l *Lab) Varnish(n *Namespace, port int, backendHost string, backendPort int, vcl string) *Process {
	f := l.File("lab.vcl", fmt.Sprintf("vcl 4.1;\nbackend default { .host = %q; .port = \"%d\"; }\n%s", backendHost, backendPort, vcl))
	return l.Serve(n, port, "varnishd", "-F", "-f", f, "-a", fmt.Sprintf(":%d", port), "-n", l.Path("varnish"), "-s", "malloc,16m", "-j", "none")
}

// Certificate makes a self-signed certificate for NAME and returns the paths
// of $LAB/NAME.crt and $LAB/NAME.key.
func (l *Lab) Certificate(name string) (crt, key string) {
	crt, key = l.Path(name+".crt"), l.Path(name+".key")
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
		"-subj", "/CN="+name, "-addext", "subjectAltName=DNS:"+name, "-keyout", key, "-out", crt).CombinedOutput()
	if err != nil {
		l.fail("openssl: %v: %s", err, out)
	}
	return crt, key
}
