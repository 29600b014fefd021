"""Pages of small recipes."""

from brain_tumor.reporting.html_report import render_index, render_report
from brain_tumor.reporting.summary import NO_STUDIES, Subject, summarize_recipe
from example_report import make_chart, make_data
from example_results import make_results


def make_pages() -> dict[str, str]:
    """Render the report of a recipe, one on generated images, and the index."""
    summaries = [
        summarize_recipe(Subject(name, "shapes", generated, "net", None), make_results((10, 5, 0), 5), NO_STUDIES)
        for name, generated in (("first", False), ("second", True))
    ]
    info = {"title": "Shapes", "url": "https://example.org", "license": "none", "generated": False}
    datasets = {"shapes": {**info, "audit": {"images": 20}}}
    return {
        "report": render_report(make_data()),
        "report-of-generated-images": render_report(make_data(info={**info, "generated": True}, label_issues=[])),
        "index": render_index(summaries, datasets, ["first"], make_chart()),
    }
