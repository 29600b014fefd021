"""Fetch the pretrained weights of a backbone."""

import logging

from brain_tumor.backbones import BackboneParams, collect
from brain_tumor.outputs import staged, write_json
from brain_tumor.params import read
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write data/weights/<backbone>/: backbone.json and, unless training starts from scratch, the weights."""
    params = read(PARAMS, f"backbones.{name}", BackboneParams)
    with staged(f"data/weights/{name}") as (folder,):
        folder.mkdir()
        backbone = collect(params, folder)
        write_json(folder / "backbone.json", backbone)
    log.info("%s: %s", name, backbone["source"])


if __name__ == "__main__":
    run(main, "backbone")
