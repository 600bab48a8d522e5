"""Workers of triune in Python, written from docs/protocol.md alone: standard library and msgpack.

`serve({"name": function})` answers the jobs of a pool whose workers are this program, one after the other.
"""

import os
import socket
import struct
import sys
import traceback

import msgpack

HELLO, CALL, REPLY, ERROR, CANCEL, OPEN = 1, 2, 3, 4, 5, 6
PING, PONG, GOODBYE, PIECE = 11, 12, 13, 14
TO_CALLER, PIECES, FRAME_MAX = 1, 4, 66560
LINK = 3


class Link:
    def __init__(self, names):
        if "TRIUNE_LINK" not in os.environ:
            sys.exit("this program is started by a pool of triune")
        self.sock = socket.socket(fileno=LINK)
        self.sock.set_inheritable(False)
        self.file = self.sock.makefile("rb")
        interface = {"name": "jobs", "codec": "msgpack", "is_self_describing": True, "methods": list(names)}
        me = {
            "role": "worker",
            "name": os.environ["TRIUNE_NAME"],
            "pid": os.getpid(),
            "limits": {"max_in_flight": 1},
            "config": os.environ.get("TRIUNE_LIMITS_REPORT", "").encode(),
            "interfaces": [interface],
        }
        self.send(HELLO, 0, 0, struct.pack("<4sHH16x", b"TRIU", 1, 1) + msgpack.packb(me))
        kind, _, _, hello = self.frame()
        magic, newest, oldest = struct.unpack_from("<4sHH", hello)
        assert kind == HELLO and magic == b"TRIU" and oldest <= 1 <= newest, hello[:8]

    def send(self, kind, flags, id, body=b""):
        if len(body) > FRAME_MAX:
            flags, body = flags | PIECES, struct.pack("<I", len(body)) + body
        for start in range(0, len(body) or 1, FRAME_MAX):
            part = body[start : start + FRAME_MAX]
            self.sock.sendall(struct.pack("<IBBHQ", len(part), kind, flags, 0, id) + part)
            kind, flags = PIECE, flags & ~PIECES

    def frame(self):
        head = self.file.read(16)
        if len(head) < 16:
            return GOODBYE, 0, 0, b""
        size, kind, flags, _, id = struct.unpack("<IBBHQ", head)
        return kind, flags, id, self.file.read(size)

    def calls(self):
        """The requests of the pool, until it says goodbye or is gone."""
        while (frame := self.frame())[0] != GOODBYE:
            kind, flags, id, body = frame
            if kind == PING:
                self.send(PONG, 0, id)
            elif kind == CANCEL and id == 0:
                return
            elif kind in (CALL, OPEN):
                if flags & PIECES:
                    (total,), body = struct.unpack_from("<I", body), body[4:]
                    while len(body) < total:
                        body += self.frame()[3]
                target, present = struct.unpack_from("<IB", body)
                head = 5 + (8 if present & 1 else 0) + (25 if present & 2 else 0)
                yield kind, id, target, body[head:]


def report(kind, error):
    last = traceback.extract_tb(error.__traceback__)[-1:]
    causes = []
    while (cause := (causes[-1] if causes else error).__cause__) and len(causes) < 16:
        causes.append(cause)
    full = {"kind": kind, "type_name": type(error).__qualname__, "message": str(error), "relays": []}
    full["chain"] = [f"{type(cause).__name__}: {cause}" for cause in causes]
    full["location"] = f"{last[0].filename}:{last[0].lineno}" if last else None
    full["backtrace"] = "".join(traceback.format_exception(error))[-16000:]
    full |= {"path": os.environ["TRIUNE_NAME"], "pid": os.getpid(), "task": None, "typed": None}
    return msgpack.packb(full)


def serve(jobs):
    link, functions = Link(jobs), list(jobs.values())
    for kind, id, target, args in link.calls():
        try:
            assert kind == CALL and target < len(functions), "there is no such job"
            answer = REPLY, msgpack.packb(functions[target](*(msgpack.unpackb(args) or ())))
        except Exception as error:
            answer = ERROR, report("Error", error)
        except BaseException as error:
            answer = ERROR, report("Panic", error)
        sys.stdout.flush()
        link.send(answer[0], TO_CALLER, id, answer[1])
