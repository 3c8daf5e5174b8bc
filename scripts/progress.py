"""Progress on a terminal or in a log. Standard library only."""

import shutil
import sys
import time

_REPEAT = 20.0  # seconds between two lines about one step, if the output is not a terminal


class ProgressLine:
    """One line that is rewritten on a terminal. In other output, each step has a line, which is
    repeated after a while."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._step = ""
        self._began = self._shown = 0.0

    def show(self, step: str, detail: str = "") -> None:
        """Show the progress. Call it often. A new `step` begins a new line and restarts the
        clock."""
        now = time.monotonic()
        if step != self._step:
            self.end()
            self._step, self._began, self._shown = step, now, 0.0
        if self._terminal:
            text = f"{step}  {detail}  {_clock(now - self._began)}"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{text[:width]}", end="", flush=True)
        elif not self._shown:
            print(step, flush=True)
        elif now - self._shown >= _REPEAT:
            print(f"  ... {detail}  {_clock(now - self._began)}", flush=True)
        else:
            return
        self._shown = now

    def end(self) -> None:
        """Finish the current line."""
        if self._step and self._terminal:
            print(flush=True)
        self._step = ""


def bar(done: int, total: int) -> str:
    """A progress bar in megabytes; empty if the total is not known."""
    if not total:
        return ""
    full = 12 * done // total
    return f"[{'#' * full}{'.' * (12 - full)}] {done / 1e6:.0f} of {total / 1e6:.0f} MB"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
