"""A headless Chromium, driven over WebDriver's HTTP interface: what tests of pictures ask of a browser."""

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRIVER = shutil.which("chromedriver")
_PATIENCE = 60.0
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's key of a reference to an element


class Browser:
    """One window. Use `browser`."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._session = ""

    def start(self, profile: Path, width: int, height: int) -> None:
        """Open the window."""
        flags = "headless=new no-sandbox disable-gpu disable-dev-shm-usage hide-scrollbars no-first-run"
        flags += " disable-background-networking disable-component-update"
        words = [f"--{flag}" for flag in flags.split()]
        words += [f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": words},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def stop(self) -> None:
        """Close it."""
        if self._session:
            self._ask("DELETE", self._session)

    def open(self, path: Path) -> None:
        """Load a file, and wait until it is there."""
        self._ask("POST", f"{self._session}/url", {"url": path.resolve().as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """What a function with this body returns in the page."""
        body = {"script": script, "args": list(arguments)}
        return self._ask("POST", f"{self._session}/execute/sync", body)

    def find(self, xpath: str) -> str:
        """The first element of a path; in SVG, `*[local-name()='g']`."""
        answer = self._ask("POST", f"{self._session}/element", {"using": "xpath", "value": xpath})
        return str(answer[_ELEMENT])

    def click(self, element: str) -> None:
        """As a user with a mouse."""
        self._ask("POST", f"{self._session}/element/{element}/click", {})

    def keys(self, text: str) -> None:
        """As a user at the keyboard, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keys", "actions": actions}
        self._ask("POST", f"{self._session}/actions", {"actions": [source]})

    def mouse(self, *steps: tuple[str, int, int]) -> None:
        """Steps of the mouse: ("move", x, y), ("down", 0, 0), ("up", 0, 0), in the window."""
        kinds = {"move": "pointerMove", "down": "pointerDown", "up": "pointerUp"}
        actions = [
            {"type": kinds[kind], **({"x": x, "y": y, "duration": 20} if kind == "move" else {"button": 0})}
            for kind, x, y in steps
        ]
        mouse = {"pointerType": "mouse"}
        source = {"type": "pointer", "id": "mouse", "parameters": mouse, "actions": actions}
        self._ask("POST", f"{self._session}/actions", {"actions": [source]})

    def size(self, width: int, height: int) -> None:
        """Make the window so large."""
        self._ask("POST", f"{self._session}/window/rect", {"width": width, "height": height})

    def screenshot(self, path: Path) -> None:
        """What is to be seen, as a PNG file."""
        path.write_bytes(b64decode(self._ask("GET", f"{self._session}/screenshot")))

    def faults(self) -> list[str]:
        """What scripts of the page have complained of."""
        entries = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, data, kind, method=method)
        try:
            with self._open(request, timeout=_PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{method} {path}: {refused.read().decode()[:400]}") from None


@contextmanager
def browser(folder: Path, width: int = 1280, height: int = 800) -> Iterator[Browser]:
    """A browser with a window of this size; `folder` takes its profile."""
    assert DRIVER, "chromedriver is missing: scripts/setup --dev installs it"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(folder))
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"],
        env={**os.environ, **homes},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    window = Browser(port)
    try:
        assert driver.stdout is not None
        for line in driver.stdout:
            if re.search("started successfully", line):
                break
        window.start(folder / "profile", width, height)
        yield window
    finally:
        try:
            window.stop()
        finally:
            driver.terminate()
            driver.communicate(timeout=20)
