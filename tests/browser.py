"""Pages in headless Chromium."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_BROWSER = "Chromium is not installed"
SCHEMES = {"light": 1, "dark": 0}  # values of Blink's setting preferredColorScheme


def evaluate(page: str, script: str, folder: Path, scheme: str = "light") -> Any:
    """Load a page in the browser and return what `script` passes to `report`, as JSON.

    Args:
        script: HTML with script elements, for the end of the body.
        folder: for the page, the browser's profile, and files that the script reads.
    """
    assert BROWSER
    start = """<script>const report = (value) => {
    const result = document.createElement("pre"); result.id = "reported-result";
    result.textContent = JSON.stringify(value); document.body.replaceChildren(result); };</script>"""
    (folder / "page.html").write_text(page.replace("</body>", f"{start}{script}</body>"), encoding="utf-8")
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--user-data-dir={folder / 'browser'}", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        "--window-size=1280,900", "--virtual-time-budget=60000", "--dump-dom", (folder / "page.html").as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    result = re.search(r'<pre id="reported-result">(.*?)</pre>', dom, re.DOTALL)
    assert result, "the script has not finished"
    return json.loads(html.unescape(result[1]))
