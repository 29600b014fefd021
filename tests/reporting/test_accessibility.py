"""axe-core in a headless browser finds no serious fault in the pages, in light and in dark colors.

It needs Chromium, and axe-core from the package axe-playwright-python (`pip install --no-deps axe-playwright-python`:
its other dependencies are not used). Without one of them the tests are skipped.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from browser import BROWSER, NO_BROWSER, SCHEMES, evaluate
from example_pages import make_pages

AXE = find_spec("axe_playwright_python")
RUN = """
<script src="axe.min.js"></script>
<script>
document.querySelectorAll("details").forEach((one) => { one.open = true; });
axe.run().then((result) => report(result.violations.map((one) => ({
  id: one.id, impact: one.impact, nodes: one.nodes.map((node) => node.html.slice(0, 200)),
}))));
</script>
"""

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER),
    pytest.mark.skipif(AXE is None, reason="axe-core is not installed: pip install --no-deps axe-playwright-python"),
]


def find_faults(page: str, folder: Path, scheme: str = "light") -> list[dict[str, Any]]:
    """Run axe-core on a page; return the serious and critical faults."""
    assert AXE
    assert AXE.submodule_search_locations
    shutil.copyfile(Path(AXE.submodule_search_locations[0]) / "axe.min.js", folder / "axe.min.js")
    faults = evaluate(page, RUN, folder, scheme)
    return [fault for fault in faults if fault["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", ["report", "report-of-generated-images", "index"])
def test_page_has_no_serious_accessibility_fault(page: str, scheme: str, tmp_path: Path) -> None:
    assert find_faults(make_pages()[page], tmp_path, scheme) == []


def test_find_faults_image_without_text_and_pale_text_are_found(tmp_path: Path) -> None:
    page = make_pages()["report"].replace(
        "<footer>", '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><p style="color: #ccc">pale</p><footer>'
    )
    assert {fault["id"] for fault in find_faults(page, tmp_path)} == {"image-alt", "color-contrast"}
