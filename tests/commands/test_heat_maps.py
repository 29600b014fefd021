"""Names of heat map files; their content is tested with the command, in test_predict.py."""

from pathlib import Path

import pytest

from brain_tumor.commands.heat_maps import MAX_STEM_LETTERS, heat_map_name
from brain_tumor.inference.predictor import PreparedImage


@pytest.mark.parametrize(
    ("path", "suffix", "label", "name"),
    [
        ("x/scan.png", "", "glioma", "scan-glioma-grad-cam++"),
        ("x/v.nii.gz", ".axial-017", "glioma", "v-axial-017-glioma-grad-cam++"),
        ("1.2.840.113619.2", ".003", "glioma", "1_2_840_113619_2-003-glioma-grad-cam++"),
        ("a b_c-ä.png", "", "no tumor", "a b_c-ä-no tumor-grad-cam++"),
        ("<'$&>.png", "", "a/b", "_____-a_b-grad-cam++"),
        (100 * "s" + ".png", "", "a", f"{MAX_STEM_LETTERS * 's'}-a-grad-cam++"),
    ],
)
def test_heat_map_name_is_telling_and_safe(path: str, suffix: str, label: str, name: str) -> None:
    assert heat_map_name(PreparedImage(path + suffix, Path(path), 0, 0), label, "grad-cam++") == name
