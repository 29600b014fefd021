"""`brain-tumor app`: a local web page that shows predictions and heat maps. Not for clinical use."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from brain_tumor.core.errors import UserError

HOST = "127.0.0.1"
MAX_UPLOAD_SIZE = "256mb"
MAX_QUEUED_REQUESTS = 32


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page on loopback until it is stopped.

    Returns:
        0 if it was served, 1 after an error.
    """
    parser = argparse.ArgumentParser(prog="brain-tumor app", description=__doc__)
    parser.add_argument("--port", type=int, default=7860, help=f"then open http://{HOST}:<port> (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        # The folder of uploads is removed when the app ends, also on SIGTERM, and each file as soon as it is read.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with tempfile.TemporaryDirectory() as uploads:
            os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = uploads
            # Only now: gradio reads the folder when it is imported.
            from brain_tumor.app.html import STYLE
            from brain_tumor.app.server import build_page

            page = build_page(Path(), Path(uploads))
            page.queue(max_size=MAX_QUEUED_REQUESTS).launch(
                server_name=HOST,
                server_port=args.port,
                share=False,
                max_file_size=MAX_UPLOAD_SIZE,
                footer_links=[],
                ssr_mode=False,
                enable_monitoring=False,
                css=STYLE,
            )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"error: {error.name} is not installed: pip install '.[app]'", file=sys.stderr)
        return 1
    return 0
