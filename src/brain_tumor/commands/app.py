"""`brain-tumor app`: a local web page that shows predictions and heat maps. Not for clinical use."""

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from brain_tumor.core.errors import UserError

HOST = "127.0.0.1"
MAX_UPLOAD_SIZE = "256mb"
MAX_QUEUED_REQUESTS = 32
MAX_SESSIONS = 16  # whose images are kept in memory


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page on loopback until it is stopped.

    Returns:
        0 if it was served, 1 after an error.
    """
    parser = argparse.ArgumentParser(prog="brain-tumor app", description=__doc__)
    parser.add_argument("--port", type=int, default=7860, help=f"then open http://{HOST}:<port> (default: %(default)s)")
    args = parser.parse_args(argv)
    if not is_free(args.port):
        print(f"error: another program uses port {args.port}: select another one with --port", file=sys.stderr)
        return 1
    print("brain-tumor app: the page is being prepared, which takes some seconds …", flush=True)
    try:
        # The folder of uploads is removed when the app ends, also on SIGTERM, and each file as soon as it is read.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with tempfile.TemporaryDirectory() as uploads:
            os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = uploads
            # Only now: gradio reads the folder when it is imported.
            from brain_tumor.app.html import STYLE
            from brain_tumor.app.server import build_page, first_recipe
            from brain_tumor.app.uploads_folder import start_cleaning

            page = build_page(Path())
            start_cleaning(Path(uploads))
            page.queue(max_size=MAX_QUEUED_REQUESTS).launch(
                server_name=HOST,
                server_port=args.port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                state_session_capacity=MAX_SESSIONS,
                max_file_size=MAX_UPLOAD_SIZE,
                footer_links=[],
                ssr_mode=False,
                enable_monitoring=False,
                css=STYLE,
            )
            print(f"The page is at http://{HOST}:{args.port}. Stop the app with Ctrl+C.", flush=True)
            threading.Thread(target=load_first_model, args=(first_recipe(Path()),), daemon=True).start()
            page.block_thread()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"error: {error.name} is not installed: pip install '.[app]'", file=sys.stderr)
        return 1
    return 0


def is_free(port: int) -> bool:
    """Return whether no program listens on a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):  # in use, not allowed, or not a number of a port
            return False
    return True


def load_first_model(recipe: str) -> None:
    """Load torch and a model while the page can be opened already, and say so."""
    from brain_tumor.app.recipes import load_model
    from brain_tumor.app.upload_reader import start_server

    print(f"PyTorch and the model {recipe} are being loaded; the page waits for them …", flush=True)
    try:
        start_server()
        load_model(recipe, Path())
        import brain_tumor.inference.heat_maps  # noqa: F401  # so that the first heat map need not wait for captum
    except Exception as error:  # the page says it as well, when it is opened
        print(f"error: the model {recipe} cannot be loaded: {error}", file=sys.stderr, flush=True)
        return
    print(f"The model {recipe} is loaded.", flush=True)
