# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's texts: collect them into .ts files, and compile those into Qt's .qm.

    python tools/translations.py update    # texts of the sources into every .ts; old ones go
    python tools/translations.py missing   # those without a translation

Needs no Qt: texts are found with ``ast`` (every ``tr("...")``), and the .qm format is written here,
so that the package is the same wherever it is built.
"""

from __future__ import annotations

import ast
import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "samgeo_plugin"
FOLDER = PLUGIN / "resources" / "i18n"
CONTEXT = "SamGeo"

_MAGIC = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
_HASHES, _MESSAGES = 0x42, 0x69
_END, _TRANSLATION, _SOURCE, _CONTEXT, _COMMENT = 1, 3, 6, 7, 8


def texts() -> dict[str, str]:
    """Every text of the sources, and the file where it stands first."""
    found: dict[str, str] = {}
    for path in sorted(PLUGIN.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id == "tr" and node.args and isinstance(node.args[0], ast.Constant):
                text = node.args[0].value
                if isinstance(text, str):
                    found.setdefault(text, path.relative_to(ROOT).as_posix())
    return found


def read(path: Path) -> dict[str, str]:
    """Source text to translation; empty where there is none yet."""
    if not path.is_file():
        return {}
    return {
        message.findtext("source") or "": message.findtext("translation") or ""
        for message in ET.parse(path).iter("message")
    }


def write(path: Path, messages: dict[str, tuple[str, str]], language: str) -> None:
    """A .ts file: text to (file, translation)."""
    root = ET.Element("TS", version="2.1", language=language, sourcelanguage="en")
    context = ET.SubElement(root, "context")
    ET.SubElement(context, "name").text = CONTEXT
    for text, (file, translation) in sorted(messages.items(), key=lambda m: (m[1][0], m[0])):
        message = ET.SubElement(context, "message")
        ET.SubElement(message, "location", filename=file)
        ET.SubElement(message, "source").text = text
        target = ET.SubElement(message, "translation")
        target.text = translation
        if not translation:
            target.set("type", "unfinished")
    ET.indent(root, " ")
    body = ET.tostring(root, encoding="unicode")
    header = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n'
    path.write_text(header + body + "\n", encoding="utf-8")


def update() -> None:
    for path in sorted(FOLDER.glob("samgeo_*.ts")):
        known = read(path)
        messages = {text: (file, known.get(text, "")) for text, file in texts().items()}
        write(path, messages, path.stem.removeprefix("samgeo_"))
        left = sum(not translation for _, translation in messages.values())
        print(f"{path.name}: {len(messages)} texts, {left} not translated")


def elf_hash(data: bytes) -> int:
    """The hash by which QTranslator finds a message."""
    value = 0
    for byte in data:
        value = ((value << 4) + byte) & 0xFFFFFFFF
        high = value & 0xF0000000
        if high:
            value ^= high >> 24
        value &= ~high & 0xFFFFFFFF
    return value or 1


def compile_ts(path: Path) -> bytes:
    """The .qm of a .ts: a table of hashes and the messages they point to."""
    hashes: list[tuple[int, int]] = []
    messages = bytearray()
    for source, translation in sorted(read(path).items()):
        if not translation:
            continue
        data = source.encode("utf-8")
        hashes.append((elf_hash(data), len(messages)))
        text = translation.encode("utf-16-be")
        messages += struct.pack(">BI", _TRANSLATION, len(text)) + text
        for tag, part in ((_COMMENT, b""), (_SOURCE, data), (_CONTEXT, CONTEXT.encode())):
            messages += struct.pack(">BI", tag, len(part)) + part
        messages.append(_END)
    table = b"".join(struct.pack(">II", *pair) for pair in sorted(hashes))
    return (
        _MAGIC
        + struct.pack(">BI", _HASHES, len(table))
        + table
        + struct.pack(">BI", _MESSAGES, len(messages))
        + bytes(messages)
    )


def main() -> None:
    if sys.argv[1:] == ["update"]:
        update()
    elif sys.argv[1:] == ["missing"]:
        for path in sorted(FOLDER.glob("samgeo_*.ts")):
            for text, translation in read(path).items():
                if not translation:
                    print(f"{path.name}: {text}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
