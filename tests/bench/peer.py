# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# peer.py QUESTION N ARGUMENT: prints the seconds that Python's multiprocessing takes for N
# operations. For bench_python.
import multiprocessing as mp
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

mp.set_start_method("fork")


def drain(q, n, out):
    total = 0
    for _ in range(n):
        total += q.get()[0]
    out.put(total)


def through(q, n, size):
    out = mp.SimpleQueue()
    p = mp.Process(target=drain, args=(q, n, out))
    message = bytes([1]) * size
    begin = time.monotonic()
    p.start()
    for _ in range(n):
        q.put(message)
    assert out.get() == n
    seconds = time.monotonic() - begin
    p.join()
    return seconds


def queue(n, size):
    return through(mp.Queue(), n, size)


def simple_queue(n, size):
    return through(mp.SimpleQueue(), n, size)


def echo(to, back, n):
    for _ in range(n):
        back.put(to.get())


def round_trip(n, nap):
    to, back = mp.Queue(), mp.Queue()
    p = mp.Process(target=echo, args=(to, back, n + 1))
    p.start()
    seconds = 0
    for i in range(n + 1):
        if nap:
            time.sleep(0.001)
        begin = time.monotonic()
        to.put(i)
        assert back.get() == i
        if i:  # the first starts the feeder thread
            seconds += time.monotonic() - begin
    p.join()
    return seconds


def lock(n, _):
    a = mp.Lock()
    begin = time.monotonic()
    for _ in range(n):
        a.acquire()
        a.release()
    return time.monotonic() - begin


def nothing():
    pass


def process(n, _):
    begin = time.monotonic()
    for _ in range(n):
        p = mp.Process(target=nothing)
        p.start()
        p.join()
    return time.monotonic() - begin


def add(x):
    return x + 1


def map_(n, chunk):
    with mp.Pool(2) as pool:
        pool.map(add, range(2))
        begin = time.monotonic()
        result = pool.map(add, range(n), chunk or None)
        seconds = time.monotonic() - begin
    assert sum(result) == n * (n + 1) // 2
    return seconds


def apply(n, _):
    with mp.Pool(2) as pool:
        pool.map(add, range(2))
        begin = time.monotonic()
        for i in range(n):
            assert pool.apply(add, (i,)) == i + 1
        return time.monotonic() - begin


def executor(n, _):
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(add, range(2)))
        begin = time.monotonic()
        for i in range(n):
            assert pool.submit(add, i).result() == i + 1
        return time.monotonic() - begin


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def memory(_n, workers):
    """KiB, not seconds: what a pool takes beyond the program."""
    before = pss("self")
    with mp.Pool(workers) as pool:
        pool.map(add, range(100))
        return pss("self") + sum(pss(p.pid) for p in mp.active_children()) - before


def main():
    question, n, argument = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(globals().get(question + "_", globals().get(question))(n, argument))
    sys.stdout.flush()
    os._exit(0)


main()
