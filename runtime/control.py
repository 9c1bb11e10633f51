"""Another thread's wishes → a running session: stop it, or do something between two batches of its events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from runtime.session import Session
    from runtime.waiting import Stops

T = TypeVar("T")
PATIENCE = 5.0  # seconds that one waits for a session which writes a large map, or detaches


class Ended(Exception):
    """The session is over, or it does not answer in time."""


class Control:
    """The handle of one session that runs on a thread of its own. Safe to use from any other thread."""

    def __init__(self) -> None:
        self.attached = threading.Event()
        self._lock = threading.Lock()
        self._stops: Stops | None = None
        self._session: Session | None = None
        self._stopped = ""
        self._over = False
        self.reason: str | None = None  # of the end, once it is there

    # --- the session's side ---

    def begin(self, session: Session, stops: Stops) -> None:
        """The session is about to start."""
        with self._lock:
            self._session, self._stops = session, stops
            if self._stopped:
                stops.stop(self._stopped)

    def end(self) -> None:
        """Nothing can be asked any more."""
        with self._lock:
            if self._stops is not None:
                self.reason = self._stops.reason
            self._over, self._stops, self._session = True, None, None
        self.attached.set()

    # --- everybody else's ---

    def stop(self, reason: str = "stopped") -> None:
        """Ask for the end, also before the session has begun; it comes in its own time."""
        with self._lock:
            self._stopped = self._stopped or reason
            if self._stops is not None:
                stops = self._stops
                stops.ask(lambda: stops.stop(reason))

    def call(self, action: Callable[[Session], T]) -> T:
        """Do this on the session's thread and give its result. Raises Ended, and what the action raises."""
        done = threading.Event()
        results: list[T] = []
        failures: list[BaseException] = []

        def act() -> None:
            try:
                results.append(action(session))
            except BaseException as problem:  # the asker's to handle, not the session's
                failures.append(problem)
            done.set()

        with self._lock:
            if self._over or self._stops is None or self._session is None:
                raise Ended("it has ended" if self._over else "it has not started yet")
            session = self._session
            self._stops.ask(act)
        if not done.wait(PATIENCE):
            raise Ended("it does not answer")
        if failures:
            raise failures[0]
        return results[0]
