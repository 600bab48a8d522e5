"""A client of a triune link, written from docs/protocol.md alone: standard library and msgpack.

It talks over its standard input, one request at a time, so it need not sort what comes in; it prints what it learned.
"""

import os
import socket
import struct

import msgpack

HELLO, CALL, REPLY, ERROR, CANCEL, OPEN, STARTED, ITEM, END, CREDIT, PING, PONG, GOODBYE, PIECE = range(1, 15)
PIECES, FRAME_MAX = 4, 66560
METHODS = {
    "add": "call add(a: int, b: int) -> int",
    "echo": "call echo(data: bytes) -> bytes",
    "count": "dialog count(to: int) -> int, started text, out int, in int",
}


class Link:
    def __init__(self, sock):
        self.sock, self.file, self.id = sock, sock.makefile("rb"), 0
        methods = [f"{name}: {signature}" for name, signature in METHODS.items()]
        interface = {"name": "calc", "codec": "msgpack", "is_self_describing": True, "methods": methods}
        me = {"role": "client", "name": "python", "pid": os.getpid(), "interfaces": [interface]}
        self.send(HELLO, struct.pack("<4sHH16x", b"TRIU", 1, 1) + msgpack.packb(me))
        kind, _, _, hello = self.frame()
        magic, newest, oldest = struct.unpack_from("<4sHH", hello)
        assert kind == HELLO and magic == b"TRIU" and oldest <= 1 <= newest, hello[:8]
        self.peer = msgpack.unpackb(hello[24:])

    def send(self, kind, body=b""):
        flags = PIECES if len(body) > FRAME_MAX else 0
        if flags:
            body = struct.pack("<I", len(body)) + body
        for start in range(0, len(body) or 1, FRAME_MAX):
            part = body[start : start + FRAME_MAX]
            self.sock.sendall(struct.pack("<IBBHQ", len(part), kind, flags, 0, self.id) + part)
            kind, flags = PIECE, 0

    def frame(self):
        size, kind, flags, _, id = struct.unpack("<IBBHQ", self.file.read(16))
        return kind, flags, id, self.file.read(size)

    def recv(self):
        """The next message for our request, put together from its pieces; pings are answered on the way."""
        kind, flags, id, body = self.frame()
        if kind == PING:
            self.sock.sendall(struct.pack("<IBBHQ", 0, PONG, 0, 0, id))
            return self.recv()
        assert kind != GOODBYE and id == self.id, (kind, id, body)
        if flags & PIECES:
            (total,), body = struct.unpack_from("<I", body), body[4:]
            while len(body) < total:
                body += self.frame()[3]
        return kind, body

    def request(self, kind, method, *args):
        """Makes a request that has a minute, and gives what comes first: a result, a first value, or a report."""
        self.id += 1
        head = struct.pack("<IBQ", list(METHODS).index(method), 1, 60_000_000)
        self.send(kind, head + msgpack.packb(args))
        kind, body = self.recv()
        return kind, msgpack.unpackb(body)

    def items(self):
        """The items of a dialog until they end, or it does; each is given back as credit."""
        while (message := self.recv())[0] in (ITEM, CREDIT):
            if message[0] == ITEM:
                self.send(CREDIT, struct.pack("<IQ", 1, len(message[1])))
                yield msgpack.unpackb(message[1])
        self.last = message


link = Link(socket.socket(fileno=0))
print("peer", link.peer["name"])
print("add", link.request(CALL, "add", 2, 3) == (REPLY, 5))
data = bytes(range(256)) * 1000
print("echo", link.request(CALL, "echo", data) == (REPLY, data))
print("refused", link.request(CALL, "add", "two", 3)[1]["kind"])

print("started", link.request(OPEN, "count", 1000) == (STARTED, "counting"))
print("sum", sum(link.items()), link.last[0] == END)
for item in (10, 20):
    link.send(ITEM, msgpack.packb(item))
link.send(END)
print("rest", list(link.items()), "total", msgpack.unpackb(link.last[1]))

link.request(OPEN, "count", -1)
endless = link.items()
print("first", next(endless), next(endless))
link.send(CANCEL, msgpack.packb({"cause": "Explicit", "message": "enough", "by": "python/main"}))
print("more", sum(1 for _ in endless) < 1000)
report = msgpack.unpackb(link.last[1])
print("cancelled", link.last[0] == ERROR, report["kind"], report["message"])
print("after", link.request(CALL, "add", 20, 22)[1])
link.id = 0
link.send(GOODBYE)
