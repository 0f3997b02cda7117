"""Long-running children of the lab: started, found again, stopped, and never outliving their owner.

A pid is recorded together with the process's start time, so that a number the kernel has given
to somebody else is never signalled. Nothing is looked up or killed by name.
"""
import ctypes
import os
import select
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h
STOP_SECONDS = 8  # uWSGI waits for running requests; then SIGKILL


def spawn(run_dir, name, command, log, environ, cwd, die_with_parent):
    """Starts `command` as a group leader and records its pid; returns the Popen."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def in_child():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    with open(log, "wb") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ, cwd=cwd,
            start_new_session=True, preexec_fn=in_child if die_with_parent else None)
    with open(pid_file(run_dir, name), "w") as f:
        f.write(f"{child.pid} {start_time(child.pid)}\n")
    return child


def pid_of(run_dir, name):
    """The pid of a recorded process that still runs, else None."""
    try:
        with open(pid_file(run_dir, name)) as f:
            pid, started = f.read().split()
        pid = int(pid)
        return pid if start_time(pid) == started and not is_zombie(pid) else None
    except (OSError, ValueError):
        return None


def stop(run_dir, names):
    """Ends those of the recorded processes that run, all at the same time, and waits for them."""
    running = {name: pid for name in names if (pid := pid_of(run_dir, name))}
    for pid in running.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while any(pid_of(run_dir, name) for name in running):
        if time.monotonic() > deadline:
            for name, pid in running.items():
                if pid_of(run_dir, name):
                    os.killpg(pid, signal.SIGKILL)  # the leader of its group since spawn()
            deadline = float("inf")
        time.sleep(0.02)
    for name in names:
        try:
            os.unlink(pid_file(run_dir, name))
        except FileNotFoundError:
            pass


def wait_for_end(pid):
    """Returns when process `pid` (any process, not only a child) is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll()
    os.close(handle)


def run_together(jobs, environ, cwd):
    """Runs [(name, command, log)] at the same time; raises Failed naming the first that failed.
    None is left behind, whatever happens."""
    children = []
    try:
        for name, command, log in jobs:
            with open(log, "ab") as out:
                children.append((name, log, subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ,
                    cwd=cwd, start_new_session=True)))
        for name, log, child in children:
            if child.wait():
                raise Failed(f"setting up {name} failed with status {child.returncode}; see {log}")
    finally:
        for _, _, child in children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


class Failed(Exception):
    """Told to the user as one line."""


def pid_file(run_dir, name):
    return os.path.join(run_dir, name + ".pid")


def start_time(pid):
    """Clock ticks since boot, field 22 of /proc/PID/stat (proc(5))."""
    return stat_fields(pid)[19]


def is_zombie(pid):
    return stat_fields(pid)[0] == "Z"


def stat_fields(pid):
    try:
        os.waitpid(pid, os.WNOHANG)  # reaps a child of ours; others are not ours to reap
    except ChildProcessError:
        pass
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()
