"""A forward proxy that strips nothing: it sends the client's fields on, adds
Via, and answers 407 until it sees credentials.

    relay.py PORT
"""
import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        if "Proxy-Authorization" not in self.headers:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="lab"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        to = urlsplit(self.path)
        up = http.client.HTTPConnection(to.hostname, to.port or 80)
        up.putrequest("GET", to.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            up.putheader(name, value)
        up.putheader("Via", "1.1 relay")
        up.endheaders()
        got = up.getresponse()
        body = got.read()
        self.send_response_only(got.status)
        for name, value in got.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        up.close()

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("", int(sys.argv[1])), Relay).serve_forever()
