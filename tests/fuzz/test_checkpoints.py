# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged checkpoints: a model, or one of the project's errors; never much memory or time.

A long run by hand: ``SAMGEO_FUZZ=1500 .venv/bin/python -m pytest tests/fuzz/test_checkpoints.py``.
"""

import contextlib
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from samgeo_core.errors import CheckpointError, SamGeoError
from samgeo_core.models.load import details, load_model
from samgeo_core.models.weights.tensors import read_state

from ..core.tiny_models import state
from .mutate import at_most, damaged, memory_from_now, rounds


def saved(tensors, kind):
    if kind == "safetensors":
        return save({k: v.contiguous() for k, v in tensors.items()})
    out = io.BytesIO()
    torch.save({"model": tensors}, out, _use_new_zipfile_serialization=kind == "pt")
    return out.getvalue()


@pytest.mark.parametrize("kind", ["pt", "legacy.pth", "safetensors"])
def test_damage_gives_a_model_or_an_error_of_ours(kind, tmp_path):
    rng = np.random.default_rng(7)
    families = ("sam", "sam2", "efficient_sam")
    whole = [saved(state(f), kind) for f in families]
    grown = memory_from_now()
    refused = 0
    for _ in range(rounds(25)):
        path = tmp_path / f"weights.{kind}"
        path.write_bytes(damaged(whole[int(rng.integers(len(whole)))], rng))
        with at_most(20):
            said = ""
            try:
                load_model(path, "cpu")
            except SamGeoError as error:
                said = str(error)
                refused += 1
            assert len(said) < 600, said
            with contextlib.suppress(SamGeoError):
                details(path)
    assert refused > rounds(25) / 2
    assert grown() < 1500


def test_an_archive_that_grows_when_it_is_read_is_refused(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"x")
        archive.writestr("archive/data/0", bytes(200_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(CheckpointError, match="compressed"):
        read_state(path)


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    path = tmp_path / "overlap.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data/0", bytes(1_000_000))
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry, count = data[start:end], 50
    directory = entry * count
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), start, 0)
    path.write_bytes(data[:start] + directory + tail)
    with pytest.raises(CheckpointError, match="larger than the file"):
        read_state(path)


def test_a_header_of_any_length_is_not_read(tmp_path):
    path = tmp_path / "w.safetensors"
    with path.open("wb") as file:
        file.write((3_000_000_000).to_bytes(8, "little"))
        file.seek(3_000_000_100)
        file.write(b"}")
    grown = memory_from_now()
    with pytest.raises(CheckpointError, match="header has 3000000000 bytes"):
        read_state(path)
    assert grown() < 300


def test_a_tensor_that_stands_for_more_than_the_file_holds_is_refused(tmp_path):
    path = tmp_path / "view.pt"
    torch.save({"image_encoder.pos_embed": torch.zeros(1).expand(10**10)}, path)
    with pytest.raises(CheckpointError, match=r"would take 40\.0 GB"):
        read_state(path)


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    tensors = dict(state("sam"))
    key = next(k for k, v in tensors.items() if v.ndim == 2)
    tensors[key] = tensors[key].clone()
    tensors[key][0, 0] = float("nan")
    path = tmp_path / "nan.safetensors"
    path.write_bytes(saved(tensors, "safetensors"))
    with pytest.raises(CheckpointError, match=f"{key} holds numbers that are not finite"):
        load_model(path, "cpu")


def test_headers_of_odd_values_are_refused(tmp_path):
    for header in (
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": ["x", "y"]}},
        {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": 3},
        [1, 2],
    ):
        text = json.dumps(header).encode()
        path = tmp_path / "w.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
        with pytest.raises(CheckpointError):
            read_state(path)
    deep = b'{"a":' + b"[" * 100_000
    Path(path).write_bytes(len(deep).to_bytes(8, "little") + deep)
    with pytest.raises(CheckpointError):
        read_state(path)


def test_a_compressed_pickle_is_no_checkpoint(tmp_path):
    path = tmp_path / "w.pt"
    path.write_bytes(zlib.compress(bytes(1_000_000)))
    with pytest.raises(CheckpointError):
        read_state(path)
