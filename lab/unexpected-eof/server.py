#!/usr/bin/env python3
"""An HTTPS server that ends every session without close_notify.

    server.py cert.pem key.pem [PORT PORT]

Everything stays on 127.0.0.1. On the first port, 8443, the path selects what comes before the bare FIN:

    /length    a complete response with a Content-Length
    /close     a response that only the end of the connection delimits
    /short     10 of the 20 bytes that Content-Length announces
    /inside    as /close, then half a record
    /none      nothing
    /reset     as /close, then a TCP reset in place of the FIN

The second port, 8444, closes the connection after the ClientHello. Port 0 lets the kernel choose; the first line of the
output names both.
"""

import os
import socket
import ssl
import struct
import sys
import threading

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
BODY = b"0123456789"
RESPONSES = {
    "/length": HEAD + b"Content-Length: 10\r\n\r\n" + BODY,
    "/close": HEAD + b"\r\n" + BODY,
    "/short": HEAD + b"Content-Length: 20\r\n\r\n" + BODY,
    "/inside": HEAD + b"\r\n" + BODY,
    "/reset": HEAD + b"\r\n" + BODY,
}


def serve(tcp, context):
    try:
        # SSLSocket.close() sends no close_notify.
        with context.wrap_socket(tcp, server_side=True) as tls:
            path = (tls.recv(65536).split() + [b"", b""])[1].decode("latin-1")
            tls.sendall(RESPONSES.get(path, b""))
            if path == "/inside":
                os.write(tls.fileno(), b"\x17\x03\x03\x00\x40" + bytes(32))
            if path == "/reset":
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError as error:
        print(f"server: {error}", file=sys.stderr)


def close_after_hello(tcp, _):
    with tcp:
        tcp.recv(65536)


def accept(listener, handler, context):
    while True:
        tcp = listener.accept()[0]
        threading.Thread(target=handler, args=(tcp, context), daemon=True).start()


def main(cert, key, sessions=8443, handshakes=8444):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    sessions = socket.create_server(("127.0.0.1", int(sessions)))
    handshakes = socket.create_server(("127.0.0.1", int(handshakes)))
    print(f"listening on {sessions.getsockname()[1]} and {handshakes.getsockname()[1]}", flush=True)
    threading.Thread(target=accept, args=(handshakes, close_after_hello, None), daemon=True).start()
    accept(sessions, serve, context)


main(*sys.argv[1:])
