"""Draw the DVC plots that differ between a commit and the working tree as PNG files, without a browser.

Example: python tools/draw_plots.py origin/main out
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import vl_convert

TRACKED_TABLES = ("metrics", "plots", "data/predictions")
WIDTH, HEIGHT = 480, 320  # pixels, before scaling


def main() -> None:
    """Draw the plots of all tables that Git reports as changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("out", type=Path, help="the folder for the PNG files")
    args = parser.parse_args()
    changed = run("git", "diff", "--name-only", "-z", args.base, "--", *TRACKED_TABLES).split("\0")
    tables = [path for path in changed if path.endswith(".csv") and Path(path).exists()]
    args.out.mkdir(parents=True, exist_ok=True)
    if not tables:
        print("No plot has changed.")
        return
    plots = json.loads(run("dvc", "plots", "diff", args.base, "--json", "--targets", *tables))["data"]
    count = 0
    for name, parts in plots.items():
        specs = [part["content"] for part in parts if isinstance(part.get("content"), dict)]  # images have no spec
        for number, spec in enumerate(specs):
            title = f"{name.replace('/', '-').removesuffix('.csv')}{f'-{number}' if number else ''}"
            (args.out / f"{title}.png").write_bytes(vl_convert.vegalite_to_png(set_size(spec), scale=1.5))
            count += 1
    print(f"{count} plots in {args.out}")


def set_size(spec: dict[str, Any]) -> dict[str, Any]:
    """Replace the sizes "container" of a Vega-Lite plot: outside of a web page there is no container."""
    sizes = {"width": WIDTH, "height": HEIGHT}
    return spec | {key: size for key, size in sizes.items() if isinstance(spec.get(key), str)}


def run(*command: str) -> str:
    """Run a command; return its standard output, or exit with its error."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr or f"{' '.join(command)} failed")
    return result.stdout


if __name__ == "__main__":
    main()
