"""Serve the app on this machine: the same as `brain-tumor app`."""

import sys

from brain_tumor.commands.app import main

if __name__ == "__main__":
    sys.exit(main())
