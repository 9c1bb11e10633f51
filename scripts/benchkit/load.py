"""SECONDS RATE WRITERS [COUNT] → writes to a descriptor of ours, shared among processes; says how many.

Runs as a program of its own. RATE 0 is as fast as it goes; COUNT ends it early. It prints how many it made.
"""

import os
import sys
import time

OUR_FD = 777
_BURST = 0.001  # seconds between two bursts
_TEXT = b"x" * 249 + b"\0"  # what is written, for those who print it
_BATCH = 1000  # writes between two looks at the clock


def write(seconds: float, rate: float, most: int) -> int:
    """The writes of one process; how many."""
    data, put, clock = _TEXT, os.write, time.perf_counter
    done, start = 0, clock()
    while done < most and (now := clock() - start) < seconds:
        due = min(most, int(now * rate) + 1 if rate else done + _BATCH)
        for _ in range(due - done):
            put(OUR_FD, data)
        done = max(done, due)
        if rate:
            time.sleep(_BURST)
    return done


def main(seconds: float, rate: float, writers: int, most: int = sys.maxsize) -> None:
    """Write in so many processes at once."""
    nothing = os.open("/dev/null", os.O_WRONLY)
    os.dup2(nothing, OUR_FD)
    read, tell = os.pipe()
    for _ in range(writers):
        if not os.fork():
            done = write(seconds, rate / writers, most // writers)
            os.write(tell, done.to_bytes(8, "little"))
            os._exit(0)
    counts = [int.from_bytes(os.read(read, 8), "little") for _ in range(writers)]
    print(sum(counts))


if __name__ == "__main__":
    seconds, rate, writers, *most = map(float, sys.argv[1:])
    main(seconds, rate, int(writers), *map(int, most))
