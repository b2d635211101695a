"""A wall clock that is wrong by a fixed time, for processes that preload a library.

It shifts what a process is told of CLOCK_REALTIME; clocks that nobody can set go on as they are,
as on a machine whose time was set wrong. Requests to an S3 server are signed with the time, and
refused when it is wrong by a quarter of an hour or more.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.servers.require import need

_SOURCE = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long off(void) {
    const char *text = getenv("WALL_CLOCK_OFF_BY");
    return text ? atol(text) : 0;
}
int clock_gettime(clockid_t which, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, which, at);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        at->tv_sec += off();
    return failed;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def off_by(seconds: int, folder: Path) -> dict[str, str]:
    """Environment of a process whose wall clock is so many seconds ahead; behind when negative."""
    need(shutil.which("gcc") is not None, "gcc")
    library = folder / "wallclock.so"
    if not library.exists():
        source = folder / "wallclock.c"
        source.write_text(_SOURCE)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    return {"LD_PRELOAD": str(library), "WALL_CLOCK_OFF_BY": str(seconds)}
