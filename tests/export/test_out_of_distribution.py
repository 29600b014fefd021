"""Out-of-distribution check on heads and on what are not heads."""

import numpy as np

from brain_tumor.export.out_of_distribution import fit_reference, is_ood
from heads import small


def test_is_ood_flags_strange_images_and_passes_other_heads() -> None:
    reference = fit_reference(small(range(200)), small(range(200, 300)))
    assert is_ood(small(range(300, 400)), reference).mean() < 0.08
    random = np.random.default_rng(0)
    strange = [
        random.integers(0, 255, (32, 32)),
        np.zeros((32, 32)),
        np.full((32, 32), 255),
        255 - small(range(1))[0],
    ]
    assert is_ood(np.stack(strange).astype(np.uint8), reference).all()
