# SPDX-License-Identifier: GPL-2.0-or-later
"""Animated pictures of the help from the frames of ``tests/gui/qgis_help.py``.

python tools/animate.py FRAMES samgeo_plugin/resources/help
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image

WIDTH = 480
COLOURS = 96


def animate(frames: list[tuple[Path, int]], picture: Path) -> None:
    """Write frames, each with its milliseconds, as a GIF that runs for ever."""
    images = []
    for path, _ in frames:
        with Image.open(path) as opened:
            size = WIDTH, round(opened.height * WIDTH / opened.width)
            images.append(opened.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    # One palette for all: colours that change from frame to frame flicker.
    strip = Image.new("RGB", (images[0].width, sum(image.height for image in images)))
    for number, image in enumerate(images):
        strip.paste(image, (0, number * image.height))
    palette = strip.quantize(COLOURS)
    made = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    made[0].save(
        picture,
        save_all=True,
        append_images=made[1:],
        duration=[milliseconds for _, milliseconds in frames],
        loop=0,
        optimize=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frames", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, frames in json.loads((options.frames / "frames.json").read_text()).items():
        picture = options.folder / f"{name}.gif"
        animate([(options.frames / file, ms) for file, ms in frames], picture)
        print(f"{picture}: {picture.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
