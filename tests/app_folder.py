"""A repository's folders as the app reads them."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brain_tumor.models.calibration import Calibration
from brain_tumor.models.classifier import Classifier, save_model
from heads import head
from nets import make_config


def write_app_folder(root: Path) -> Path:
    """Write two trained models: `quickstart` with test images and a model card, and `real` without."""
    for name, generated in (("quickstart", True), ("real", False)):
        torch.manual_seed(0)
        changes = {"calibration": Calibration(thresholds={"0.9": 0.2}), "generated_data": generated}
        config = make_config().model_copy(update=changes)
        (root / "models" / name).mkdir(parents=True)
        save_model(root / "models" / name, Classifier(config).eval(), config)
    for folder in ("data/enhanced/quickstart", "data/predictions", "reports/quickstart/hub"):
        (root / folder).mkdir(parents=True)
    np.save(root / "data/enhanced/quickstart/images.npy", np.stack([head(n, 32)[:, :32] for n in range(6)]))
    table = pd.DataFrame({"row": range(6), "label": list("aabbab")})
    table.to_csv(root / "data/predictions/quickstart.csv", index=False)
    (root / "reports/quickstart/hub/README.md").write_text("---\nlicense: x\n---\n\n# quickstart\n\nThe card.\n")
    return root
