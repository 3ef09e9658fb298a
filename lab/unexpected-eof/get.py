#!/usr/bin/env python3
"""`get.py cert.pem URL [strict]`: what Python's http.client says, or ssl alone without suppress_ragged_eofs (`strict`)."""

import socket
import ssl
import sys
import urllib.parse
import urllib.request

ca, url = sys.argv[1:3]
context = ssl.create_default_context(cafile=ca)
try:
    if sys.argv[3:] == ["strict"]:
        to = urllib.parse.urlsplit(url)
        with socket.create_connection((to.hostname, to.port)) as tcp:
            with context.wrap_socket(tcp, server_hostname=to.hostname, suppress_ragged_eofs=False) as tls:
                tls.sendall(f"GET {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\n\r\n".encode())
                while data := tls.recv(4096):
                    print(f"received {len(data)} bytes")
                print("end")
    else:
        with urllib.request.urlopen(url, context=context) as response:
            print(f"complete: {len(response.read())} bytes")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
