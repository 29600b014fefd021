"""The `brain-tumor` command."""

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="brain-tumor", description="Brain-MRI classifiers and audits. Research software, not for clinical use."
    )
    parser.add_argument("command", choices=("predict", "app", "audit"), help="see brain-tumor <command> --help")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    # Each command is imported only when it is called: predictions by the ONNX runtime and audits need no torch.
    if args.command == "predict":
        from brain_tumor.commands.predict import main as command
    elif args.command == "app":
        from brain_tumor.commands.app import main as command
    else:
        from brain_tumor.commands.audit import main as command
    return command(args.arguments)


if __name__ == "__main__":
    sys.exit(main())
