# SPDX-License-Identifier: GPL-2.0-or-later
"""What mkdocs makes from the sources at each build: options, models, notebooks, decisions."""

from __future__ import annotations

import base64
import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]


def on_config(config: Any) -> Any:
    """Make the engine importable under its name for the reference, without installing it."""
    folder = ROOT / "build" / "docs"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "samgeo_core"
    if not link.exists():
        link.symlink_to(ROOT / "core", target_is_directory=True)
    sys.path.insert(0, str(folder))
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        config["nav"][-1]["Develop"].append(f"decisions/{path.name}")
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from the sources."""
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        page, pictures = notebook(path)
        files.append(File.generated(config, f"notebooks/{path.name}.md", content=page))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=picture))
        known = files.get_file_from_path(f"notebooks/{path.name}")
        if known is not None:
            files.remove(known)
    # The plugin's help shows them, too.
    for path in sorted((ROOT / "samgeo_plugin" / "resources" / "help").glob("*.gif")):
        name = f"images/help_{path.name}"
        files.append(File.generated(config, name, content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in tables."""
    for mark, make in (("<!-- options -->", options), ("<!-- models -->", models)):
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Show names in docstrings (``:class:`~.a.Name```) as code, by their last part."""
    return re.sub(
        r":(?:class|func|meth|mod):<code>~?(?:[\w.]*\.)?(\w+)</code>", r"<code>\1</code>", html
    )


def options() -> str:
    """One table per group of options, from the one definition of each."""
    from dataclasses import MISSING, fields

    from samgeo_core.cli.options import flag_of
    from samgeo_core.job import SegmentParameters

    groups: dict[str, list[str]] = {}
    for known in fields(SegmentParameters):
        about = known.metadata
        if not about:
            continue
        default = known.default if known.default is not MISSING else None
        shown = about["unset"] or ("" if default in (None, False) else f"`{default}`")
        if about.get("choices"):
            shown = " ".join(f"`{word}`" for word in about["choices"]) + " (the first)"
        flag = flag_of(known.name)
        if default is True:
            flag, shown = f"{flag}`, `--no-{flag[2:]}", "on"
        row = f"| `{flag}` | `{known.name}` | {about['about']} | {shown} |"
        groups.setdefault(about["group"], []).append(row)
    head = "| command | Python | what | default |\n|---|---|---|---|\n"
    return "\n\n".join(
        f"## {group.capitalize()}\n\n{head}" + "\n".join(rows) for group, rows in groups.items()
    )


SECONDS = {
    "embedded": "0.2 to 0.3",  # benchmarks/embedded_speed.py, two processors: its card
    "mobile-sam": 1.4,
    "edgetam": 0.35,
    "sam2.1-tiny": 1.8,
    "sam2-tiny": 1.8,
    "sam-vit-b": 7.3,
}
"""Encoding 1024 x 1024 on two quiet cores (``benchmarks/families.py``); others were not timed."""

VERIFIED = {
    "embedded": "measured with its weights (its card)",
    "sam3": "official code at small sizes, random weights",
    "grounding_dino": "runs, random weights",
    "owlv2": "runs, random weights",
}
"""How, by family; the others are our code beside the official code, on random weights."""


def models() -> str:
    """The catalogue as a table."""
    from samgeo_core.models.catalogue import CATALOGUE
    from samgeo_core.models.load import VIDEO_FAMILIES

    rows = [
        "| name | model | download, MB | memory, MB | encoding, s | prompts | words | video "
        "| verified | licence |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in CATALOGUE.values():
        words = "yes" if entry.kind == "concept" or entry.family == "sam3" else ""
        prompts = "" if entry.kind == "concept" and entry.family != "sam3" else "points, boxes"
        if entry.name.startswith("efficientsam3"):
            prompts += " if the file has them"
        cells = [
            f"`{entry.name}`",
            f"[{entry.title}]({entry.page})" if entry.page else entry.title,
            round(entry.size / 1e6) or "none",
            entry.memory // 10**6 or "not measured",
            SECONDS.get(entry.name.replace("sam2-", "sam2.1-"), "not measured"),
            prompts,
            words,
            "yes" if entry.family in VIDEO_FAMILIES else "",
            VERIFIED.get(entry.family, "official code, random weights"),
            entry.licence + (" (login at the publisher)" if entry.gated else ""),
        ]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Run a notebook and give its cells and results as Markdown, and its pictures by name.

    A cell that fails ends the build.
    """
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    os.environ["PYTHONPATH"] = str(ROOT / "build" / "docs")
    client = NotebookClient(
        book,
        timeout=600,
        startup_timeout=300,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": path.parent}},
    )
    client.execute()
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in book.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for result in cell.outputs:
            data = result.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}_{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![What this cell draws]({name})")
            elif "text/html" in data:
                html = re.sub(r"(?s)<style.*?</style>", "", data["text/html"])
                html = html.replace('<table border="1" class="dataframe">', "<table>")
                parts.append(re.sub(r"\n\s*", "", html))
            else:
                text = result.get("text", data.get("text/plain", "")).rstrip()
                parts.append(f"```text\n{text}\n```")
    where = f"docs/notebooks/{path.name}"
    parts.append(f"*This page is the notebook `{where}`, run when the page was made.*")
    return "\n\n".join(parts) + "\n", pictures
