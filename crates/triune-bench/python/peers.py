#!/usr/bin/env python3
"""The worker benchmarks of triune, done with Python's trio-parallel and concurrent.futures.

    python3 -m venv venv && venv/bin/pip install trio-parallel && venv/bin/python peers.py

Run it beside `cargo bench -p triune-bench --bench worker_start --bench worker_jobs --bench worker_large`, on the same
machine at the same time of day: only ratios say something. Medians, and the fastest in brackets.
"""

import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor

import trio
import trio_parallel

MIB = 1024 * 1024
SMALL = bytes([7]) * 64
JOBS = 10_000
CALLERS = 16
WORKERS = 2


def echo(payload):
    return payload


def add_one(number):
    return number + 1


def report_and_spin(path):
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(path)
        gate.sendall(b"\1")
        while True:
            pass


def show(name, seconds, per=1, unit="µs"):
    scale = {"µs": 1e6, "ms": 1e3}[unit]
    median, fastest = statistics.median(seconds), min(seconds)
    line = f"{name:44} {median / per * scale:10.1f} {unit}  [{fastest / per * scale:.1f}]"
    if per > 1:
        line += f"  {per / median:,.0f} jobs/s"
    print(line, flush=True)


def timed(samples, call):
    seconds = []
    for _ in range(samples):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


async def timed_async(samples, call):
    seconds = []
    for _ in range(samples):
        start = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - start)
    return seconds


async def kill_latency(samples, folder):
    path = os.path.join(folder, "gate")
    seconds = []
    with socket.socket(socket.AF_UNIX) as plain:
        plain.bind(path)
        plain.listen()
        gate = trio.socket.from_stdlib_socket(plain)
        for _ in range(samples):
            async with trio.open_nursery() as nursery:

                async def call():
                    await trio_parallel.run_sync(report_and_spin, path, kill_on_cancel=True)

                nursery.start_soon(call)
                arrival, _ = await gate.accept()
                await arrival.recv(1)
                start = time.perf_counter()
                nursery.cancel_scope.cancel()
            seconds.append(time.perf_counter() - start)
            arrival.close()
    return seconds


async def with_trio_parallel(folder):
    async def cold():
        async with trio_parallel.open_worker_context() as context:
            start = time.perf_counter()
            await context.run_sync(echo, SMALL)
            seconds.append(time.perf_counter() - start)

    seconds = []
    for _ in range(10):
        await cold()
    show("trio-parallel, cold", seconds, unit="ms")

    async with trio_parallel.open_worker_context() as context:
        await context.run_sync(echo, SMALL)
        show("trio-parallel, round trip of 64 B", await timed_async(3000, lambda: context.run_sync(echo, SMALL)))
        for mib in (8, 100):
            payload = bytes(mib * MIB)
            await context.run_sync(len, payload)
            took = await timed_async(10, lambda: context.run_sync(len, payload))
            show(f"trio-parallel, {mib} MiB argument", took, unit="ms")

    async with trio_parallel.open_worker_context() as context:
        limiter = trio.CapacityLimiter(WORKERS)

        async def caller(first):
            for number in range(first, JOBS, CALLERS):
                assert await context.run_sync(add_one, number, limiter=limiter) == number + 1

        async def all_jobs():
            async with trio.open_nursery() as nursery:
                for first in range(CALLERS):
                    nursery.start_soon(caller, first)

        await all_jobs()
        show("trio-parallel, small jobs over 2 workers", await timed_async(5, all_jobs), per=JOBS)
    show("trio-parallel, cancel to reaped", await kill_latency(20, folder))


def with_concurrent_futures():
    spawn = multiprocessing.get_context("spawn")

    def cold():
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            start = time.perf_counter()
            pool.submit(echo, SMALL).result()
            seconds.append(time.perf_counter() - start)

    seconds = []
    for _ in range(10):
        cold()
    show("concurrent.futures, cold", seconds, unit="ms")

    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        pool.submit(echo, SMALL).result()
        show("concurrent.futures, round trip of 64 B", timed(3000, lambda: pool.submit(echo, SMALL).result()))
        for mib in (8, 100):
            payload = bytes(mib * MIB)
            pool.submit(len, payload).result()
            show(f"concurrent.futures, {mib} MiB argument", timed(10, lambda: pool.submit(len, payload).result()), unit="ms")

    with ProcessPoolExecutor(WORKERS, mp_context=spawn) as pool:
        list(pool.map(add_one, range(100)))
        show("concurrent.futures, small jobs over 2", timed(5, lambda: list(pool.map(add_one, range(JOBS)))), per=JOBS)
        chunked = timed(5, lambda: list(pool.map(add_one, range(JOBS), chunksize=100)))
        show("concurrent.futures, the same, chunks of 100", chunked, per=JOBS)
    print("concurrent.futures cannot end a job that runs: no figure for a kill")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        trio.run(with_trio_parallel, folder)
    with_concurrent_futures()
