"""The download stage: what it writes and logs."""

import logging
from pathlib import Path

import pandas as pd
import pytest

import download
from heads import head, png

PARAMS = """
datasets:
  mine:
    source:
      kind: folder
      path: images
      layout:
        path: '{{split}}/{{label}}/{{file}}'
        labels: {{yes: tumor, no: notumor}}
        splits: {{Training: train, Testing: test}}
    expected: {{counts: {counts}, fingerprint: '{fingerprint}'}}
"""


def write_project(folder: Path, counts: str, fingerprint: str) -> None:
    (folder / "params.yaml").write_text(PARAMS.format(counts=counts, fingerprint=fingerprint))
    for number, name in enumerate(["Training/yes/1.png", "Training/no/2.png", "Testing/yes/3.png"]):
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).write_bytes(png(head(number)))
    (folder / "images/Training/yes/Thumbs.db").write_bytes(b"x")
    (folder / "images/readme.txt").write_bytes(b"x")


def test_download_files_without_an_image_are_listed_and_counts_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    write_project(tmp_path, "{}", "")
    download.main("mine")
    skipped = pd.read_csv("data/raw/mine-skipped.csv")
    assert skipped.to_numpy().tolist() == [
        ["Training/yes/Thumbs.db", "a file of the operating system"],
        ["readme.txt", "the path does not match {split}/{label}/{file}"],
    ]
    assert "mine: no image in test/notumor: this split lacks the class" in caplog.text
    assert (
        "mine: not an image of this data set: 1 × a file of the operating system (Training/yes/Thumbs.db)"
        in caplog.text
    )
    pasted = "    expected:\n      counts:\n        test/tumor: 1\n        train/notumor: 1\n        train/tumor: 1\n"
    assert pasted in caplog.text
    fingerprint = caplog.text.rpartition("fingerprint: ")[2].split()[0]
    assert len(fingerprint) == 64
    caplog.clear()
    write_project(tmp_path, "{test/tumor: 1, train/notumor: 1, train/tumor: 1}", fingerprint)
    download.main("mine")
    assert f"mine: 3 images, fingerprint {fingerprint}" in caplog.text
    assert "counts:" not in caplog.text
