"""What the script and the style of the pages do in a browser."""

import html
from pathlib import Path

import pytest

from browser import BROWSER, NO_BROWSER, evaluate
from example_pages import make_pages

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)

SORT = """<script>
const table = document.querySelector("#baselines table");
const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.trim());
const results = [names()];
for (const _ of [0, 1]) { table.querySelectorAll("th button")[1].click(); results.push(names()); }
report([...results, table.tHead.rows[0].cells[1].getAttribute("aria-sort")]);
</script>"""
REVEAL = """<script>
const results = [document.getElementById("robustness").open];
location.hash = "#robustness";
addEventListener("hashchange", () => { results.push(document.getElementById("robustness").open); report(results); });
</script>"""
# A frame of another width: what is wider than the frame, and not within a box that scrolls.
MEASURE = """<iframe id="frame" width="{width}" height="800" srcdoc="{page}"></iframe><script>
document.getElementById("frame").onload = (event) => {{
  const page = event.target.contentDocument;
  page.querySelectorAll("details").forEach((one) => {{ one.open = true; }});
  const cut = [...page.querySelectorAll("main *")].filter((one) => !one.closest(".wide, .sheet, pre, svg")
    && one.getBoundingClientRect().right > {width});
  report([page.documentElement.scrollWidth, cut.map((one) => one.outerHTML.slice(0, 100))]);
}};
</script>"""


def test_table_is_sorted_by_the_column_whose_title_is_clicked(tmp_path: Path) -> None:
    before, once, twice, order = evaluate(make_pages()["report"], SORT, tmp_path)
    assert before == once == ["net", "forest", "svm"], "the largest first"
    assert twice == ["svm", "forest", "net"]
    assert order == "ascending"


def test_link_opens_the_section_that_it_leads_to(tmp_path: Path) -> None:
    assert evaluate(make_pages()["report"], REVEAL, tmp_path) == [False, True]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", ["report", "index"])
def test_page_nothing_is_wider_than_the_screen(page: str, width: int, tmp_path: Path) -> None:
    script = MEASURE.format(width=width, page=html.escape(make_pages()[page]))
    scroll_width, cut = evaluate("<body></body>", script, tmp_path)
    assert cut == []
    assert scroll_width <= width


def test_measure_wide_element_is_found(tmp_path: Path) -> None:
    page = make_pages()["index"].replace("<footer>", '<p style="width: 500px">wide</p><footer>')
    scroll_width, cut = evaluate("<body></body>", MEASURE.format(width=390, page=html.escape(page)), tmp_path)
    assert scroll_width > 390
    assert len(cut) == 1
