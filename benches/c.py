"""Called by c.sh: python3 c.py PROGRAM_OF_C PROGRAM_OF_RUST NETWORK REPEATS"""

import os
import statistics
import subprocess
import sys

THREADS = len(os.sched_getaffinity(0))
programs, network, repeats = sys.argv[1:3], sys.argv[3], int(sys.argv[4])


def seconds(process, count):
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


for threads in sorted({1, THREADS}):
    # Each waits while the other is timed.
    c, rust = (
        subprocess.Popen(
            [program, network, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for program in programs
    )
    for process in (c, rust):
        seconds(process, 2)
    pairs = []
    for repeat in range(repeats):
        order = [c, rust] if repeat % 2 else [rust, c]
        times = {id(process): seconds(process, 2) / 2 for process in order}
        pairs.append((times[id(c)], times[id(rust)]))
    for process in (c, rust):
        process.stdin.close()
        process.wait()
    of_c, of_rust = (min(times) for times in zip(*pairs))
    median = statistics.median(c / rust for c, rust in pairs)
    print(
        f"resnet50, batch 1, 224x224, {threads} threads: Rust {1e3 * of_rust:.2f} ms, C {1e3 * of_c:.2f} ms "
        f"(fastest); C / Rust {of_c / of_rust:.3f} of the fastest, {median:.3f} median of {repeats} pairs"
    )
