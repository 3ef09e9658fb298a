#!/usr/bin/env python3
"""A TLS or plain TCP peer that plays a list of actions, one connection a run, and says what it received.

    tls_peer.py connect HOST PORT --ca FILE [--tls 1.2|1.3] [--name NAME] [--cert FILE --key FILE] -- ACTION...
    tls_peer.py connect HOST PORT --plain -- ACTION...
    tls_peer.py listen [--host 127.0.0.1] [--cert FILE --key FILE] -- ACTION...

`listen` is a plain TCP backend unless it is given a certificate; it prints its port alone on the first line. Both
print one JSON object on the last line. TLS runs over memory BIOs, so close_notify, FIN and RST are sent apart, each
only when an action says so.

Actions, in order; `+` glues actions into one write to the socket, and so (small as they are) into one segment:

    send:TEXT          text; \\n \\r \\t \\\\ and \\xNN as in Python, \\x2b for a plus sign
    send-hex:HEX       bytes
    send-size:N        N bytes of a fixed pattern
    raw:HEX            bytes past TLS, straight into TCP
    close_notify       the alert; TCP stays open
    fin                shutdown(SHUT_WR); receiving goes on
    rst                reset (SO_LINGER 0), and the socket is gone
    read:N             receive until N bytes of data were received in all, or the end
    read-until-close   receive until the peer's close_notify or the end of TCP
    read-until-end     receive until the end of TCP: FIN or RST
    echo               send back all that was and is received, until close_notify or the end of TCP
    wait:SECONDS       neither send nor receive
    close              close the socket; the kernel answers RST where received bytes were not read

Nothing is received but by the reading actions, by the handshake, and by a send that would block (then whatever has
arrived is read, so that two peers that send to each other do not stop each other; --deaf turns that off).
A list that ends without `rst` or `close` closes the socket.

The JSON object: `events` in the order of receiving, each with `t` (seconds since the connection):
{"event": "data", "n", "sha256", "text"} (consecutive data is one event), "close_notify", {"event": "alert",
"description", "name"}, {"event": "trailing", "n"} (bytes behind close_notify), "fin", "rst",
{"event": "tls_error", "reason"}; `received` and `sent` in bytes of data; `sha256` of all data; `tls`, the version;
`state`, how receiving ended: "close_notify", "truncated" (TLS, FIN alone), "fin" (plain TCP), "rst", "alert",
"tls_error", or "open"; `tcp`, how TCP ended towards us: "fin", "rst" or null; `done`, whether every action was
played; `failure`, why not.

Exit code 0 when every action was played, 3 when the connection or the handshake failed, 4 when an action could not
be played because the peer had ended, 5 on a timeout, 2 for a wrong command line. The JSON object is printed for
each but 2.
"""

import argparse
import hashlib
import json
import select
import socket
import ssl
import struct
import sys
import time

CHUNK = 65536
PATTERN = bytes(range(256)) * 256
NO_ARGUMENT = {"close_notify", "fin", "rst", "read-until-close", "read-until-end", "echo", "close"}
OUTPUT = {"send", "send-hex", "send-size", "raw", "close_notify"}
ALERTS = {
    "close_notify": 0,
    "unexpected_message": 10,
    "bad_record_mac": 20,
    "record_overflow": 22,
    "handshake_failure": 40,
    "no_certificate": 41,
    "bad_certificate": 42,
    "unsupported_certificate": 43,
    "certificate_revoked": 44,
    "certificate_expired": 45,
    "certificate_unknown": 46,
    "illegal_parameter": 47,
    "unknown_ca": 48,
    "access_denied": 49,
    "decode_error": 50,
    "decrypt_error": 51,
    "protocol_version": 70,
    "insufficient_security": 71,
    "internal_error": 80,
    "inappropriate_fallback": 86,
    "user_cancelled": 90,
    "no_renegotiation": 100,
    "missing_extension": 109,
    "unsupported_extension": 110,
    "unrecognized_name": 112,
    "bad_certificate_status_response": 113,
    "unknown_psk_identity": 115,
    "certificate_required": 116,
    "no_application_protocol": 120,
}


class Usage(Exception):
    """The command line is wrong."""


class Timeout(Exception):
    """The run's time is up."""


class Ended(Exception):
    """An action needs a peer that has ended."""


class Failed(Exception):
    """The connection or the handshake failed."""


class Report:
    """What was received, in order."""

    def __init__(self):
        self.start = time.monotonic()
        self.events = []
        self.received = 0
        self.sent = 0
        self.all = hashlib.sha256()
        self.run = None
        self.tls = None
        self.state = None
        self.tcp = None

    def now(self):
        return round(time.monotonic() - self.start, 6)

    def event(self, what, **more):
        self.run = None
        self.events.append({"t": self.now(), "event": what, **more})

    def data(self, data):
        self.received += len(data)
        self.all.update(data)
        if self.run is None:
            self.event("data", n=0)
            self.run = hashlib.sha256()
            self.text = b""
        event = self.events[-1]
        event["n"] += len(data)
        self.run.update(data)
        event["sha256"] = self.run.hexdigest()
        self.text = (self.text + data)[:256]
        event["text"] = self.text.decode("utf-8", "backslashreplace")

    def end(self, state):
        # How receiving ended is said once; what comes later does not change it.
        if self.state is None:
            self.state = state

    def tcp_end(self, how):
        if self.tcp is None:
            self.tcp = how
            self.event(how)

    def json(self, failure):
        return json.dumps(
            {
                "events": self.events,
                "received": self.received,
                "sent": self.sent,
                "sha256": self.all.hexdigest(),
                "tls": self.tls,
                "state": self.state or "open",
                "tcp": self.tcp,
                "done": failure is None,
                "failure": failure,
            }
        )


class Peer:
    """One connection: the socket, TLS over it if any, and what it received."""

    def __init__(self, sock, report, deadline, deaf):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.report = report
        self.deadline = deadline
        self.deaf = deaf
        self.tls = None
        self.trailing = None
        self.echoing = None
        self.fin_sent = False

    def start_tls(self, context, server_side, name):
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=name)

    def handshake(self, hold_last_flight):
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.write(self.outgoing.read())
                if self.report.tcp is not None:
                    raise Failed(f"{self.report.tcp} during the handshake")
                self.receive()
            except ssl.SSLError as error:
                self.tls_error(error)
                # The alert that OpenSSL owes the peer.
                self.write(self.outgoing.read())
                raise Failed(f"handshake: {error.reason or error}") from None
        self.report.tls = self.tls.version()
        if not hold_last_flight:
            self.write(self.outgoing.read())

    # Waiting

    def wait(self, read, write):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Timeout()
        readable, writable, _ = select.select([self.sock] if read else [], [self.sock] if write else [], [], left)
        return bool(readable), bool(writable)

    # Sending

    def write(self, data, more=False):
        view = memoryview(data)
        while view:
            if self.report.tcp == "rst":
                raise Ended("the peer has reset the connection")
            try:
                n = self.sock.send(view, socket.MSG_NOSIGNAL | (socket.MSG_MORE if more else 0))
                view = view[n:]
            except BlockingIOError:
                can_read = not self.deaf and self.report.tcp is None
                readable, _ = self.wait(can_read, True)
                if readable:
                    self.receive_now()
            except (ConnectionResetError, BrokenPipeError):
                self.read_what_is_left()
                if self.report.tcp == "fin":
                    # A FIN first, and now a reset: both are seen.
                    self.report.tcp = None
                self.report.tcp_end("rst")
                self.report.end("rst")
                raise Ended("the peer has reset the connection") from None

    def read_what_is_left(self):
        while self.report.tcp is None:
            try:
                self.receive_now()
            except BlockingIOError:
                return

    def seal(self, data):
        """Plaintext to what goes over TCP."""
        self.report.sent += len(data)
        if self.tls is None:
            return data
        for at in range(0, len(data), CHUNK):
            view = data[at : at + CHUNK]
            while view:
                view = view[self.tls.write(view) :]
        return self.outgoing.read()

    def close_notify(self):
        if self.tls is None:
            raise Usage("close_notify needs TLS")
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # ours is written; the peer's has not come
        except ssl.SSLError as error:
            self.tls_error(error)
        return self.outgoing.read()

    def fin(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.read_what_is_left()
            raise Ended("the peer has reset the connection") from None

    def rst(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    # Receiving

    def receive(self):
        """Waits for the socket and takes what is there."""
        if self.tls is not None and self.outgoing.pending and not self.fin_sent:
            # A last flight held back, or what TLS owes for what it has read.
            self.write(self.outgoing.read())
        if self.report.tcp is None:
            readable, _ = self.wait(True, False)
            if readable:
                self.receive_now()

    def receive_now(self):
        try:
            data = self.sock.recv(CHUNK)
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            self.flush_trailing()
            self.report.tcp_end("rst")
            self.report.end("rst")
            return
        if not data:
            self.flush_trailing()
            self.report.tcp_end("fin")
            self.report.end("truncated" if self.tls else "fin")
        elif self.tls is None:
            self.take(data)
        elif self.trailing is not None:
            self.trailing += len(data)
        else:
            self.incoming.write(data)
            if self.report.tls is not None:
                self.open()

    def open(self):
        """Takes every whole record out of what has arrived."""
        while self.report.state is None:
            try:
                data = self.tls.read(CHUNK)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as error:
                self.tls_error(error)
                return
            if not data:
                self.report.event("close_notify")
                self.report.end("close_notify")
                self.trailing = self.incoming.pending
                return
            self.take(data)

    def take(self, data):
        self.report.data(data)
        if self.echoing is not None:
            self.echoing += data

    def flush_trailing(self):
        if self.trailing:
            self.report.event("trailing", n=self.trailing)
            self.trailing = 0

    def tls_error(self, error):
        reason = error.reason or str(error)
        alert = alert_of(reason)
        if alert is None:
            self.report.event("tls_error", reason=reason)
            self.report.end("tls_error")
        else:
            self.report.event("alert", description=ALERTS[alert], name=alert)
            self.report.end("alert")

    # Actions

    def play(self, group):
        """One group of glued actions."""
        glued = b""
        for name, value in group:
            if self.sock is None:
                raise Usage(f"{name}: the socket is closed by an action before it")
            if name in OUTPUT:
                if self.fin_sent:
                    raise Usage(f"{name}: nothing can be sent after fin")
                glued += self.output(name, value)
                continue
            # MSG_MORE lets the FIN ride on the last segment.
            self.write(glued, more=name == "fin" and len(group) > 1)
            glued = b""
            if name == "fin":
                self.fin_sent = True
                self.fin()
            elif name == "rst":
                self.rst()
            elif name == "close":
                self.close()
            elif name == "read":
                while self.report.received < value and self.report.state is None:
                    self.receive()
            elif name == "read-until-close":
                while self.report.state is None and self.report.tcp is None:
                    self.receive()
            elif name == "read-until-end":
                while self.report.tcp is None:
                    self.receive()
            elif name == "echo":
                self.echo()
            elif name == "wait":
                left = self.deadline - time.monotonic()
                time.sleep(max(0, min(value, left)))
                if value > left:
                    raise Timeout()
        self.write(glued)

    def output(self, name, value):
        if name == "raw":
            # What TLS has ready goes first, so that the order is that of the list.
            return (self.outgoing.read() if self.tls else b"") + value
        if name == "close_notify":
            return self.close_notify()
        if name == "send-size":
            return self.seal((PATTERN * (value // len(PATTERN) + 1))[:value])
        return self.seal(value)

    def echo(self):
        while True:
            data, self.echoing = self.echoing, b""
            self.write(self.seal(data))
            if self.report.state is not None or self.report.tcp is not None:
                return
            self.receive()


def alert_of(reason):
    """The name of the received alert that a reason of OpenSSL stands for, or None."""
    for prefix in ("SSLV3_ALERT_", "TLSV1_ALERT_", "TLSV13_ALERT_", "TLSV1_"):
        name = reason.removeprefix(prefix).lower()
        if name != reason.lower() and name in ALERTS:
            return name
    return None


def parse_actions(words):
    groups = []
    for word in words:
        groups.append([parse_action(part) for part in word.split("+")])
    return groups


def parse_action(text):
    name, colon, value = text.partition(":")
    try:
        if name in NO_ARGUMENT:
            if colon:
                raise Usage(f"{name} takes no value")
            return name, None
        if name == "send":
            return name, value.encode().decode("unicode_escape").encode("latin-1")
        if name in ("send-hex", "raw"):
            return name, bytes.fromhex(value)
        if name in ("send-size", "read"):
            return name, int(value)
        if name == "wait":
            return name, float(value)
    except ValueError as error:
        raise Usage(f"{text!r}: {error}") from None
    raise Usage(f"{text!r} is no action; see --help")


def parse_arguments(argv):
    before, actions = argv, []
    if "--" in argv:
        at = argv.index("--")
        before, actions = argv[:at], argv[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    connect = modes.add_parser("connect")
    connect.add_argument("host")
    connect.add_argument("port", type=int)
    connect.add_argument("--ca", help="PEM file to trust")
    connect.add_argument("--name", help="server name; HOST if not given")
    connect.add_argument("--plain", action="store_true", help="plain TCP")
    connect.add_argument("--alpn", action="append", default=[])
    connect.add_argument("--hold-last-flight", action="store_true", help="glue our last flight to the first action")
    listen = modes.add_parser("listen")
    listen.add_argument("--host", default="127.0.0.1")
    for mode in (connect, listen):
        mode.add_argument("--cert", help="PEM chain to show")
        mode.add_argument("--key", help="its PEM key")
        mode.add_argument("--tls", choices=["1.2", "1.3"], help="this version alone")
        mode.add_argument("--deaf", action="store_true", help="a send that would block does not read meanwhile")
        mode.add_argument("--rcvbuf", type=int, help="SO_RCVBUF, set before the connection")
        mode.add_argument("--timeout", type=float, default=20.0, help="seconds for the whole run")
    arguments = parser.parse_args(before)
    if arguments.mode == "connect" and not arguments.plain and not arguments.ca:
        parser.error("connect needs --ca FILE or --plain")
    if (arguments.cert is None) != (arguments.key is None):
        parser.error("--cert and --key belong together")
    return arguments, parse_actions(actions)


def make_context(arguments):
    server = arguments.mode == "listen"
    if server and not arguments.cert:
        return None
    if not server and arguments.plain:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    if arguments.tls:
        version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[arguments.tls]
        context.minimum_version = version
        context.maximum_version = version
    if arguments.cert:
        context.load_cert_chain(arguments.cert, arguments.key)
    if not server:
        context.load_verify_locations(arguments.ca)
        if arguments.alpn:
            context.set_alpn_protocols(arguments.alpn)
    return context


def open_socket(arguments, deadline):
    family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
    left = max(0.001, deadline - time.monotonic())
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(left)
    if arguments.rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, arguments.rcvbuf)
    try:
        if arguments.mode == "connect":
            sock.connect((arguments.host, arguments.port))
            return sock
        sock.bind((arguments.host, 0))
        sock.listen(1)
        print(sock.getsockname()[1], flush=True)
        accepted, _ = sock.accept()
        return accepted
    except TimeoutError:
        raise Timeout() from None
    except OSError as error:
        raise Failed(f"connection: {error}") from None
    finally:
        if arguments.mode == "listen":
            sock.close()


def main(argv):
    try:
        arguments, groups = parse_arguments(argv)
    except Usage as error:
        print(f"tls_peer.py: {error}", file=sys.stderr)
        return 2
    deadline = time.monotonic() + arguments.timeout
    report = Report()
    code, failure = 0, None
    try:
        context = make_context(arguments)
        sock = open_socket(arguments, deadline)
        report.start = time.monotonic()
        peer = Peer(sock, report, deadline, arguments.deaf)
        if any(name == "echo" for group in groups for name, _ in group):
            peer.echoing = b""
        if context is not None:
            name = None if arguments.mode == "listen" else arguments.name or arguments.host
            peer.start_tls(context, arguments.mode == "listen", name)
            try:
                peer.handshake(arguments.mode == "connect" and arguments.hold_last_flight)
            except Ended as error:
                raise Failed(f"handshake: {error}") from None
            # The peer may have sent more behind its last flight.
            peer.open()
        for group in groups:
            peer.play(group)
        peer.flush_trailing()
        peer.close()
    except Usage as error:
        print(f"tls_peer.py: {error}", file=sys.stderr)
        return 2
    except Failed as error:
        code, failure = 3, str(error)
    except Ended as error:
        code, failure = 4, str(error)
    except Timeout:
        code, failure = 5, f"not done after {arguments.timeout} s"
    print(report.json(failure), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
