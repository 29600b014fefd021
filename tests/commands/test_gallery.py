"""The page of what an audit found."""

import re
from pathlib import Path

import pytest

from brain_tumor.audit.transforms import apply_transform
from brain_tumor.commands.audit import main
from heads import head, png


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page of a folder with a copy, a mirrored image under another label, a broken file and a name with markup."""
    monkeypatch.setenv("WORKERS", "1")
    files = {
        "sick/1.png": png(head(1)), "sick/1 copy.png": png(head(1)),
        "well/mirrored.png": png(apply_transform(head(1), 4)),
        "well/<b>2&.png": png(head(2)), "well/broken.png": b"not an image", "sick/broken too.png": b"not an image",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    assert main([str(tmp_path / "images"), "--out", str(tmp_path / "out")]) == 0
    return (tmp_path / "out/gallery.html").read_text()


def test_gallery_shows_pairs_with_their_evidence_and_marks_conflicts(page: str) -> None:
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles[:3] == ["Duplicate with another label", "Same bytes", "Mirrored duplicate"]
    assert "Largest sets of duplicates" in titles
    assert "<p>left-right</p>" in page
    assert page.count('<b class="conflict">well</b>') >= 1
    assert "3 images (2 × sick, 1 × well)" in page
    assert re.search(r"<td>unreadable files</td><td class=\"num\">2</td>", page)


def test_gallery_is_one_file_and_names_are_escaped(page: str) -> None:
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "<b>2&" not in page
    assert "broken" not in page, "equal files that cannot be read are no pair to show"


def test_gallery_same_images_same_bytes(page: str, tmp_path: Path) -> None:
    assert main([str(tmp_path / "images"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/gallery.html").read_text() == page
