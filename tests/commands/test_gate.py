"""`brain-tumor gate`: exit codes, findings and their evidence."""

import io
import json
import logging
import re
import shlex
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.groups import GROUPING_KINDS
from brain_tumor.audit.patients import COLUMNS as PATIENT_COLUMNS
from brain_tumor.audit.rules import LEAKS
from brain_tumor.audit.transforms import apply_transform
from brain_tumor.commands import gate
from brain_tumor.commands.gate import ERROR, FAILED, PASSED, main
from brain_tumor.commands.gate_findings import FILES, RULES
from brain_tumor.commands.main import INTERRUPTED
from brain_tumor.datasets.raw_archive import COLUMNS as INDEX_COLUMNS
from brain_tumor.studies.image_lists import make_list
from heads import head, png
from project import ROOT

TRAIN = {f"{label}/{seed}.png": png(head(seed)) for label, seeds in (("a", (1, 2)), ("b", (3, 4))) for seed in seeds}


@pytest.fixture(autouse=True)
def in_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKERS", "1")
    monkeypatch.chdir(tmp_path)


def write(folder: str, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_bytes(content)


def test_gate_nothing_in_common_passes(caplog: pytest.LogCaptureFixture) -> None:
    write("train", TRAIN)
    write("test", {"a/5.png": png(head(5)), "notes.txt": b"text"})
    with caplog.at_level(logging.INFO):
        assert main(["--train", "train", "--test", "test", "--out", "out"]) == PASSED
    assert caplog.messages[-1] == "1 test images, 4 training images: passed"
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(FILES)
    result = json.loads(Path("out/gate.json").read_text())
    assert (result["passed"], result["images"], result["files_left_out"]) == (True, {"train": 4, "test": 1}, 1)
    assert list(result["rules"]) == [rule.id for rule in RULES]
    assert pd.read_csv("out/findings.csv").empty
    assert pd.read_csv("out/files.csv")["path"].tolist() == ["test/notes.txt"]


def test_gate_copies_fail_with_what_and_why(caplog: pytest.LogCaptureFixture) -> None:
    write("train", TRAIN)
    write("test", {"a/copy.png": TRAIN["a/1.png"], "a/mirrored.png": png(apply_transform(head(3), 4))})
    write("test", {"a/new.png": png(head(6)), "a/broken.png": b"not an image"})
    with caplog.at_level(logging.INFO):
        assert main(["--train", "train", "--test", "test", "--out", "out"]) == FAILED
    assert "  test/a/mirrored.png and train/b/3.png (left-right, correlation 0.999, labels a and b)" in caplog.messages
    assert caplog.messages[-1].endswith("4 training images: failed: leak-exact, leak-mirrored, unreadable")
    table = pd.read_csv("out/findings.csv", keep_default_na=False)
    assert table[["rule", "path", "other"]].to_numpy().tolist() == [
        ["leak-exact", "test/a/copy.png", "train/a/1.png"],
        ["leak-mirrored", "test/a/mirrored.png", "train/b/3.png"],
        ["unreadable", "test/a/broken.png", ""],
    ]
    suite = ElementTree.parse("out/junit.xml").getroot()
    assert suite.get("tests") == str(len(RULES))
    assert {case.get("name") for case in suite if case.find("failure") is not None} == set(table["rule"])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["leak-exact=1"], FAILED),
        (["leak-exact=1", "leak-mirrored=1"], PASSED),
        (["leak-exact", "leak-mirrored"], PASSED),
        (["leak-exact=0", "leak-mirrored"], FAILED),
        (["leak-exact=1", "leak-mirrored=0"], FAILED),
        (["leak-rotated", "leak-near"], FAILED),
    ],
)
def test_gate_allowed_findings_pass(options: list[str], code: int) -> None:
    write("train", TRAIN)
    write("test", {"a/copy.png": TRAIN["a/1.png"], "a/mirrored.png": png(apply_transform(head(3), 4))})
    allow = [word for option in options for word in ("--allow", option)]
    assert main(["--train", "train", "--test", "test", *allow]) == code


def test_gate_table_with_patients_and_paths_of_windows(caplog: pytest.LogCaptureFixture) -> None:
    write("images", TRAIN)
    rows = ["path;split;patient", "a\\1.png;train;P1", "a\\2.png;Test;P2", "b\\3.png;val;P2", "b\\4.png;;P1"]
    Path("images/split.csv").write_text("\n".join(rows))
    with caplog.at_level(logging.INFO):
        assert main(["--table", "images/split.csv", "--out", "out"]) == FAILED
    assert "  a/2.png and b/3.png (patient P2)" in caplog.messages
    assert "1 images are neither training nor test images, and are not compared" in caplog.messages
    assert caplog.messages[-1] == "1 test images, 2 training images: failed: leak-patient"
    assert main(["--table", "images/split.csv", "--allow", "leak-patient"]) == PASSED


def test_gate_archives_and_several_sources() -> None:
    write("train/one", TRAIN)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("a/x.png", png(head(8)))
        file.writestr("a/y.png", TRAIN["b/4.png"])
    write(".", {"more.zip": content.getvalue(), "test/a/5.png": png(head(5))})
    assert main(["--train", "train/one", "--test", "test"]) == PASSED
    assert main(["--train", "train/one", "--test", "test", "more.zip", "--out", "out"]) == FAILED
    assert pd.read_csv("out/findings.csv")[["path", "other"]].to_numpy().tolist() == [
        ["more.zip/a/y.png", "one/b/4.png"]
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--train", "train", "--test", "nowhere"], "error: nowhere does not exist"),
        (["--train", "train", "--test", "train"], "error: train is named twice"),
        (["--train", "train", "--test", "train/a"], "error: train/a is inside train: its images would be read twice"),
        (["--train", "train/a", "--test", "train"], "error: train/a is inside train: its images would be read twice"),
        (["--train", "train", "--test", "empty"], "error: no image in empty, which has no files"),
        (["--train", "train", "--test", "text.txt"], "error: text.txt is a text file, not a zip or tar archive"),
        (["--table", "train"], "error: there are no train images"),
        (["--train", "train", "--test", "other", "--allow", "x"], "error: --allow x: 'x' is not a rule"),
        (["--train", "train", "--test", "other", "--allow", "leak-near=²"], "'²' is not a number of findings"),
    ],
)
def test_gate_errors_have_a_code_of_their_own(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("train", TRAIN)
    write("other", TRAIN)
    write(".", {"text.txt": b"text"})
    Path("empty").mkdir()
    assert main(args) == ERROR
    assert message in capsys.readouterr().err


def test_gate_example_of_github_actions_runs_as_written() -> None:
    page = (ROOT / "docs/audit.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    steps = yaml.safe_load(block)["jobs"]["gate"]["steps"]
    (words,) = [shlex.split(step["run"]) for step in steps if step.get("run", "").startswith("brain-tumor")]
    assert words[:2] == ["brain-tumor", "gate"]
    write("data/train", TRAIN)
    write("data/test", {"a/5.png": png(head(5))})
    assert main(words[2:]) == PASSED
    write("data/test", {"a/copy.png": TRAIN["a/1.png"]})
    assert main(words[2:]) == FAILED
    upload = steps[-1]
    assert upload["if"] == "always()", "the findings are wanted when the step before failed"
    assert sorted(path.name for path in Path(upload["with"]["path"]).iterdir()) == sorted(FILES)


@pytest.mark.parametrize(
    "args", [[], ["--train", "a"], ["--test", "a"], ["--train", "a", "--test", "b", "--table", "c"]]
)
def test_gate_incomplete_arguments_print_usage(args: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == ERROR


def test_rules_are_those_of_all_kinds_of_links() -> None:
    assert tuple(LEAKS) == GROUPING_KINDS
    assert [rule.id for rule in RULES] == [f"leak-{kind}" for kind in GROUPING_KINDS] + ["unreadable", "not-listed"]


def test_gate_lists_find_what_the_audit_finds_and_name_unlisted_images(caplog: pytest.LogCaptureFixture) -> None:
    write("train", TRAIN)
    same_pixels = png(head(2), level=1)
    test = {
        "a/copy.png": TRAIN["a/1.png"],
        "a/mirrored.png": png(apply_transform(head(3), 4)),
        "a/new.png": png(head(6)),
    }
    write("test", test)
    table, _ = audit_images(
        pd.concat([index_files("train", TRAIN), index_files("test", test)], ignore_index=True),
        lambda path: Path(path).read_bytes(),
        "list",
    )
    Path("lists").mkdir()
    make_list(table, pd.DataFrame(columns=PATIENT_COLUMNS, dtype=str)).to_csv("lists/mine.csv", index=False)
    write("test", {"a/same pixels.png": same_pixels, "a/unknown.png": png(head(9)), "a/broken.png": b"not an image"})
    with caplog.at_level(logging.INFO):
        assert main(["--train", "train", "--test", "test", "--lists", "lists", "--out", "out"]) == FAILED
    found = pd.read_csv("out/findings.csv", keep_default_na=False)
    assert found[["rule", "path", "other", "transform"]].to_numpy().tolist() == [
        ["leak-exact", "test/a/copy.png", "train/a/1.png", "none"],
        ["leak-mirrored", "test/a/mirrored.png", "train/b/3.png", "left-right"],
        ["leak-pixels", "test/a/same pixels.png", "train/a/2.png", "none"],
        ["unreadable", "test/a/broken.png", "", ""],
        ["not-listed", "test/a/unknown.png", "", ""],
    ]
    options = ["--allow", "not-listed", "--allow", "unreadable"]
    with caplog.at_level(logging.INFO):
        assert main(["--train", "train/b", "--test", "test/a", "--lists", "lists/mine.csv", *options]) == FAILED
    assert caplog.messages[-1].endswith("failed: leak-mirrored")
    assert main(["--train", "train", "--test", "test", "--lists", "none.csv"]) == ERROR


def write_list(path: str, files: Mapping[str, bytes], **patients: str) -> None:
    """Audit files, and write their list; `patients` by the file's name without its suffix."""
    index = index_files("", files).assign(patient=[patients.get(Path(name).stem, "") for name in files])
    index["path"] = list(files)
    table, _ = audit_images(index, files.__getitem__, "list")
    make_list(table, pd.DataFrame(columns=PATIENT_COLUMNS, dtype=str)).to_csv(path, index=False)


def test_gate_lists_with_an_image_in_common_are_one(caplog: pytest.LogCaptureFixture) -> None:
    mirrored, turned = (png(apply_transform(head(1), number)) for number in (4, 2))
    pixels = png(head(1), level=1)  # other bytes than the file of the first list
    Path("lists").mkdir()
    write_list("lists/a.csv", {"x/1.png": png(head(1)), "y/5.png": png(head(5))})
    write_list("lists/b.csv", {"x/1.png": pixels, "y/mirrored.png": mirrored, "y/6.png": png(head(6))})
    write_list("lists/c.csv", {"x/1.png": png(head(1)), "y/turned.png": turned, "y/7.png": png(head(7))})
    write("train", {"x/1.png": mirrored, "x/5.png": png(head(5))})
    write("test", {"x/2.png": turned, "y/6.png": png(head(6)), "y/7.png": png(head(7))})
    for lists in (["lists"], ["lists/c.csv", "lists/a.csv", "lists/b.csv"]):
        assert main(["--train", "train", "--test", "test", "--lists", *lists, "--out", "out"]) == FAILED
        found = pd.read_csv("out/findings.csv", keep_default_na=False)
        assert found[["rule", "path", "other", "transform"]].to_numpy().tolist() == [
            ["leak-mirrored", "test/x/2.png", "train/x/1.png", "up-down"]
        ]
    assert main(["--train", "train", "--test", "test", "--lists", "lists/a.csv", "--allow", "not-listed"]) == PASSED


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ("a/1.png,train,P\nb/3.png,test,P", FAILED),  # patients of the table, though the list has one for the first
        ("a/1.png,train,P\nb/4.png,test,Q", FAILED),  # patients of the list, though the table has others
        ("a/1.png,train,P\nb/3.png,test,Q", PASSED),
        ("a/1.png,train,\nb/4.png,test,", FAILED),
        ("a/2.png,train,\nb/4.png,test,", PASSED),
    ],
)
def test_gate_lists_respect_patients_of_the_table_and_of_the_list(rows: str, code: int) -> None:
    write("images", TRAIN)
    Path("images/split.csv").write_text(f"path,split,patient\n{rows}\n")
    write_list("mine.csv", TRAIN, **{"1": "L", "4": "L"})
    assert main(["--table", "images/split.csv", "--lists", "mine.csv", "--out", "out"]) == code
    assert set(pd.read_csv("out/findings.csv")["rule"]) == ({"leak-patient"} if code == FAILED else set())


def test_gate_images_that_were_not_fetched_are_unreadable(caplog: pytest.LogCaptureFixture) -> None:
    write("train", TRAIN)
    write("test", {"a/5.png": png(head(5)), "a/6.png": b"version https://git-lfs.github.com/spec/v1\n", ".x.png": b""})
    Path("test/a/7.png").symlink_to("/nowhere/7.png")
    Path("test/a/notes.txt").symlink_to("/nowhere/notes.txt")  # no image
    with caplog.at_level(logging.INFO):
        assert main(["--train", "train", "--test", "test", "--out", "out"]) == FAILED
    found = pd.read_csv("out/findings.csv", keep_default_na=False)
    assert found[["rule", "path"]].to_numpy().tolist() == [
        ["unreadable", "test/a/6.png"], ["unreadable", "test/a/7.png"]
    ]  # fmt: skip
    assert found["reason"].str.contains("git lfs pull|does not exist").all()
    assert "  test/a/7.png (a link to a file that does not exist)" in caplog.messages
    assert main(["--train", "train", "--test", "test", "--allow", "unreadable=2"]) == PASSED
    # Beside a table, they are not images of its data set; those that it lists are.
    write("test", {"a/readme": b"text", "b/5.hdr": b"x", "b/6_mask.png": png(head(6))})
    Path("test/split.csv").write_text("path,split\na/5.png,test\n")
    assert main(["--train", "train", "--test", "test/split.csv"]) == PASSED
    Path("test/split.csv").write_text("path,split\na/5.png,test\na/readme,test\na/6.png,test\n")
    assert main(["--train", "train", "--test", "test/split.csv", "--out", "out"]) == FAILED
    found = pd.read_csv("out/findings.csv", keep_default_na=False)
    assert found["path"].tolist() == ["split.csv/a/6.png", "split.csv/a/readme"]


def test_gate_damaged_member_of_an_archive_is_unreadable() -> None:
    write("train", TRAIN)
    with zipfile.ZipFile("test.zip", "w") as file:
        for seed in (5, 6):
            file.writestr(f"a/{seed}.png", png(head(seed)))
    content = Path("test.zip").read_bytes()
    assert main(["--train", "train", "--test", "test.zip"]) == PASSED
    Path("test.zip").write_bytes(content[:500] + bytes(20) + content[520:])
    assert main(["--train", "train", "--test", "test.zip", "--out", "out"]) == FAILED
    assert pd.read_csv("out/findings.csv")[["rule", "path"]].to_numpy().tolist() == [["unreadable", "test.zip/a/5.png"]]


def test_gate_patients_that_pandas_wrote_as_fractions_are_the_same() -> None:
    write("images", TRAIN)
    Path("images/train.csv").write_text("path,patient\na/1.png,17\na/2.png,18\n")
    Path("images/test.csv").write_text("path,patient\nb/3.png,17.0\nb/4.png,\n")  # a column with an empty cell
    assert main(["--train", "images/train.csv", "--test", "images/test.csv"]) == FAILED
    Path("images/test.csv").write_text("path,patient\nb/3.png,1.7\nb/4.png,1.17.0\n")
    assert main(["--train", "images/train.csv", "--test", "images/test.csv"]) == PASSED


def test_gate_error_that_nobody_foresaw_is_not_a_leak(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("train", TRAIN)
    write("test", TRAIN)

    def fail_with(error: BaseException) -> int:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(gate, "relate_images", fail)
        return main(["--train", "train", "--test", "test"])

    assert fail_with(MemoryError("no memory")) == ERROR
    assert "MemoryError: no memory" in capsys.readouterr().err
    assert fail_with(PermissionError(13, "Permission denied", "x.png")) == ERROR
    assert capsys.readouterr().err.endswith("error: x.png: Permission denied\n")
    assert fail_with(KeyboardInterrupt()) == INTERRUPTED
    assert capsys.readouterr().err.endswith("interrupted: nothing was written\n")


def index_files(folder: str, files: Mapping[str, bytes]) -> pd.DataFrame:
    """Index files as the audit of a data set needs it."""
    rows = [(f"{folder}/{name}", name.split("/")[0], sha256(content).hexdigest()) for name, content in files.items()]
    index = pd.DataFrame(rows, columns=["path", "label", "sha256"])
    return index.reindex(columns=INDEX_COLUMNS, fill_value="")
