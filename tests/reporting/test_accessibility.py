"""axe-core in a headless browser finds no serious fault in the pages, in light and in dark colors.

It needs Chromium, and axe-core from the package axe-playwright-python (`pip install --no-deps axe-playwright-python`:
its other dependencies are not used). Without one of them the tests are skipped.
"""

import html
import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from brain_tumor.reporting.html_report import render_index, render_report
from brain_tumor.reporting.summary import NO_STUDIES, Subject, summarize_recipe
from example_report import make_chart, make_data
from example_results import make_results

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = find_spec("axe_playwright_python")
SCHEMES = {"light": 1, "dark": 0}  # values of Blink's setting preferredColorScheme
RUN = """
<script src="axe.min.js"></script>
<script>
document.querySelectorAll("details").forEach((one) => { one.open = true; });
axe.run().then((result) => {
  const texts = result.violations.map((one) => ({
    id: one.id, impact: one.impact, nodes: one.nodes.map((node) => node.html.slice(0, 200)),
  }));
  document.body.innerHTML = "<pre id='result'></pre>";
  document.getElementById("result").textContent = JSON.stringify(texts);
});
</script>
"""

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed"),
    pytest.mark.skipif(AXE is None, reason="axe-core is not installed: pip install --no-deps axe-playwright-python"),
]


def find_faults(page: str, folder: Path, scheme: str = "light") -> list[dict[str, Any]]:
    """Run axe-core on a page; return the serious and critical faults."""
    assert BROWSER
    assert AXE
    assert AXE.submodule_search_locations
    shutil.copyfile(Path(AXE.submodule_search_locations[0]) / "axe.min.js", folder / "axe.min.js")
    (folder / "page.html").write_text(page.replace("</body>", f"{RUN}</body>"), encoding="utf-8")
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--user-data-dir={folder / 'browser'}", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        "--virtual-time-budget=60000", "--dump-dom", (folder / "page.html").as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    result = re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    assert result, "axe-core has not finished"
    faults: list[dict[str, Any]] = json.loads(html.unescape(result[1]))
    return [fault for fault in faults if fault["impact"] in ("serious", "critical")]


def make_pages() -> dict[str, str]:
    summaries = [
        summarize_recipe(Subject(name, "shapes", generated, "net", None), make_results((10, 5, 0), 5), NO_STUDIES)
        for name, generated in (("first", False), ("second", True))
    ]
    info = {"title": "Shapes", "url": "https://example.org", "license": "none", "generated": False}
    datasets = {"shapes": {**info, "audit": {"images": 20}}}
    info["generated"] = True
    return {
        "report": render_report(make_data()),
        "report-of-generated-images": render_report(make_data(info=info, label_issues=[])),
        "index": render_index(summaries, datasets, ["first"], make_chart()),
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", ["report", "report-of-generated-images", "index"])
def test_page_has_no_serious_accessibility_fault(page: str, scheme: str, tmp_path: Path) -> None:
    assert find_faults(make_pages()[page], tmp_path, scheme) == []


def test_find_faults_image_without_text_and_pale_text_are_found(tmp_path: Path) -> None:
    page = render_report(make_data()).replace(
        "<footer>", '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><p style="color: #ccc">pale</p><footer>'
    )
    assert {fault["id"] for fault in find_faults(page, tmp_path)} == {"image-alt", "color-contrast"}
