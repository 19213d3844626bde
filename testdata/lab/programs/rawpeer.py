"""A TCP peer that follows a script of steps, byte for byte.

    rawpeer.py connect HOST PORT [connections:N] [every:MS] [parallel:N] STEP...
    rawpeer.py listen HOST PORT STEP...

A server runs the steps once for each connection. The Go program `raw` and
rawpeer.js follow the same language:

    send:TEXT   write TEXT (\\r, \\n and \\\\ are escapes) in one call
    fill:N      write N bytes in one call
    sleep:MS    do nothing
    head        read up to and including an empty line; at EOF the script ends
    message     head, and then as many bytes as its Content-Length says
    bytes:N     read N bytes
    eof         read until the peer ends its side
    fin         shut down the writing side
    reset       close with SO_LINGER 0: the kernel sends RST
    close       close
    nodelay     set TCP_NODELAY; nagle clears it
    rcvbuf:N    set SO_RCVBUF (as a server: on the listening socket)
    tls:NAME    from here on speak TLS: as a client to NAME, as a server with NAME.crt and NAME.key
    repeat:N    run the steps up to `done` N times

Errors end the script quietly: a reset is often the point.
"""
import socket
import ssl
import struct
import sys
import threading
import time


class Ended(Exception):
    pass


class Peer:
    def __init__(self, sock, server):
        self.sock, self.server, self.buf = sock, server, b""

    def more(self):
        got = self.sock.recv(65536)
        if not got:
            raise Ended
        self.buf += got

    def head(self):
        while b"\r\n\r\n" not in self.buf:
            self.more()
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        return head

    def bytes(self, n):
        while len(self.buf) < n:
            self.more()
        self.buf = self.buf[n:]

    def message(self):
        for line in self.head().split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                self.bytes(int(value))

    def run(self, steps):
        i = 0
        while i < len(steps):
            word, _, arg = steps[i].partition(":")
            if word == "repeat":
                end, depth = i + 1, 1
                while depth:
                    depth += steps[end].startswith("repeat:") - (steps[end] == "done")
                    end += 1
                for _ in range(int(arg)):
                    self.run(steps[i + 1:end - 1])
                i = end
                continue
            self.step(word, arg)
            i += 1

    def step(self, word, arg):
        if word == "send":
            self.sock.sendall(arg.encode().decode("unicode_escape").encode("latin-1"))
        elif word == "fill":
            self.sock.sendall(b"x" * int(arg))
        elif word == "sleep":
            time.sleep(int(arg) / 1000)
        elif word == "head":
            self.head()
        elif word == "message":
            self.message()
        elif word == "bytes":
            self.bytes(int(arg))
        elif word == "eof":
            while True:
                try:
                    self.more()
                except Ended:
                    return
        elif word == "fin":
            self.sock.shutdown(socket.SHUT_WR)
        elif word == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
            raise Ended
        elif word == "close":
            raise Ended
        elif word in ("nodelay", "nagle"):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, word == "nodelay")
        elif word == "tls":
            if self.server:
                ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                ctx.load_cert_chain(arg + ".crt", arg + ".key")
                self.sock = ctx.wrap_socket(self.sock, server_side=True)
            else:
                ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
                self.sock = ctx.wrap_socket(self.sock, server_hostname=arg)
        elif word != "rcvbuf":
            sys.exit("unknown step " + word)

    def play(self, steps):
        try:
            self.run(steps)
        except (Ended, OSError):
            pass
        self.sock.close()


def main():
    mode, host, port, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    options = {"connections": 1, "parallel": 1, "every": 0}
    while steps and steps[0].partition(":")[0] in options:
        word, _, arg = steps.pop(0).partition(":")
        options[word] = int(arg)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    rcvbuf = [int(s[7:]) for s in steps if s.startswith("rcvbuf:")]
    if mode == "listen":
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for n in rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, n)
        sock.bind((host, port))
        sock.listen(512)
        while True:
            conn, _ = sock.accept()
            threading.Thread(target=Peer(conn, True).play, args=(steps,), daemon=True).start()

    def series():
        for _ in range(options["connections"]):
            sock = socket.socket(family)
            for n in rcvbuf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, n)
            sock.connect((host, port))
            Peer(sock, False).play(steps)
            time.sleep(options["every"] / 1000)

    threads = [threading.Thread(target=series) for _ in range(options["parallel"])]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


main()
