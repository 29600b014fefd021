"""Predictions from files: both runtimes, prediction sets and warnings."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Floats
from brain_tumor.export.onnx_model import Description
from brain_tumor.inference import predictor
from brain_tumor.inference.files import find_files, read_images
from brain_tumor.inference.predictor import Prediction, make_prediction, open_model, predict_files
from heads import head, small
from model_folders import write_model_folders


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A trained model and its export."""
    return write_model_folders(tmp_path_factory.mktemp("folders"))


def describe(threshold: float | None = 0.3) -> Description:
    return Description.model_validate(
        {
            "recipe": "r", "dataset": "d", "generated_data": False, "classes": ("a", "b", "c"),
            "preprocess": {"operations": ({"op": "resize", "size": 32, "mode": "pad"},)},
            "calibration": {"thresholds": {} if threshold is None else {"0.9": threshold}},
        },
        strict=False,
    )  # fmt: skip


def predict_one(probabilities: list[float], warning: str = "", threshold: float | None = 0.3) -> Prediction:
    return make_prediction("f", small(range(1))[0], np.array(probabilities), warning, (), describe(threshold))


def test_predict_files_both_runtimes_agree(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for seed in range(3):
        Image.fromarray(head(seed)).save(tmp_path / f"{seed}.png")
    Image.fromarray(head(4)).convert("RGB").save(tmp_path / "more" / "4.JPG")
    (tmp_path / "more" / "notes.txt").write_text("not an image")
    paths = find_files([tmp_path]).images
    first, second = ([pair[1] for pair in predict_files(paths, open_model(folder))] for folder in folders)
    assert [Path(prediction.file).name for prediction in first] == ["0.png", "1.png", "2.png", "4.JPG"]
    for one, other in zip(first, second, strict=True):
        assert one.predicted == other.predicted
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=2e-4)
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-3)


def test_predict_files_reads_and_predicts_each_file_once(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, batches = [], []
    model = open_model(folders[1])

    def count_reads(path: Path, *args: Any) -> Any:
        reads.append(path)
        return read_images(path, *args)

    def count_images(images: Any) -> Floats:
        batches.append(len(images))
        return model.predict_fn(images)

    monkeypatch.setattr(predictor, "read_images", count_reads)
    paths = [tmp_path / f"{seed:02d}.png" for seed in range(20)]
    for seed, path in enumerate(paths):
        Image.fromarray(head(seed, 48)).save(path)
    paths.insert(3, tmp_path / "none.png")
    results = list(predict_files(paths, model._replace(predict_fn=count_images)))
    assert sorted(reads) == sorted(paths)
    assert sum(batches) == 20
    assert [(item.path, item.file_index, item.position) for item, _ in results] == [
        (path, index, 0) for index, path in enumerate(paths)
    ]
    assert [item.image is None for item, _ in results] == [path.name == "none.png" for path in paths]
    assert results[3][1].error == "does not exist"


def test_open_model_torch_rejects_what_the_export_rejects(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[0], tmp_path / "models/m")
    shutil.copytree(folders[1], tmp_path / "exports/m")
    trained, exported = tmp_path / "models/m", tmp_path / "exports/m"
    bright = head(2) // 2 + 128  # the training images have a dark background
    for image, accepted in ((head(2), True), (bright, False)):
        Image.fromarray(image).save(tmp_path / "scan.png")
        predictions = [
            next(iter(predict_files([tmp_path / "scan.png"], open_model(folder))))[1] for folder in (trained, exported)
        ]
        assert [prediction.accepted for prediction in predictions] == [accepted, accepted]
        assert predictions[0].reasons == predictions[1].reasons
        assert (predictor.UNLIKE_TRAINING in predictions[0].reasons) != accepted
    assert open_model(folders[0]).description.ood_reference is None, "no export beside it"
    (exported / "model.json").write_text((exported / "model.json").read_text() + " ")
    assert open_model(trained).description.ood_reference is None, "the export of another model"


def test_open_model_without_export_names_the_command(folders: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"dvc repro stages/dvc.yaml:export@m"):
        open_model(folders[0], "onnx")
    with pytest.raises(UserError, match="is missing"):
        open_model(folders[1], int8=True)


def test_open_model_torch_keeps_the_loaded_model(folders: tuple[Path, Path]) -> None:
    assert open_model(folders[0]).torch_model is not None
    assert open_model(folders[1]).torch_model is None


def test_make_prediction_confident_has_one_class() -> None:
    prediction = predict_one([0.1, 0.8, 0.1])
    assert (prediction.predicted, prediction.prediction_set, prediction.warnings) == ("b", ("b",), ())


def test_make_prediction_ambiguous_prediction_has_several_classes() -> None:
    prediction = predict_one([0.35, 0.25, 0.4])
    assert prediction.prediction_set == ("c", "a")
    assert prediction.warnings == ("low certainty: c or a",)


def test_make_prediction_uncertain_keeps_most_probable_class() -> None:
    prediction = predict_one([0.29, 0.28, 0.29], "too ragged")
    assert prediction.prediction_set == ("a",)
    assert (prediction.accepted, prediction.reasons) == (False, ("this does not look like a head slice: too ragged",))
    assert prediction.warnings == (), "there is no answer whose certainty matters"
    assert predict_one([0.29, 0.28, 0.29]).warnings == ("low certainty: no class has a probability of 50% or more",)
    assert predict_one([0.29, 0.28, 0.29]).accepted


@pytest.mark.parametrize("threshold", [0.99, 0.0])
def test_make_prediction_empty_or_full_set_gives_no_warning(threshold: float) -> None:
    assert predict_one([0.02, 0.96, 0.02], threshold=threshold).warnings == ()


def test_make_prediction_nonfinite_probabilities_are_an_error() -> None:
    assert "not finite" in predict_one([np.nan] * 3).error


def test_make_prediction_without_thresholds_has_no_prediction_set() -> None:
    prediction = predict_one([0.4, 0.35, 0.25], threshold=None)
    assert (prediction.predicted, prediction.prediction_set) == ("a", ())
    assert prediction.warnings == ("low certainty: no class has a probability of 50% or more",)
