"""A client of a triune link, written from docs/protocol.md alone: standard library and msgpack.

It talks over the socket that is its standard input, and prints what it learned. It holds one request at a time, so it
need not sort what comes in by id.
"""

import os
import socket
import struct
import sys

import msgpack

HEADER = struct.Struct("<IBBHQ")
HELLO, CALL, REPLY, ERROR, CANCEL, OPEN, STARTED, ITEM, END, CREDIT, PING, PONG, GOODBYE, PIECE = range(1, 15)
TO_CALLER, CLOSED, PIECES = 1, 2, 4
FRAME_MAX = 65536
METHODS = [
    "add: call add(a: int, b: int) -> int",
    "echo: call echo(data: bytes) -> bytes",
    "count: dialog count(to: int) -> int, started text, out int, in int",
]


class Failed(Exception):
    """The request was answered with an ERROR."""


class Link:
    def __init__(self, sock, name):
        self.sock, self.last_id = sock, 0
        interface = {"name": "calc", "codec": "msgpack", "is_self_describing": True, "methods": METHODS}
        me = {"role": "client", "name": name, "pid": os.getpid(), "interfaces": [interface]}
        self.send(HELLO, 0, b"TRIU" + struct.pack("<HH", 1, 1) + bytes(16) + msgpack.packb(me))
        kind, _, _, body = self.frame()
        newest, oldest = struct.unpack_from("<HH", body, 4)
        assert kind == HELLO and body[:4] == b"TRIU" and oldest <= 1 <= newest, body[:8]
        self.peer = msgpack.unpackb(body[24:])

    def read(self, size):
        data = b""
        while len(data) < size:
            got = self.sock.recv(size - len(data))
            if not got:
                raise EOFError("the link ended")
            data += got
        return data

    def frame(self):
        size, kind, flags, _, id = HEADER.unpack(self.read(HEADER.size))
        assert size <= FRAME_MAX, size
        return kind, flags, id, self.read(size)

    def recv(self):
        """The next message for our request; long ones are put together, pings are answered."""
        while True:
            kind, flags, id, body = self.frame()
            if kind == PING:
                self.send(PONG, id, b"")
                continue
            if kind == GOODBYE:
                raise EOFError(msgpack.unpackb(body) if body else "goodbye")
            assert id == self.last_id and flags & TO_CALLER, (kind, flags, id)
            if flags & PIECES:
                total, body = struct.unpack_from("<I", body)[0], body[4:]
                while len(body) < total:
                    piece, _, _, more = self.frame()
                    assert piece == PIECE, piece
                    body += more
            if kind == ERROR:
                raise Failed(msgpack.unpackb(body))
            return kind, flags, body

    def send(self, kind, id, body):
        flags, rest = 0, b""
        if len(body) > FRAME_MAX:
            body = struct.pack("<I", len(body)) + body
            flags, body, rest = PIECES, body[:FRAME_MAX], body[FRAME_MAX:]
        self.sock.sendall(HEADER.pack(len(body), kind, flags, 0, id) + body)
        while rest:
            body, rest = rest[:FRAME_MAX], rest[FRAME_MAX:]
            self.sock.sendall(HEADER.pack(len(body), PIECE, 0, 0, id) + body)

    def request(self, kind, method, args, remaining_us=None):
        self.last_id += 1
        target = next(at for at, line in enumerate(METHODS) if line.startswith(method + ":"))
        time = b"\0" if remaining_us is None else struct.pack("<BQ", 1, remaining_us)
        self.send(kind, self.last_id, struct.pack("<I", target) + time + msgpack.packb(args))

    def call(self, method, *args, **head):
        self.request(CALL, method, args, **head)
        return msgpack.unpackb(self.recv()[2])

    def open(self, method, *args):
        self.request(OPEN, method, args)
        kind, _, first = self.recv()
        assert kind == STARTED, kind
        return msgpack.unpackb(first)

    def items(self):
        """The items of the dialog until its direction ends; each is given back as credit."""
        while True:
            kind, _, body = self.recv()
            if kind == END:
                return
            if kind == ITEM:
                self.send(CREDIT, self.last_id, struct.pack("<IQ", 1, len(body)))
                yield msgpack.unpackb(body)


def main():
    link = Link(socket.socket(fileno=0), "python")
    print("peer", link.peer["name"])
    print("add", link.call("add", 2, 3, remaining_us=60_000_000))
    data = bytes(range(256)) * 1000
    print("echo", link.call("echo", data) == data)
    try:
        link.call("add", "two", 3)
    except Failed as failed:
        print("refused", failed.args[0]["kind"])

    print("started", link.open("count", 1000))
    print("sum", sum(link.items()))
    for item in (10, 20):
        link.send(ITEM, link.last_id, msgpack.packb(item))
    link.send(END, link.last_id, b"")
    kind, _, body = link.recv()
    while kind == CREDIT:
        kind, _, body = link.recv()
    print("total", kind == REPLY and msgpack.unpackb(body))

    link.open("count", -1)
    endless = link.items()
    print("first", next(endless), next(endless))
    why = {"cause": "Explicit", "message": "enough", "by": "python/main"}
    link.send(CANCEL, link.last_id, msgpack.packb(why))
    try:
        for _ in endless:
            pass
    except Failed as failed:
        print("cancelled", failed.args[0]["kind"], failed.args[0]["message"])
    print("after", link.call("add", 20, 22))
    link.send(GOODBYE, 0, b"")


if __name__ == "__main__":
    sys.exit(main())
