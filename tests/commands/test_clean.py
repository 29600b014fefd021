"""`brain-tumor clean`: one image of each set of duplicates."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.audit.transforms import apply_transform
from brain_tumor.commands.clean import main
from clinical_files import make_dicom
from heads import head, png


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKERS", "1")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "images"
    larger = Image.fromarray(head(1)).resize((208, 192))
    files = {"a/small.png": png(head(1)), "a/mirrored.png": png(apply_transform(head(1), 4)), "a/2.png": png(head(2))}
    files |= {"a/3.png": png(head(3)), "b/3.png": png(head(3)), "b/broken.png": b"no image"}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    larger.save(folder / "b" / "large.png")
    larger.save(folder / "a" / "large.png")
    (folder / "b" / "large.png").unlink()
    return folder


def test_clean_keeps_the_largest_and_names_the_reason_for_the_others(images: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(images.rglob("*"))}
    assert main([str(images), "--out", "list.csv", "--link", "kept"]) == 0
    table = pd.read_csv("list.csv", keep_default_na=False).set_index("path")
    assert table.index[table["kept"]].tolist() == ["a/2.png", "a/large.png"]
    assert table.loc[~table["kept"], "reason"].to_dict() == {
        "a/3.png": "duplicates have different labels",
        "b/3.png": "duplicates have different labels",
        "a/mirrored.png": "another image of its duplicates is kept",
        "a/small.png": "another image of its duplicates is kept",
        "b/broken.png": "unreadable: not an image file",
    }
    links = sorted(path for path in Path("kept").rglob("*") if not path.is_dir())
    assert [path.as_posix() for path in links] == ["kept/a/2.png", "kept/a/large.png"]
    assert all(path.is_symlink() and path.read_bytes() == (images / "a" / path.name).read_bytes() for path in links)
    assert {path: path.stat().st_mtime_ns for path in sorted(images.rglob("*"))} == before


def test_clean_per_group_keeps_one_image_of_a_patient(images: Path) -> None:
    (images / "table.csv").write_text("path,patient\na/2.png,P\na/large.png,P\na/small.png,\n")
    assert main([str(images / "table.csv"), "--out", "list.csv", "--per", "group"]) == 0
    table = pd.read_csv("list.csv", keep_default_na=False).set_index("path")
    assert table.index[table["kept"]].tolist() == ["a/large.png"]
    assert set(table.loc[~table["kept"], "reason"]) == {"another image of its group is kept"}


def test_clean_links_need_a_new_folder_outside_and_files(images: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: --link .* exists already"):
        main([str(images), "--out", "list.csv", "--link", str(images)])
    with pytest.raises(SystemExit, match=r"^error: --link .* is inside"):
        main([str(images), "--out", "list.csv", "--link", str(images / "new")])
    pages = [Image.fromarray(head(seed)) for seed in (7, 8)]
    pages[0].save(images / "a" / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(SystemExit, match=r"^error: --link: a/pages\.tif.* is not a file in "):
        main([str(images), "--out", "list.csv", "--link", "kept"])
    assert not Path("list.csv").exists()
    assert not Path("kept").exists()


def test_clean_links_dicom_files_and_names_that_are_escaped(images: Path) -> None:
    for number, name in enumerate(("IM0001", "IM0002", "x.dcm")):
        content = make_dicom(head(20 + number % 2).astype(np.int16), PatientID=name)
        (images / "a" / name).write_bytes(content)
    (images / "a" / "new\nline.png").write_bytes(png(head(30)))
    assert main([str(images), "--out", "list.csv", "--link", "kept"]) == 0
    table = pd.read_csv("list.csv", keep_default_na=False)
    assert {"a/IM0002", "a/new\\nline.png"} < set(table.loc[table["kept"], "path"])
    kept = {path.relative_to("kept").as_posix() for path in Path("kept").rglob("*") if path.is_symlink()}
    assert {"a/IM0002", "a/new\nline.png"} < kept
    assert len({"a/IM0001", "a/x.dcm"} & kept) == 1
    assert len(kept) == table["kept"].sum()
    assert (Path("kept") / "a/IM0002").read_bytes() == (images / "a/IM0002").read_bytes()


def test_clean_links_of_an_archive_are_an_error_even_beside_its_unpacked_files(images: Path) -> None:
    shutil.make_archive("images/all", "zip", images)  # `a/2.png` is also a path in the folder of the archive
    with pytest.raises(SystemExit, match=r"^error: --link: images/all\.zip is an archive"):
        main(["images/all.zip", "--out", "list.csv", "--link", "kept"])
    Path("kept").symlink_to("nowhere")
    with pytest.raises(SystemExit, match=r"^error: --link kept exists already"):
        main(["images", "--out", "list.csv", "--link", "kept"])
    assert not Path("list.csv").exists()
