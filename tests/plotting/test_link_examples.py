"""Selection of links for the contact sheet of an audit."""

from audit_samples import audit_files, sample_audit
from brain_tumor.audit.groups import DUPLICATE_KINDS
from brain_tumor.plotting.link_examples import TITLES, choose_link_examples
from heads import head, png


def test_choose_link_examples_conflicts_first_weakest_last() -> None:
    table, links = sample_audit()
    rows = choose_link_examples(table, links)
    titles = [row[0].caption.split(",")[0] for row in rows]
    assert titles == [
        "duplicate with another label", "same bytes", "same pixels", "mirrored duplicate", "rotated duplicate",
        "weakest accepted duplicates",
    ]  # fmt: skip
    labels = table.set_index("path")["label"]
    assert all(labels[example.first] != labels[example.second] for example in rows[0])
    assert rows[3][0].caption.startswith("mirrored duplicate, left-right")
    assert all(1 <= len(row) <= 3 for row in rows)


def test_choose_link_examples_unreadable_files_are_left_out() -> None:
    files = [("a|b.png", png(head(1)), "x", "", ""), ("c.png", png(head(1)), "x", "", "")]
    files += [(f"{n}.png", b"", "x", "", "") for n in range(2)]
    files += [(f"{n}.jpg", b"not an image", "y", "", "") for n in range(2)]
    (row,) = choose_link_examples(*audit_files(files))
    assert [(example.first, example.second) for example in row] == [("a|b.png", "c.png")]


def test_titles_cover_all_kinds_of_links_that_pixels_show() -> None:
    assert tuple(TITLES) == (*DUPLICATE_KINDS, "adjacent")
