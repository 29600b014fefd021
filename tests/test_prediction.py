"""Predictions from files: what is read, what is said of it, and that one bad file stops nothing."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from heads import head, small
from nets import card
from PIL import Image

from brain_tumor import exporting, typicality
from brain_tumor.calibration import Calibration
from brain_tumor.classifier import Classifier, save
from brain_tumor.errors import UserError
from brain_tumor.onnx_model import Description
from brain_tumor.prediction import find, judge, open_model, predict, slices
from brain_tumor.typicality import Typical, unusual

SOURCE = Path(__file__).parents[1] / "src"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A trained model and its export."""
    torch.manual_seed(0)
    trained, exported = tmp_path_factory.mktemp("models") / "m", tmp_path_factory.mktemp("exports") / "m"
    about = card().model_copy(update={"calibration": Calibration(temperature=1.3, least={"0.9": 0.2})})
    model = Classifier(about).eval()
    for folder in (trained, exported):
        folder.mkdir()
        save(folder, model, about)
    (exported / "model.safetensors").unlink()
    known = typicality.learn(small(range(60)), small(range(60, 100)))
    exporting.to_onnx(model, about, known, exported / "model.onnx")
    return trained, exported


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "more").mkdir(parents=True)
    for seed in range(3):
        Image.fromarray(head(seed)).save(folder / f"{seed}.png")
    Image.fromarray(head(4)).convert("RGB").save(folder / "more" / "4.JPG")
    (folder / "more" / "notes.txt").write_text("no image")
    return folder


def run(*words: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SOURCE / "predict.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_both_runtimes_say_the_same(folders: tuple[Path, Path], files: Path) -> None:
    paths = find([files])
    found = [list(predict(paths, *open_model(folder))) for folder in folders]
    assert [Path(each.file).name for each in found[0]] == ["0.png", "1.png", "2.png", "4.JPG"]
    for one, other in zip(*found, strict=True):
        assert one.predicted == other.predicted
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=2e-4)
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-3)


def test_a_bad_file_stops_nothing_and_the_exit_code_tells(folders: tuple[Path, Path], files: Path) -> None:
    (files / "1a.png").write_bytes(b"hello")
    (files / "1b.dcm").write_bytes(bytes(128) + b"DICM broken")
    (files / "1c.nii.gz").write_bytes(b"\x1f\x8b broken")
    (files / "1d.jpg").write_bytes(b"")
    done = run(folders[1], files, "--format", "jsonl")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 8
    failed = {Path(line["file"]).name: line["error"] for line in lines if line["error"]}
    assert set(failed) == {"1a.png", "1b.dcm", "1c.nii.gz", "1d.jpg"}
    assert failed["1a.png"] == "not an image file"
    assert failed["1d.jpg"] == "an empty file"
    assert all(line["predicted"] for line in lines if not line["error"])
    assert run(folders[1], files / "0.png").returncode == 0


def test_formats_hold_the_same(folders: tuple[Path, Path], files: Path) -> None:
    table, text, lines = (run(folders[1], files, "--format", how).stdout for how in ("csv", "table", "jsonl"))
    rows = list(csv.DictReader(io.StringIO(table)))
    for row, line in zip(rows, map(json.loads, lines.splitlines()), strict=True):
        assert row["predicted"] == line["predicted"]
        assert {label: float(row[f"p_{label}"]) for label in "abc"} == line["probabilities"]
        assert row["likely"].split("; ") == line["likely"]
        assert f"{row['file']}: {row['predicted']}" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nowhere", "x.png"), "nowhere does not exist: train it"),
        (("nowhere", "."), "nowhere does not exist: train it"),
        ((".", "."), "is missing"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_printed(
    words: tuple[str, ...], expected: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    done = run(*words)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_export_that_was_not_made_says_how_to_make_it(folders: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"dvc repro stages/dvc.yaml:export@m"):
        open_model(folders[0], "onnx")
    with pytest.raises(UserError, match="is missing"):
        open_model(folders[1], int8=True)


def test_slices_of_volumes_and_frames(tmp_path: Path) -> None:
    y, x, z = np.mgrid[-1:1:40j, -1:1:44j, -1:1:36j]
    volume = (np.hypot(np.hypot(y, x), z) < 0.8) * 200.0
    nibabel.Nifti1Image(volume, np.eye(4)).to_filename(tmp_path / "v.nii.gz")
    found = slices(tmp_path / "v.nii.gz", "coronal", 3)
    assert len(found) == 3
    assert all(each.gray is not None and not each.error for each in found)
    assert all("coronal" in each.file for each in found)


def test_words_for_what_is_certain_likely_and_strange() -> None:
    about = Description.model_validate(
        {
            "recipe": "r", "dataset": "d", "generated_data": False, "classes": ("a", "b", "c"),
            "enhance": {"operations": ({"op": "resize", "size": 32, "mode": "pad"},)},
            "calibration": {"least": {"0.9": 0.3}},
        },
        strict=False,
    )  # fmt: skip
    image = small(range(1))[0]
    sure = judge("f", image, np.array([0.1, 0.8, 0.1]), "", about)
    assert (sure.predicted, sure.likely, sure.warnings) == ("b", ("b",), ())
    torn = judge("f", image, np.array([0.35, 0.25, 0.4]), "", about)
    assert torn.likely == ("c", "a")
    assert torn.warnings == ("low certainty: c or a",)
    lost = judge("f", image, np.array([0.29, 0.28, 0.29]), "too ragged", about)
    assert lost.likely == ("a",)
    assert lost.warnings[0] == "does not look like a slice of a head: too ragged"
    assert "low certainty" in lost.warnings[1]
    high = about.model_copy(update={"calibration": about.calibration.model_copy(update={"least": {"0.9": 0.99}})})
    assert judge("f", image, np.array([0.02, 0.96, 0.02]), "", high).warnings == (), "an empty set means nothing"
    none = about.model_copy(update={"calibration": about.calibration.model_copy(update={"least": {"0.9": 0.0}})})
    assert judge("f", image, np.array([0.02, 0.96, 0.02]), "", none).warnings == ()
    assert "no finite" in judge("f", image, np.array([np.nan] * 3), "", about).error


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert slices(tmp_path / "pipe.png")[0].error == "no file"
    assert slices(Path("/dev/zero"))[0].error == "no file"
    (tmp_path / "._a.png").write_bytes(b"what macOS leaves")
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "README").write_text("no image")
    assert [path.name for path in find([tmp_path])] == ["IM0001"]


def test_an_export_of_another_model_is_refused(folders: tuple[Path, Path], files: Path, tmp_path: Path) -> None:
    for place, folder in (("models/m", folders[0]), ("exports/m", folders[1])):
        shutil.copytree(folder, tmp_path / place)
    scan = files / "0.png"
    assert run(tmp_path / "models/m", scan, "--runtime", "onnx").returncode == 0
    card = tmp_path / "exports/m/model.json"
    card.write_text(card.read_text() + " ")
    refused = run(tmp_path / "models/m", scan, "--runtime", "onnx")
    assert refused.returncode == 2
    assert "is of another model" in refused.stderr


def test_names_that_terminals_would_obey_or_cannot_write(folders: tuple[Path, Path], tmp_path: Path) -> None:
    name = os.fsdecode(b"a\x1b[31m\n\xff.png")
    Image.fromarray(head(1)).save(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(tmp_path / name)
    for how in ("table", "csv", "jsonl"):
        done = run(folders[1], tmp_path, "--format", how)
        assert done.returncode == 0, done.stderr
        assert how == "csv" or "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_strange_images_are_unlike_the_training_images_and_others_of_the_kind_are_not() -> None:
    known: Typical = typicality.learn(small(range(200)), small(range(200, 300)))
    assert unusual(small(range(300, 400)), known).mean() < 0.08
    random = np.random.default_rng(0)
    strange = [
        random.integers(0, 255, (32, 32)),
        np.zeros((32, 32)),
        np.full((32, 32), 255),
        255 - small(range(1))[0],
    ]
    assert unusual(np.stack(strange).astype(np.uint8), known).all()


def test_heat_maps_are_written(folders: tuple[Path, Path], files: Path, tmp_path: Path) -> None:
    done = run(folders[0], files, "--heat-maps", tmp_path / "heat")
    assert done.returncode == 0, done.stderr
    found = sorted(path.name for path in (tmp_path / "heat").iterdir())
    assert len(found) == 4
    with Image.open(tmp_path / "heat" / found[0]) as picture:
        assert (picture.size, picture.mode) == ((32, 32), "RGB")
    refused = run(folders[1], files, "--heat-maps", tmp_path / "none")
    assert refused.returncode == 2
    assert "need torch" in refused.stderr


def test_linked_folders_are_followed_once_and_several_images_in_a_file_are_said(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "named").mkdir()
    frames = [Image.fromarray(image) for image in small(range(3))]
    frames[0].save(tmp_path / "real/a.png")
    (tmp_path / "named/link").symlink_to(tmp_path / "real")
    (tmp_path / "real/back").symlink_to(tmp_path / "named")
    assert find([tmp_path / "named"]) == [tmp_path / "named/link/a.png"]
    for suffix in ("tif", "gif"):
        frames[0].save(tmp_path / f"several.{suffix}", save_all=True, append_images=frames[1:])
        (found,) = slices(tmp_path / f"several.{suffix}")
        assert found.error == "holds 3 images: save each as a file"


def test_one_bad_path_stops_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    image = Image.fromarray(small(range(1))[0])
    for name in ("a.png", "1.2.840.113619.2.55.3"):
        image.save(tmp_path / name, "PNG")
    (tmp_path / "1.2.840.113619.2.55.4").write_bytes(bytes(128) + b"DICM\x1b[31m")
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable").symlink_to("/proc/self/mem")
    done = run(folders[1], tmp_path, tmp_path / "none.png", tmp_path / "empty", "--format", "jsonl")
    assert done.returncode == 1
    lines = {Path(line["file"]).name: line for line in map(json.loads, done.stdout.splitlines())}
    assert lines["a.png"]["predicted"]
    assert lines["none.png"]["error"] == "does not exist"
    assert lines["empty"]["error"].startswith("holds no image")
    assert lines["unreadable"]["error"]
    broken = lines["1.2.840.113619.2.55.4"]["error"]
    assert broken == "a DICOM file without an image: it has no Rows and no Columns", "known by what is in it"
    assert "1.2.840.113619.2.55.3" not in lines
    assert "\x1b" not in run(folders[1], tmp_path).stdout


def test_the_onnx_runtime_reports_nothing_and_leaves_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("home", "temporary")}
    for place in places.values():
        place.mkdir()
    Image.fromarray(small(range(1))[0]).save(tmp_path / "a.png")
    env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    env |= {"HOME": str(places["home"]), "TMPDIR": str(places["temporary"]), "XDG_CACHE_HOME": str(places["home"])}
    command = [sys.executable, str(SOURCE / "predict.py"), str(folders[1]), str(tmp_path / "a.png")]
    subprocess.run(command, env=env, check=True, capture_output=True)
    assert not [file for place in places.values() for file in place.rglob("*")]


def test_a_model_in_the_root_folder_is_no_traceback() -> None:
    done = run(Path("/none-such"), Path("/none-such.png"))
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr
