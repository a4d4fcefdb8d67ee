"""The merchandiser: signs in at the page, keeps it as a file that stands alone, and has a browser draw it."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PICTURE_SECONDS = 30
_STYLE = '<link rel="stylesheet" href="'


def hot(url: str, token: str) -> list[str]:
    """Return the hot products, the hottest first; none where the list is not there yet, or not for this token."""
    answer = httpx.get(f"{url}/v1/hot", headers={"authorization": f"Bearer {token}"})
    return [each["item"] for each in answer.json()["items"]] if answer.status_code == 200 else []


def saved(url: str, token: str) -> str:
    """Return the page as it looks to who is signed in, with its style inside."""
    with httpx.Client(base_url=url, headers={"origin": url, "sec-fetch-site": "same-origin"}) as browser:
        browser.post("/sign-in", data={"token": token})
        return with_style(browser.get("/").text, lambda path: browser.get(path).text)


def with_style(page: str, fetch: Callable[[str], str]) -> str:
    """Return a page with the style that it links to inside."""
    head, link, rest = page.partition(_STYLE)
    if not link:
        return page
    path, _, rest = rest.partition('"')
    return f"{head}<style>{fetch(path)}</style>{rest.partition('>')[2]}"


def draw(page: Path, picture: Path) -> bool:
    """Have a browser, if there is one, draw a page into a file; return whether it did."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        return False
    # Root has no sandbox of its own to give to Chromium; the page is one that was written here.
    options = ["--no-sandbox"] if os.getuid() == 0 else []
    command = [
        browser, "--headless", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,4400", *options,
        f"--screenshot={picture.resolve()}", f"file://{page.resolve()}",
    ]  # fmt: skip
    try:
        subprocess.run(command, capture_output=True, timeout=PICTURE_SECONDS, check=True)  # noqa: S603 - a browser
    except (subprocess.SubprocessError, OSError):
        return False
    return picture.exists()
