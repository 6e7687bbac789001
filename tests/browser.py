"""Pages as a reader meets them: in a real browser, at three widths, light and dark.

`python tests/browser.py PAGE.html FOLDER` saves the six pictures. The browser is the system's own Chromium;
nothing is downloaded, and every request that would leave the page is refused and remembered.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
WIDTHS = (390, 1024, 1920)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PAPER = 718
"""CSS pixels between the margins of an A4 page: 210 mm less 2 × 10 mm, at 96 a inch."""

CUT_OFF = """() => [...document.querySelectorAll('body *')]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible' && e.clientWidth > 1)
    .map(e => `${e.tagName}.${e.className}: ${e.scrollWidth} in ${e.clientWidth}`)"""
STICKS_OUT = """() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth"""


@dataclass
class Opened:
    """One page in one window, and what went on while it was open."""

    page: Page
    requests: list[str] = field(default_factory=list)
    """Addresses that the page asked for beside its own; all were refused."""
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and exceptions of scripts."""

    def sticks_out(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.page.evaluate(STICKS_OUT))

    def cut_off(self) -> list[str]:
        """What has more in it than it shows, sideways: on paper nobody can scroll."""
        return list(self.page.evaluate(CUT_OFF))

    def barriers(self) -> list[str]:
        """What axe-core finds serious or critical: rule, why, and the first element."""
        from axe_playwright_python.sync_playwright import Axe

        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {rule['help']}: {rule['nodes'][0]['html']} {rule['nodes'][0]['failureSummary']}"
            for rule in found
            if rule["impact"] in {"serious", "critical"}
        ]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(
    browser: Browser, path: Path, width: int, scheme: Literal["light", "dark"], *, paper: bool = False
) -> Iterator[Opened]:
    """Open a file in a window (or on paper) of so many pixels."""
    address = path.resolve().as_uri()
    media: Literal["print", "screen"] = "print" if paper else "screen"
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.emulate_media(media=media, color_scheme=scheme)
    found = Opened(page)

    def asked(route: Route) -> None:
        if route.request.url.split("#")[0] == address and route.request.is_navigation_request():
            route.continue_()
        else:
            found.requests.append(route.request.url)
            route.abort()

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            found.complaints.append(message.text)

    context.route("**/*", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    try:
        page.goto(address, wait_until="load")
        yield found
    finally:
        context.close()


def pictures(path: Path, folder: Path) -> list[Path]:
    """Save a picture of the whole page at every width, light and dark; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with chromium() as browser:
        for width in WIDTHS:
            for scheme in SCHEMES:
                with opened(browser, path, width, scheme) as found:
                    made.append(folder / f"{path.stem}-{width}-{scheme}.png")
                    found.page.screenshot(path=made[-1], full_page=True)
    return made


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("python tests/browser.py PAGE.html FOLDER")
    for saved in pictures(Path(sys.argv[1]), Path(sys.argv[2])):
        sys.stdout.write(f"{saved}\n")
