"""Pictures of a run folder as data URIs, small enough for one page.

A file may be missing, torn, huge or none of ours: then the page says so.
"""

import base64
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.console import printable
from jaxgen.errors import CheckpointError
from jaxgen.figures import images
from jaxgen.files import read_file

MAX_THUMBNAILS = 8
LARGE_BYTES = 600_000  # with the thumbnails, as base64, below 3.5 MB in all
THUMBNAIL_BYTES = 90_000
MAX_PICTURE = 2**24  # bytes of a file that is opened
MAX_PIXELS = 2**24
FINAL = {
    "samples": "Samples",
    "reconstructions": "Reconstructions",
    "interpolation": "Interpolations",
    "completions": "Completions: given, drawn, and the truth",
    "neighbours": "Samples, each over its nearest training example",
}


def pictures(run_dir: Path, damaged: list[str]) -> dict[str, Any]:
    """Return the final pictures, and some of those drawn while training, from first to last.

    A line for each that is there and cannot be shown is added to `damaged`.
    """
    final = {name: _embed(run_dir / f"{name}.png", LARGE_BYTES, damaged) for name in FINAL}
    drawn = _drawn_while_training(run_dir / "samples")
    chosen = np.linspace(0, max(len(drawn) - 1, 0), MAX_THUMBNAILS).astype(int)
    progress = []
    for i in np.unique(chosen)[: len(drawn)]:
        step, path = drawn[i]
        progress.append((step, _embed(path, THUMBNAIL_BYTES, damaged)))
    return {
        "final": [(FINAL[name], image) for name, image in final.items() if image],
        "absent_pictures": [f"{name}.png" for name, image in final.items() if not image],
        "progress": [(step, image) for step, image in progress if image],
    }


def _drawn_while_training(folder: Path) -> list[tuple[int, Path]]:
    """Return the steps of the pictures in a folder and their paths, in order."""
    drawn = []
    for path in [] if folder.is_symlink() else folder.glob("step_*.png"):
        match = re.fullmatch(r"step_(\d+)", path.stem)
        if match:
            drawn.append((int(match[1]), path))
    return sorted(drawn)


def _embed(
    path: Path,
    most: int,
    damaged: list[str],
) -> dict[str, Any] | None:
    """Return a PNG as data URI with its size, made smaller where it has more than `most` bytes."""
    from PIL import Image

    try:
        content = read_file(path, MAX_PICTURE)
        if content is None:
            return None
        image: Image.Image = Image.open(io.BytesIO(content), formats=["PNG"])
        if math.prod(image.size) > MAX_PIXELS:
            raise ValueError(f"more than {MAX_PIXELS:,} pixels")
        image.load()
    except CheckpointError as error:
        damaged.append(printable(str(error)))
        return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).replace(repr(path), "")[:200]  # torn, no PNG or none of ours
        damaged.append(printable(f"{path}: cannot be shown: {reason}"))
        return None
    while len(content) > most and min(image.size) > 1:
        scale = min(0.9, 0.95 * math.sqrt(most / len(content)))
        width = max(1, round(scale * image.width))
        height = max(1, round(scale * image.height))
        image = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        content = images.png(np.asarray(image))
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    return {"uri": uri, "width": image.width, "height": image.height}
