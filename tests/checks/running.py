"""Starts the program, waits within bounds, asks it, and ends what was started."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

# How long a start may take: models are verified by then.
PATIENCE = 90


def free_port():
    """Returns a port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def environment(**values):
    """Returns an environment with nothing of the caller's settings."""
    return {"PATH": os.environ["PATH"], **values}


def wait_until(holds, what, limit=PATIENCE):
    """Returns what `holds` gives as soon as it is true; ends the check where it does not come true in time."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        if found := holds():
            return found
        time.sleep(0.1)
    sys.exit(f"not within {limit} s: {what}")


@contextlib.contextmanager
def running(words, log, **options):
    """Runs a program until the block's end; `log` takes what it writes."""
    with open(log, "wb") as out:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **options)
    try:
        yield process
    except SystemExit:
        print(f"the last of what {words[0]} wrote:\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def stop(process, limit):
    """Asks a process to end and returns its status; ends the check where it does not end in time."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        sys.exit(f"it did not end within {limit} s of SIGTERM")


def ask(url, body=None, headers=None):
    """Returns an answer's status and text; (0, reason) where there is none."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
