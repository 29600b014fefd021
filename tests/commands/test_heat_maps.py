"""Names of heat map files; their content is tested with the command, in test_predict.py."""

from pathlib import Path

import pytest

from brain_tumor.commands.heat_maps import MAX_STEM_LETTERS, heat_map_name
from brain_tumor.inference.predictor import PreparedImage


@pytest.mark.parametrize(
    ("path", "index", "position", "label", "name"),
    [
        ("x/scan.png", 3, 0, "glioma", "00003-scan-0-glioma.png"),
        ("x/v.nii.gz", 0, 12, "glioma", "00000-v-12-glioma.png"),
        ("a b_c-ä.png", 1, 0, "no tumor", "00001-a b_c-ä-0-no tumor.png"),
        ("<'$&>.png", 1, 0, "a/b", "00001-_____-0-a_b.png"),
        (100 * "s" + ".png", 1, 0, "a", f"00001-{MAX_STEM_LETTERS * 's'}-0-a.png"),
    ],
)
def test_heat_map_name_is_safe(path: str, index: int, position: int, label: str, name: str) -> None:
    assert heat_map_name(PreparedImage(path, Path(path), index, position), label) == name
