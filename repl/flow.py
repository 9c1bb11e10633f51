"""A job's lines as they come → those that are shown: all, or of a flood a few each second and a count."""

from __future__ import annotations

RATE, BURST = 1000, 5000  # lines a second that are shown for long; lines that may come at once
FEW, TAIL = 5, 100  # shown of a flood each second; at a job's end, whose maps are its last lines
PAUSE = 1.0  # seconds between two looks at a flood: what the user asks for meanwhile stays on the screen


class Flow:
    """What one job has printed and nobody has seen yet. Times are seconds of any clock that goes forward."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._left_out = 0
        self._credit, self._then = float(BURST), 0.0
        self._quiet_until = 0.0  # of a flood; 0 while all is shown

    @property
    def waiting(self) -> bool:
        """Whether lines are held back."""
        return bool(self._held)

    def add(self, lines: list[str]) -> None:
        """Take lines. What nobody will see is not kept: the job's log has it."""
        self._held += lines
        if len(self._held) > BURST:
            self._left_out += len(self._held) - BURST
            self._held[BURST // 2 : -BURST // 2] = []

    def take(self, now: float, *, ended: bool = False) -> tuple[list[str], int, list[str]]:
        """(lines, how many are left out behind them, lines) to be shown now."""
        total = len(self._held) + self._left_out
        self._credit = min(self._credit + (now - self._then) * RATE, BURST)
        self._then = now
        if self._quiet_until and not ended:
            if now < self._quiet_until:
                return [], 0, []
            if total > RATE * PAUSE:
                self._quiet_until = now + PAUSE
                return self._cut(0, FEW)
            self._quiet_until, self._credit = 0.0, float(max(BURST, total))
        if total <= self._credit:
            self._credit -= total
            return self._cut(total, 0)
        if ended:
            return self._cut(0, TAIL)
        self._quiet_until = now + PAUSE
        return self._cut(FEW, FEW)

    def _cut(self, first: int, last: int) -> tuple[list[str], int, list[str]]:
        held, total = self._held, len(self._held) + self._left_out
        self._held, self._left_out = [], 0
        tail = held[max(first, len(held) - last) :] if last else []
        return held[:first], total - len(held[:first]) - len(tail), tail
