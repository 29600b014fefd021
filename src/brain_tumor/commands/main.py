"""The `brain-tumor` command."""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "audit": "find duplicates, label conflicts and unusable files",
    "gate": "fail if something of a test image is in training",
    "split": "divide images into parts that have nothing in common",
    "clean": "list one image of each set of duplicates",
    "predict": "classify images with a trained model",
    "app": "open the web app for trained models",
}

INTERRUPTED = 130  # exit code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; return its exit code."""
    listed = "\n".join(f"  {name:8} {title}" for name, title in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="brain-tumor",
        description="Brain-MRI classifiers and audits. Research software, not for clinical use.",
        epilog=f"commands:\n{listed}\n\nsee brain-tumor <command> --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="command", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    # Each command is imported only when it is called: predictions by the ONNX runtime and audits need no torch.
    try:
        command = importlib.import_module(f"brain_tumor.commands.{args.command}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "brain_tumor":
            raise
        print(f"error: {error.name} is not installed: pip install 'brain-tumor-mri[pipeline]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while packages are imported
        return INTERRUPTED
    code: int = command.main(args.arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
