"""What is going on, told on a terminal or in a log. Standard library only."""

import shutil
import sys
import time

_REPEAT = 20.0  # seconds between two lines about the same step where nobody rewrites a line


class ProgressLine:
    """One line, rewritten on a terminal; elsewhere a line a step, and again now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._step = ""
        self._began = self._told = 0.0

    def show(self, step: str, detail: str = "") -> None:
        """Call as often as you like. A new `step` begins a new line and a new clock."""
        now = time.monotonic()
        if step != self._step:
            self.end()
            self._step, self._began, self._told = step, now, 0.0
        if self._terminal:
            text = f"{step}  {detail}  {_clock(now - self._began)}"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{text[:width]}", end="", flush=True)
        elif not self._told:
            print(step, flush=True)
        elif now - self._told >= _REPEAT:
            print(f"  ... {detail}  {_clock(now - self._began)}", flush=True)
        else:
            return
        self._told = now

    def end(self) -> None:
        """Leave the line as it stands."""
        if self._step and self._terminal:
            print(flush=True)
        self._step = ""


def bar(done: int, total: int) -> str:
    """Bytes of bytes, as a bar with megabytes; nothing where the total is not known."""
    if not total:
        return ""
    full = 12 * done // total
    return f"[{'#' * full}{'.' * (12 - full)}] {done / 1e6:.0f} of {total / 1e6:.0f} MB"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
