"""A forked child that writes a snapshot.

What it is: fork, and what the child does. The child never returns to Python and
touches no reference count, so its pages stay shared with the parent's; what it
writes to is its own small buffer. Python's memory it has not at all. It closes
every descriptor but its two, so that it holds no socket of the parent, and takes
signals as any plain process.
What it is not: the parent's side (`snapshot`).

How to read it: `run_child` is the child's life; `fork_snapshot` makes one.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.types cimport pid_t
from holdfast.engine.state cimport Engine
from holdfast.persistence.rdb_write cimport Report, target_init, tell, write_keyspace
from holdfast.server.python_memory cimport hide_python_memory, show_python_memory

import os
import signal
from typing import NamedTuple

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/types.h>
    #include <unistd.h>
    #if defined(__linux__)
    #include <sys/syscall.h>
    #endif

    /* Leave only descriptors 0 to 2 and these two, which become 3 and 4. */
    static void hf_keep_two(int *fd, int *report_fd) {
        int a = fcntl(*fd, F_DUPFD, 10), b = fcntl(*report_fd, F_DUPFD, 10);
        long most, i;
        dup2(a, 3);
        dup2(b, 4);
        *fd = 3;
        *report_fd = 4;
    #if defined(SYS_close_range)
        if (syscall(SYS_close_range, 5U, ~0U, 0U) == 0)
            return;
    #endif
        most = sysconf(_SC_OPEN_MAX);
        if (most < 0 || most > 65536)
            most = 65536;
        for (i = 5; i < most; i++)
            close((int)i);
    }

    static void hf_plain_signals(void) {
        struct sigaction plain;
        sigset_t none;
        int i;
        memset(&plain, 0, sizeof(plain));
        plain.sa_handler = SIG_DFL;
        for (i = 1; i < 32; i++)
            if (i != SIGPIPE)
                sigaction(i, &plain, NULL);
        signal(SIGINT, SIG_IGN);    /* Ctrl-C goes to the parent, which decides */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
    }

    /* No signal meanwhile: the handlers of the parent are Python's, which the child has not. */
    static pid_t hf_fork_in_peace(void) {
        sigset_t all, before;
        pid_t pid;
        int why;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pid = fork();
        if (pid != 0) {
            why = errno;
            pthread_sigmask(SIG_SETMASK, &before, NULL);
            errno = why;
        }
        return pid;
    }

    /* Bytes that this process has for itself alone; 0 where the system does not tell. */
    static uint64_t hf_private_bytes(void) {
        char text[4096];
        uint64_t kib = 0;
        char *line;
        ssize_t n = 0;
        int fd = open("/proc/self/smaps_rollup", O_RDONLY);
        if (fd < 0)
            return 0;
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (n <= 0)
            return 0;
        text[n] = 0;
        line = strstr(text, "Private_Dirty:");
        if (line != NULL)
            kib = strtoull(line + 14, NULL, 10);
        return kib * 1024;
    }
    """
    void hf_keep_two(int* fd, int* report_fd) noexcept nogil
    void hf_plain_signals() noexcept nogil
    uint64_t hf_private_bytes() noexcept nogil
    pid_t hf_fork_in_peace() noexcept nogil
    int fsync(int fd) noexcept nogil
    void _exit(int status) noexcept nogil
    int errno

REPORT_BYTES = sizeof(Report)


class ChildReport(NamedTuple):
    """What a child tells."""

    keys: int
    written: int
    cow_bytes: int
    error: int
    done: bool


cdef void run_child(Keyspace* ks, Plan* plan, Target* t, bint sync) noexcept nogil:
    hf_plain_signals()
    hf_keep_two(&t.fd, &t.report_fd)
    write_keyspace(ks, plan, t)
    if sync and not t.error and fsync(t.fd) != 0:
        t.error = errno
    tell(t, hf_private_bytes(), True)
    _exit(1 if t.error else 0)


def fork_snapshot(
        Engine engine not None, int fd, int report_fd, bytes head not None, *, bint commands, bint compress,
        bint checksum, bint early_sync, bint sync, bint idle=False, bint frequency=False):
    """Fork a child that writes everything to `fd` and reports to `report_fd`; return its pid. OSError."""
    cdef Plan plan
    cdef Target t
    cdef pid_t pid
    cdef int why
    cdef char* own_head = <char*>malloc(len(head) + 1)  # the child sees no Python object
    if own_head == NULL:
        raise MemoryError
    memcpy(own_head, <const char*>head, len(head))
    plan.head = own_head
    plan.head_bytes = len(head)
    plan.commands = commands
    plan.compress = compress
    plan.idle = idle
    plan.frequency = frequency
    target_init(&t, fd)
    t.report_fd = report_fd
    t.checksum = checksum
    t.early_sync = early_sync
    hide_python_memory()
    pid = hf_fork_in_peace()
    if pid == 0:
        run_child(&engine.ks, &plan, &t, sync)
    why = errno
    show_python_memory()
    free(own_head)
    if pid < 0:
        raise OSError(why, os.strerror(why))
    return pid


def parse_reports(bytes buffer not None):
    """Return the last whole report in what was read from the pipe, or None."""
    cdef Report report
    cdef size_t count = len(buffer) // sizeof(Report)
    cdef const char* start = buffer
    if count == 0:
        return None
    memcpy(&report, start + (count - 1) * sizeof(Report), sizeof(Report))
    return ChildReport(report.keys, report.written, report.cow_bytes, report.error, report.done != 0)


def reap(pid):
    """Wait for a child that has closed its pipe; return its wait status."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


def end_child(pid):
    """Kill a child."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
