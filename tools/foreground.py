"""Runs a command until it ends or is stopped: an end by Ctrl-C or SIGTERM is no failure for make to report.

A terminal's Ctrl-C reaches the command by itself; a SIGTERM or SIGHUP that this process gets is passed on.
"""

import signal
import subprocess
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
STOPPED = {code for number in (signal.SIGINT, *PASSED_ON) for code in (-number, 128 + number)}


def main(command: list[str]) -> int:
    """Runs the command; returns its exit code, 0 if a signal stopped it."""
    # Ctrl-C ends the command, and the command ends this process; it inherits no handler.
    signal.signal(signal.SIGINT, lambda *_: None)
    early: list[int] = []
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: early.append(number))
    process = subprocess.Popen(command)
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: process.send_signal(number))
    for received in early:
        process.send_signal(received)
    code = process.wait()
    # Python's end gives handlers up, and make passes on the signal that the terminal has sent already.
    for number in (signal.SIGINT, *PASSED_ON):
        signal.signal(number, signal.SIG_IGN)
    return 0 if code in STOPPED else abs(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
