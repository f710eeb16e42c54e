"""A headless Chromium for the pages' tests, spoken to over its debugging pipe."""

from __future__ import annotations

import gzip
import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe", "--mute-audio")
AXE = Path(__file__).parent / "vendored" / "axe-core-4.14.1.min.js.gz"  # MPL-2.0, see axe-core-LICENSE.txt
DRAWN = "document.body.dataset.drawn || document.body.classList.contains('page') === false"


class Browser:
    """One browser; `open` gives a tab. Messages are JSON texts that end with a zero byte."""

    def __init__(self, profile: Path) -> None:
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()

        def wire() -> None:  # the browser reads from descriptor 3 and writes to 4
            high = [os.dup(fd) for fd in (to_child, from_child)]
            for place, fd in zip((3, 4), high, strict=True):
                os.dup2(fd, place)

        self._process = subprocess.Popen(
            [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=wire, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_child), os.close(from_child)
        self._buffer, self._last = b"", 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, timeout: float = 60, **params: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        os.write(self._out, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        number, until = self._last, time.monotonic() + timeout
        while True:
            found = self._read(until - time.monotonic())
            if found is None:
                raise TimeoutError(method)
            if found.get("id") == number:
                assert "error" not in found, (method, found["error"])
                return found["result"]
            self.events.append(found)

    def _read(self, timeout: float) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(timeout, 0))[0]:
                return None
            self._buffer += os.read(self._in, 1 << 20)
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def open(self, page: Path, width: int = 1440, height: int = 900, dark: bool = False, at: str = "") -> Tab:
        return Tab(self, page, width, height, dark, at)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in), os.close(self._out)


class Tab:
    """A page in a tab, with what it asked for and what the console said."""

    def __init__(self, browser: Browser, page: Path, width: int, height: int, dark: bool, at: str) -> None:
        self.browser, self.page = browser, page
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.target = target
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Page.navigate", url=page.as_uri() + at)
        self.wait(f"document.readyState === 'complete' && ({DRAWN})")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def js(self, code: str, timeout: float = 60) -> Any:
        """Value of an expression, awaited."""
        asked = {"expression": code, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        found = self.browser.call("Runtime.evaluate", self.session, timeout, **asked)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while not self.js(f"Boolean(document.body && ({condition}))"):
            assert time.monotonic() < until, condition
            time.sleep(0.03)

    def go(self, at: str) -> None:
        """Follow a deep link within the page."""
        before = self.js("document.body.dataset.drawn")
        self.js(f"location.hash = {json.dumps(at)}")
        self.wait(f"document.body.dataset.drawn !== {json.dumps(before)}")

    def act(self, code: str) -> None:
        """Run code that changes a choice, and wait until the page is drawn again."""
        before = self.js("document.body.dataset.drawn")
        self.js(code)
        self.wait(f"document.body.dataset.drawn !== {json.dumps(before)}")

    def key(self, key: str, code: int = 0) -> None:
        for kind in ("keyDown", "keyUp"):
            typed = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **typed)

    def screenshot(self, file: Path, whole: bool = False) -> None:
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(b64decode(found["data"]))

    def axe(self) -> list[str]:
        """Violations of accessibility rules: rule, and where."""
        self.js(gzip.decompress(AXE.read_bytes()).decode() + "; true")
        found = self.js("axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)", timeout=300)
        return [f"{rule['id']}: {node['target']} {node['html'][:120]}" for rule in found for node in rule["nodes"]]

    def faults(self) -> list[str]:
        """Errors of the console, and requests to anything but files of the page's folder."""
        self.js("1")
        told, folder = [], self.page.parent.as_uri()
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            name, params = event["method"], event["params"]
            if name == "Runtime.exceptionThrown":
                told.append(str(params["exceptionDetails"].get("exception", {}).get("description")))
            if name == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                told.append(params["entry"]["text"])
            if name == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                told.append(str(params["args"]))
            if name == "Network.requestWillBeSent":
                address = params["request"]["url"]
                if not address.startswith((folder, "data:")):
                    told.append(f"asks for {address}")
        return told

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; the test is skipped where none is installed."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()
