"""The jobs of the tests, in Python. The names are the paths of the Rust functions that they stand in for."""

import ctypes
import os
import pathlib
import socket
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "triune-ipc/tests/python"))
from triune_worker import serve  # noqa: E402


def arrive(gate, ticket):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(gate)
    sock.sendall(struct.pack(">II", os.getpid(), ticket))
    return sock


def wait_at(gate, ticket):
    arrive(gate, ticket).recv(1)
    return os.getpid()


def spin(gate):
    _open = arrive(gate, 0)
    while True:
        pass


def fail(text):
    try:
        raise KeyError("inner")
    except KeyError as inner:
        raise ValueError(text) from inner


def misbehave(how):
    print(f"about to {how}", file=sys.stderr, flush=True)
    match how:
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "cut":
            socket.socket(fileno=3).shutdown(socket.SHUT_RDWR)
        case "stray":
            return subprocess.Popen(["setsid", "sleep", "1000"]).pid
    return 0


STATE = []
DIALECT = "worker_program::jobs::"
serve(
    {
        "worker_program::support::pass": wait_at,
        "worker_program::support::spin": spin,
        "worker_program::support::process_number": os.getpid,
        DIALECT + "add": lambda a, b: a + b,
        DIALECT + "concat": lambda many: {"total": sum(len(one) for one in many), "first": many[0]},
        DIALECT + "echo": lambda data: data,
        DIALECT + "describe": lambda shape: shape,
        DIALECT + "fail": fail,
        DIALECT + "panics": lambda text: sys.exit(text),
        DIALECT + "misbehave": misbehave,
        DIALECT + "eat": lambda megabytes: len(bytearray(megabytes << 20)),
        DIALECT + "read_file": lambda path: pathlib.Path(path).read_text(),
        DIALECT + "open_descriptors": lambda: sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
        DIALECT + "load": lambda value: STATE.append(value),
        DIALECT + "loaded": lambda: STATE[-1],
        DIALECT + "has_state": lambda: bool(STATE),
        "only in python": lambda *numbers: sorted(numbers),
    }
)
