"""Download or copy the pretrained weights of a backbone."""

import logging

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_json
from brain_tumor.core.params import read_params
from brain_tumor.pretrained.weights import BackboneParams, HubWeights, save_weights

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write data/weights/<backbone>/: backbone.json and, unless its initialization is random, the weights."""
    params = read_params(PARAMS, f"backbones.{name}", BackboneParams)
    with atomic_outputs(f"data/weights/{name}") as (folder,):
        folder.mkdir()
        backbone = save_weights(params, folder)
        write_json(folder / "backbone.json", backbone)
    log.info("%s: %s", name, backbone["source"])
    if isinstance(params.weights, HubWeights) and not params.weights.sha256:
        log.info(
            "to have the next download compared with this one, set backbones.%s.weights.sha256: %s",
            name,
            backbone["sha256"],
        )


if __name__ == "__main__":
    run_stage(main, "backbone")
