"""Servers on Python's http.server, each with one habit.

    httpserver.py HABIT PORT

two-writes  HTTP/1.1, the header block and the body leave in two writes
one-write   the same in one write
no-length   HTTP/1.1, closes without having said how long the body is
http10      the same in HTTP/1.0, where nobody expected otherwise
"""
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    habit = sys.argv[1]
    protocol_version = "HTTP/1.0" if habit == "http10" else "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = ("hello from " + self.path + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        if self.habit in ("no-length", "http10"):
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        if self.habit == "one-write":
            self._headers_buffer.append(b"\r\n" + body)
            self.flush_headers()
            return
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("", int(sys.argv[2])), Handler).serve_forever()
