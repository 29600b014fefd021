"""Torch as the stages set it up, for small networks."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # with networks this small, threads wait for each other longer than they compute
    yield
    torch.use_deterministic_algorithms(False)
