"""Send a request, half-close, and wait with TCP keep-alive probes each second.

    halfclose_keepalive.py HOST PORT
"""
import socket
import sys

s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
s.sendall(b"GET /report HTTP/1.1\r\nHost: shop.test\r\n\r\n")
s.shutdown(socket.SHUT_WR)
try:
    while s.recv(4096):
        pass
except OSError as e:
    print(e)
