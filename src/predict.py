"""Predict images with a trained or exported model: the same as `brain-tumor predict`."""

import sys

from brain_tumor.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
