"""`brain-tumor predict` as a user runs it: output, exit codes, heat maps."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brain_tumor.commands import predict as command
from brain_tumor.commands.heat_maps import GAP_PIXELS, PANEL_PIXELS
from brain_tumor.inference import heat_maps, predictor
from brain_tumor.inference.torch_model import load_torch_model
from brain_tumor.plotting.contact_sheets import overlay
from brain_tumor.preprocessing.operations import preprocess
from heads import head, small
from model_folders import write_model_folders

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A trained model and its export."""
    return write_model_folders(tmp_path_factory.mktemp("folders"))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "more").mkdir(parents=True)
    for seed in range(3):
        Image.fromarray(head(seed)).save(folder / f"{seed}.png")
    Image.fromarray(head(4)).convert("RGB").save(folder / "more" / "4.JPG")
    (folder / "more" / "notes.txt").write_text("not an image")
    return folder


def run(*args: Any) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "brain_tumor.commands.main", "predict", *map(str, args)]
    return subprocess.run(line, env=os.environ | {"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True)


def test_predict_bad_files_do_not_stop_the_others_and_exit_code_is_1(folders: tuple[Path, Path], files: Path) -> None:
    (files / "1a.png").write_bytes(b"hello")
    (files / "1b.dcm").write_bytes(bytes(128) + b"DICM broken")
    (files / "1c.nii.gz").write_bytes(b"\x1f\x8b broken")
    (files / "1d.jpg").write_bytes(b"")
    result = run(folders[1], files, "--format", "jsonl")
    assert result.returncode == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 8
    errors = {Path(line["file"]).name: line["error"] for line in lines if line["error"]}
    assert set(errors) == {"1a.png", "1b.dcm", "1c.nii.gz", "1d.jpg"}
    assert errors["1a.png"] == "not an image file"
    assert errors["1d.jpg"] == "an empty file"
    assert all(line["predicted"] for line in lines if not line["error"])
    assert run(folders[1], files / "0.png").returncode == 0


def test_predict_formats_have_the_same_content(folders: tuple[Path, Path], files: Path) -> None:
    table, text, lines = (run(folders[1], files, "--format", name).stdout for name in ("csv", "table", "jsonl"))
    rows = list(csv.DictReader(io.StringIO(table)))
    for row, line in zip(rows, map(json.loads, lines.splitlines()), strict=True):
        assert row["predicted"] == line["predicted"]
        assert {label: float(row[f"p_{label}"]) for label in "abc"} == line["probabilities"]
        assert row["prediction_set"].split("; ") == line["prediction_set"]
        assert (row["accepted"] == "yes") == line["accepted"] == (not row["reasons"])
        assert row["reasons"].split("; ") == (line["reasons"] or [""])
        answer = row["predicted"] if line["accepted"] else f"no answer: {row['reasons']}"
        assert f"{row['file']}: {answer}" in text


def test_predict_rejects_what_is_not_a_head_with_both_runtimes(folders: tuple[Path, Path], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (tmp_path / "bad.png").write_bytes(b"hello")
    for folder in folders:
        result = run(folder, tmp_path, "--format", "csv")
        bad, rejected = csv.DictReader(io.StringIO(result.stdout))
        assert rejected["accepted"] == "no"
        assert rejected["reasons"].startswith("this does not look like a head slice: ")
        assert (bad["accepted"], bad["reasons"], bad["error"]) == ("no", "", "not an image file")
        text = run(folder, tmp_path / "noise.png").stdout
        assert "noise.png: no answer: this does not look like a head slice" in text
        assert "%" not in text


def test_predict_help_lists_methods_formats_and_examples() -> None:
    help_text = " ".join(run("--help").stdout.split()).replace("- ", "-")
    for word in (*heat_maps.METHODS, "table", "csv", "jsonl", "examples", "predict models/quickstart scan.jpg"):
        assert word in help_text


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("nowhere", "x.png"), "nowhere does not exist: train it"),
        (("nowhere", "."), "nowhere does not exist: train it"),
        ((".", "."), "is missing"),
        (("/none-such", "/none-such.png"), "does not exist"),
    ],
)
def test_predict_missing_model_prints_error_and_exits_with_2(
    args: tuple[str, ...], expected: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    result = run(*args)
    assert result.returncode == 2
    assert expected in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_predict_script_is_the_same_command(folders: tuple[Path, Path], files: Path) -> None:
    line = [sys.executable, str(SOURCE / "predict.py"), str(folders[1]), str(files)]
    result = subprocess.run(line, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, run(folders[1], files).stdout)


def test_predict_export_of_another_model_is_rejected(folders: tuple[Path, Path], files: Path, tmp_path: Path) -> None:
    for name, folder in (("models/m", folders[0]), ("exports/m", folders[1])):
        shutil.copytree(folder, tmp_path / name)
    scan = files / "0.png"
    assert run(tmp_path / "models/m", scan, "--runtime", "onnx").returncode == 0
    description = tmp_path / "exports/m/model.json"
    description.write_text(description.read_text() + " ")
    result = run(tmp_path / "models/m", scan, "--runtime", "onnx")
    assert result.returncode == 2
    assert "is not an export of" in result.stderr


def test_predict_file_names_with_control_characters_are_escaped(folders: tuple[Path, Path], tmp_path: Path) -> None:
    name = os.fsdecode(b"a\x1b[31m\n\xff.png")
    Image.fromarray(head(1)).save(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(tmp_path / name)
    for output_format in ("table", "csv", "jsonl"):
        result = run(folders[1], tmp_path, "--format", output_format)
        assert result.returncode == 0, result.stderr
        assert output_format == "csv" or "\x1b" not in result.stdout
    assert len(result.stdout.splitlines()) == 1


def test_predict_bad_paths_are_reported_and_the_others_predicted(folders: tuple[Path, Path], tmp_path: Path) -> None:
    image = Image.fromarray(small(range(1))[0])
    for name in ("a.png", "1.2.840.113619.2.55.3"):
        image.save(tmp_path / name, "PNG")
    (tmp_path / "1.2.840.113619.2.55.4").write_bytes(bytes(128) + b"DICM\x1b[31m")
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable").symlink_to("/proc/self/mem")
    result = run(folders[1], tmp_path, tmp_path / "none.png", tmp_path / "empty", "--format", "jsonl")
    assert result.returncode == 1
    lines = {Path(line["file"]).name: line for line in map(json.loads, result.stdout.splitlines())}
    assert lines["a.png"]["predicted"]
    assert lines["none.png"]["error"] == "does not exist"
    assert lines["empty"]["error"].startswith("contains no image")
    assert lines["unreadable"]["error"]
    broken = lines["1.2.840.113619.2.55.4"]["error"]
    assert broken == "a DICOM file without an image", "recognized by its content"
    assert lines["1.2.840.113619.2.55.3"]["predicted"], "an image by its content"
    assert "\x1b" not in run(folders[1], tmp_path).stdout


@pytest.mark.parametrize("count", [1, 2])
def test_predict_files_that_are_not_images_are_named(
    count: int, folders: tuple[Path, Path], files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, count):  # one is there already
        (files / f"{number}.txt").write_text("text")
    assert command.main([str(folders[1]), str(files)]) == 0
    out, err = capsys.readouterr()
    assert len([line for line in out.splitlines() if not line.startswith(" ")]) == 4
    assert err.count(": a text file") == count
    assert ("2 files are skipped:" in err, "1 file is skipped:" in err) == (count == 2, count == 1)


def test_predict_onnx_runtime_has_no_telemetry_and_leaves_no_files(folders: tuple[Path, Path], tmp_path: Path) -> None:
    paths = {name: tmp_path / name for name in ("home", "temporary")}
    for path in paths.values():
        path.mkdir()
    Image.fromarray(small(range(1))[0]).save(tmp_path / "a.png")
    env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    env |= {"HOME": str(paths["home"]), "TMPDIR": str(paths["temporary"]), "XDG_CACHE_HOME": str(paths["home"])}
    line = [sys.executable, str(SOURCE / "predict.py"), str(folders[1]), str(tmp_path / "a.png")]
    subprocess.run(line, env=env, check=True, capture_output=True)
    assert not [file for path in paths.values() for file in path.rglob("*")]


def test_predict_heat_maps_are_written_for_each_image(folders: tuple[Path, Path], files: Path, tmp_path: Path) -> None:
    result = run(folders[0], files, "--heat-maps", tmp_path / "heat", "--format", "jsonl")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(line["accepted"] for line in lines)
    names = [f"{Path(line['file']).stem}-{line['predicted']}-grad-cam.png" for line in lines]
    assert sorted(path.name for path in (tmp_path / "heat").iterdir()) == names
    assert len(names) == 4
    with Image.open(tmp_path / "heat" / names[0]) as picture:
        pixels = np.asarray(picture)
    model = load_torch_model(folders[0])
    image = preprocess(head(0), model.description.preprocess.operations).image
    heat = heat_maps.compute_heat_map(model, image, lines[0]["predicted"], "grad-cam")
    side, margin = PANEL_PIXELS, GAP_PIXELS
    panels = [pixels[margin : margin + side, left : left + side] for left in (margin, side + 2 * margin)]
    for panel, expected in zip(panels, (np.repeat(image[:, :, None], 3, 2), overlay(image, heat)), strict=True):
        resized = Image.fromarray(expected).resize((side, side), Image.Resampling.BICUBIC)
        assert np.array_equal(panel, np.asarray(resized)), "the image on the left, its heat map on the right"
    legend = pixels[side + 2 * margin :]
    assert (legend != 255).any(2).sum() > 1000, "a color scale and captions below"


def test_predict_heat_maps_of_equal_names_and_rejected_images(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        Image.fromarray(head(1)).save(tmp_path / name / "scan.png")
    noise = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x" / "noise.png")
    args = [str(folders[0]), str(tmp_path / "x"), str(tmp_path / "y"), "--heat-maps", str(tmp_path / "heat")]
    assert command.main(args) == 0
    names = sorted(path.name for path in (tmp_path / "heat").iterdir())
    label = names[0].split("-")[1]
    assert names == [f"scan-{label}-grad-cam-2.png", f"scan-{label}-grad-cam.png"]
    assert "noise.png: no heat map: this does not look like a head slice" in capsys.readouterr().err


def test_predict_heat_maps_files_are_read_and_predicted_once(
    folders: tuple[Path, Path], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brain_tumor.inference import torch_model

    calls: dict[str, list[Any]] = {"read_images": [], "load_model": [], "predict_probabilities": []}
    for module, name in (
        (predictor, "read_images"),
        (torch_model, "load_model"),
        (torch_model, "predict_probabilities"),
    ):
        original = getattr(module, name)

        def count(*args: Any, name: str = name, original: Any = original) -> Any:
            calls[name].append(args)
            return original(*args)

        monkeypatch.setattr(module, name, count)
    assert command.main([str(folders[0]), str(files), "--heat-maps", str(tmp_path / "heat")]) == 0
    assert {name: len(args) for name, args in calls.items()} == {
        "read_images": 4,
        "load_model": 1,
        "predict_probabilities": 1,
    }
    assert len(calls["predict_probabilities"][0][2]) == 4
    assert len(list((tmp_path / "heat").iterdir())) == 4


def test_predict_heat_maps_of_bad_files_are_left_out(folders: tuple[Path, Path], files: Path, tmp_path: Path) -> None:
    (files / "1a.png").write_bytes(b"hello")
    assert command.main([str(folders[0]), str(files), "--heat-maps", str(tmp_path / "heat")]) == 1
    assert len(list((tmp_path / "heat").iterdir())) == 4


def test_predict_heat_maps_undefined_method_is_reported(
    folders: tuple[Path, Path], files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--heat-maps", str(tmp_path / "heat"), "--method", "attention-rollout", "--format", "jsonl"]
    assert command.main([str(folders[0]), str(files), *args]) == 1
    out, err = capsys.readouterr()
    assert err.count("no heat map: ") == 4
    assert len(out.splitlines()) == 4
    assert not list((tmp_path / "heat").iterdir())


@pytest.mark.parametrize(
    ("model", "args", "expected"),
    [
        (1, ("--heat-maps", "new"), "need torch"),
        (0, ("--heat-maps", "new", "--method", "magic"), "--method magic is not one of grad-cam, "),
        (0, ("--heat-maps", "file"), "is a file, and must be a folder"),
    ],
)
def test_predict_heat_maps_invalid_arguments_are_rejected_first(
    model: int,
    args: tuple[str, ...],
    expected: str,
    folders: tuple[Path, Path],
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    assert command.main([str(folders[model]), str(files), *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert not Path("new").exists()
