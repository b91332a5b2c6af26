# SPDX-License-Identifier: GPL-2.0-or-later
import errno
import hashlib
import http.client
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from samgeo_core.errors import Cancelled, CheckpointError, ModelError
from samgeo_core.models import catalogue
from samgeo_core.models.catalogue import ModelEntry, Source
from samgeo_core.models.weights import checkpoints, download
from samgeo_core.models.weights.download import Listener, fetch
from samgeo_core.models.weights.tensors import read_state

from ..weights_server import Server


def saved(state) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


WEIGHTS = saved({"a": torch.arange(300_000, dtype=torch.float32), "b": torch.ones(3)})
SHA = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def server(monkeypatch):
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
        checkpoints.OFFLINE_VARIABLE,
    ):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        running.behaviour.files["w.pt"] = WEIGHTS
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def entry(server, folder, monkeypatch):
    """A registered model that the local server has."""
    made = ModelEntry(
        "tiny", "sam", "Tiny model", "Apache-2.0", "", (Source(f"{server.url}/w.pt", "w.pt", SHA),)
    )
    monkeypatch.setitem(catalogue.CATALOGUE, "tiny", made)
    return made


def quick(**more) -> Listener:
    return Listener(pause=lambda _: None, **more)


def get(server, target: Path, sha256: str = SHA, **more):
    return fetch(Source(f"{server.url}/w.pt", "w.pt", sha256), target, listener=quick(**more))


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


# The network ------------------------------------------------------------------------------------


def test_a_file_arrives_whole_with_its_checksum_and_progress(server, tmp_path):
    seen = []
    fetched = get(server, tmp_path / "w.pt", progress=seen.append)
    assert fetched.path.read_bytes() == WEIGHTS
    assert (fetched.sha256, fetched.size) == (SHA, len(WEIGHTS))
    assert seen[-1].done == seen[-1].total == len(WEIGHTS)
    assert leftovers(fetched.path) == ["w.pt"]


def test_a_lost_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.behaviour.cut, server.behaviour.cuts = 400_000, 2
    fetched = get(server, tmp_path / "w.pt")
    assert fetched.path.read_bytes() == WEIGHTS
    assert server.behaviour.asked == ["", "bytes=400000-", "bytes=800000-"]


def test_a_network_that_goes_away_is_no_error_of_the_disk(server, tmp_path, monkeypatch):
    read, calls = http.client.HTTPResponse.read, []

    def failing(self, *size):
        calls.append(size)
        if len(calls) == 2:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return read(self, *size)

    monkeypatch.setattr(http.client.HTTPResponse, "read", failing)
    assert get(server, tmp_path / "w.pt").path.read_bytes() == WEIGHTS
    assert len(calls) > 2


KILLED = """
import sys
from pathlib import Path
from samgeo_core.models.catalogue import Source
from samgeo_core.models.weights.download import Listener, fetch
def tell(progress):
    print(progress.done, flush=True)
    import time; time.sleep(60)
url, target, sha = sys.argv[1:]
fetch(Source(url, "w.pt", sha), Path(target), listener=Listener(progress=tell))
"""


def test_a_killed_process_leaves_a_part_that_the_next_one_finishes(server, tmp_path):
    target = tmp_path / "w.pt"
    body = WEIGHTS + bytes(3 << 20)  # more than one chunk
    server.behaviour.files["w.pt"] = body
    sha = hashlib.sha256(body).hexdigest()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, f"{server.url}/w.pt", str(target), sha],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline().strip()  # some of it has arrived
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait(10)
    assert not target.exists()
    have = (tmp_path / "w.pt.part").stat().st_size
    assert get(server, target, sha).path.read_bytes() == body
    assert have >= 1 << 20
    assert server.behaviour.asked[-1] == f"bytes={have}-"
    assert leftovers(target) == ["w.pt"]


def test_a_part_of_a_file_that_has_changed_meanwhile_is_begun_anew(server, tmp_path):
    target = tmp_path / "w.pt"
    server.behaviour.files["w.pt"] = bytes(len(WEIGHTS))
    server.behaviour.cut, server.behaviour.cuts = 500_000, -1
    with pytest.raises(CheckpointError, match="what has arrived is kept"):
        fetch(
            Source(f"{server.url}/w.pt", "w.pt", SHA),
            target,
            listener=Listener(pause=lambda _: shrink(server)),
        )
    server.behaviour.files["w.pt"], server.behaviour.etag = WEIGHTS, '"two"'
    server.behaviour.status = 0
    server.behaviour.cut = 0
    assert get(server, target).path.read_bytes() == WEIGHTS
    assert server.behaviour.requests[-1][1]["If-Range"] == '"one"'


def shrink(server):
    server.behaviour.status, server.behaviour.statuses = 503, -1


def test_a_part_without_a_word_of_its_version_is_caught_by_the_checksum(server, tmp_path):
    target = tmp_path / "w.pt"
    (tmp_path / "w.pt.part").write_bytes(bytes(1000))
    (tmp_path / "w.pt.part.json").write_text(json.dumps({"url": f"{server.url}/w.pt"}))
    assert get(server, target).path.read_bytes() == WEIGHTS
    assert server.behaviour.asked == ["bytes=1000-", ""]


def test_a_complete_part_is_only_checked(server, tmp_path):
    (tmp_path / "w.pt.part").write_bytes(WEIGHTS)
    (tmp_path / "w.pt.part.json").write_text(json.dumps({"url": f"{server.url}/w.pt"}))
    assert get(server, tmp_path / "w.pt").path.read_bytes() == WEIGHTS


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.behaviour.ranges = False
    server.behaviour.cut, server.behaviour.cuts = 400_000, 1
    assert get(server, tmp_path / "w.pt").path.read_bytes() == WEIGHTS


def test_a_busy_server_is_asked_again_ever_later(server, tmp_path):
    server.behaviour.status, server.behaviour.statuses = 503, 3
    waits = []
    fetch(
        Source(f"{server.url}/w.pt", "w.pt", SHA),
        tmp_path / "w.pt",
        listener=Listener(pause=waits.append),
    )
    assert waits == [1, 2, 4]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"files": {"w.pt": WEIGHTS[:-1] + b"x"}}, "not the published file"),
        ({"files": {"w.pt": WEIGHTS[:500_000]}}, "not the published file"),
        ({"html": b"<!DOCTYPE html><html>Please log in</html>"}, "a web page"),
        ({"files": {"w.pt": b"\n<html>Blocked</html>"}}, "a web page"),
        ({"files": {"w.pt": b"version https://git-lfs.github.com/spec/v1\n"}}, "Git LFS"),
        ({"status": 401, "statuses": -1}, "accept a licence"),
        ({"status": 404, "statuses": -1}, "404"),
        ({"status": 503, "statuses": -1}, "check the network"),
    ],
)
def test_what_is_not_the_file_is_refused_and_nothing_is_left(server, tmp_path, told, words):
    for name, value in told.items():
        setattr(server.behaviour, name, value)
    with pytest.raises(CheckpointError, match=words):
        get(server, tmp_path / "w.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_off_without_a_word_is_refused_even_without_a_checksum(server, tmp_path):
    server.behaviour.files["w.pt"] = WEIGHTS[:500_000]
    server.behaviour.announce = False
    with pytest.raises(CheckpointError, match="its end is missing"):
        fetch(
            Source(f"{server.url}/w.pt", "w.pt"),
            tmp_path / "w.pt",
            listener=quick(),
            check=checkpoints.check_file,
        )
    assert list(tmp_path.iterdir()) == []


def test_the_hubs_own_checksum_counts_where_none_is_published(server, tmp_path):
    server.behaviour.headers["X-Linked-Etag"] = f'"{"0" * 64}"'
    with pytest.raises(CheckpointError, match="not the published file"):
        get(server, tmp_path / "w.pt", sha256="")


def test_cancelling_keeps_what_has_arrived(server, tmp_path):
    with pytest.raises(Cancelled):
        get(server, tmp_path / "w.pt", cancelled=lambda: True)
    assert not (tmp_path / "w.pt").exists()


def test_a_token_does_not_follow_a_redirect(server, tmp_path):
    with Server() as other:
        other.behaviour.files["w.pt"] = WEIGHTS
        server.behaviour.redirect = other.url
        fetch(Source(f"{server.url}/w.pt", "w.pt", SHA), tmp_path / "w.pt", token="secret")
        assert server.behaviour.requests[0][1]["Authorization"] == "Bearer secret"
        assert "Authorization" not in other.behaviour.requests[0][1]


def test_the_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.behaviour.files["http://weights.example/w.pt"] = WEIGHTS
    fetch(Source("http://weights.example/w.pt", "w.pt", SHA), tmp_path / "w.pt", listener=quick())
    assert server.behaviour.requests[0][0] == "http://weights.example/w.pt"


def test_a_full_disk_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(CheckpointError, match="disk is full"):
        get(server, tmp_path / "w.pt")
    assert not (tmp_path / "w.pt").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder it may not write")
def test_a_folder_without_permission_is_named(server, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="SAMGEO_MODELS_DIR"):
        get(server, tmp_path / "sub" / "w.pt")


# The models folder ------------------------------------------------------------------------------


def test_a_model_is_downloaded_listed_verified_and_removed(entry, folder):
    (before,) = [s for s in checkpoints.list_models() if s.entry is entry]
    assert not before.installed
    path = checkpoints.download("tiny")
    assert path == folder / "tiny" / "w.pt"
    (here,) = [s for s in checkpoints.list_models() if s.entry is entry]
    assert here.installed
    assert here.bytes_here > len(WEIGHTS)
    assert checkpoints.locate("tiny").sha256 == SHA
    (verified,) = checkpoints.verify("tiny")
    assert verified.problem == ""
    assert verified.published
    assert checkpoints.remove("tiny") > len(WEIGHTS)
    assert checkpoints.remove("tiny") == 0
    with pytest.raises(CheckpointError, match="samgeo models download tiny"):
        checkpoints.locate("tiny")


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_model_moved_to_another_disk_behind_a_link_is_removed_with_its_link(
    entry, folder, tmp_path
):
    checkpoints.download("tiny")
    other = tmp_path / "disk" / "tiny"
    other.parent.mkdir()
    shutil.move(folder / "tiny", other)
    (other / "notes.txt").write_text("mine")
    (folder / "tiny").symlink_to(other)
    assert checkpoints.remove("tiny") > len(WEIGHTS)
    assert [path.name for path in other.iterdir()] == ["notes.txt"]
    assert not (folder / "tiny").is_symlink()
    (folder / "tiny").symlink_to(tmp_path / "gone")
    assert checkpoints.remove("tiny") == 0
    assert checkpoints.download("tiny").read_bytes() == WEIGHTS


@pytest.mark.parametrize("content", [None, b"", b"no safetensors"])
def test_a_trained_model_that_is_damaged_can_be_removed(folder, content):
    mine = folder / "own" / "my-roofs"
    mine.mkdir(parents=True)
    if content is not None:
        (mine / "my-roofs.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match="samgeo models remove my-roofs"):
            checkpoints.locate("my-roofs")
    assert checkpoints.remove("my-roofs") == len(content or b"")
    assert list((folder / "own").iterdir()) == []
    for name in ("..", ".", "my-roofs", "own/..", ""):
        with pytest.raises(ModelError):
            checkpoints.remove(name)
    assert (folder / "own").is_dir()


def test_a_second_download_asks_nobody(entry, server):
    checkpoints.download("tiny")
    asked = len(server.behaviour.requests)
    checkpoints.download("tiny")
    assert len(server.behaviour.requests) == asked


def test_a_file_without_its_manifest_is_not_installed(entry, folder):
    checkpoints.download("tiny")
    (folder / "tiny" / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="not on this computer"):
        checkpoints.locate("tiny")


def test_a_file_that_lost_its_end_is_not_installed(entry):
    path = checkpoints.download("tiny")
    path.write_bytes(WEIGHTS[:-5])
    with pytest.raises(CheckpointError, match="not on this computer"):
        checkpoints.locate("tiny")


def test_a_changed_file_is_found_by_verifying(entry):
    path = checkpoints.download("tiny")
    path.write_bytes(WEIGHTS[:1000] + b"!" + WEIGHTS[1001:])
    (verified,) = checkpoints.verify("tiny")
    assert "changed" in verified.problem


def test_offline_means_offline(entry, server, monkeypatch):
    monkeypatch.setenv(checkpoints.OFFLINE_VARIABLE, "1")
    with pytest.raises(CheckpointError, match="SAMGEO_OFFLINE"):
        checkpoints.download("tiny")
    assert server.behaviour.requests == []


def test_two_processes_do_not_download_the_same_model_at_once(entry):
    with checkpoints._locked(entry), pytest.raises(CheckpointError, match="another process"):
        checkpoints.download("tiny")
    assert checkpoints.download("tiny").exists()  # the lock is given back


def test_a_missing_optional_file_is_left_out_but_a_lost_one_is_not(
    entry, server, monkeypatch, folder
):
    more = Source(f"{server.url}/words.json", "words.json", optional=True)
    both = replace(entry, kind="concept", files=(*entry.files, more))
    monkeypatch.setitem(catalogue.CATALOGUE, "tiny", both)
    assert checkpoints.download("tiny") == folder / "tiny"
    checkpoints.remove("tiny")
    monkeypatch.setattr(download, "RETRIES", 0)
    server.behaviour.files["words.json"] = b"{}" * 10
    server.behaviour.cut, server.behaviour.cuts = 1, -1
    server.behaviour.files["w.pt"] = b""
    with pytest.raises(CheckpointError):
        checkpoints.download("tiny")


def test_a_checkpoint_in_an_archive_is_unpacked(entry, server, monkeypatch, folder):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner.pt", WEIGHTS)
    server.behaviour.files["w.pt.zip"] = archive.getvalue()
    source = Source(f"{server.url}/w.pt.zip", "w.pt.zip")
    monkeypatch.setitem(
        catalogue.CATALOGUE, "tiny", replace(entry, files=(source,), member="inner.pt")
    )
    path = checkpoints.download("tiny")
    assert path == folder / "tiny" / "inner.pt"
    assert path.read_bytes() == WEIGHTS
    assert leftovers(path) == ["inner.pt", "manifest.json"]
    checkpoints.remove("tiny")

    def full(inside, out, _):
        out.write(inside.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(CheckpointError, match=r"inner\.pt cannot be kept .* the disk is full"):
        checkpoints.download("tiny")
    assert leftovers(path) == ["w.pt.zip"]


# Reading ----------------------------------------------------------------------------------------


def test_all_formats_give_the_same_tensors(tmp_path):
    state = {"x": torch.arange(4.0), "y": torch.ones(2, 3)}
    torch.save(state, tmp_path / "a.pth")
    torch.save({"model": state, "epoch": 3}, tmp_path / "b.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "c.safetensors")
    hub = tmp_path / "hub"
    hub.mkdir()
    save_file({"x": state["x"]}, hub / "m-1.safetensors")
    save_file({"y": state["y"]}, hub / "m-2.safetensors")
    names = {"x": "m-1.safetensors", "y": "m-2.safetensors"}
    (hub / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    for path in ("a.pth", "b.pt", "old.pt", "c.safetensors", "hub"):
        got = read_state(tmp_path / path)
        assert set(got) == {"x", "y"}, path
        np.testing.assert_array_equal(got["x"], state["x"])


class Payload:
    def __reduce__(self):
        return os.mkdir, (self.place,)


@pytest.mark.parametrize("new", [True, False])
def test_a_pickle_payload_does_not_run(tmp_path, new):
    payload = Payload()
    payload.place = str(tmp_path / "ran")
    torch.save(
        {"model": {"x": torch.ones(1)}, "extra": payload},
        tmp_path / "evil.pt",
        _use_new_zipfile_serialization=new,
    )
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(payload))
    for name, words in (("evil.pt", "run code"), ("plain.pt", "no checkpoint")):
        with pytest.raises(CheckpointError, match=words):
            read_state(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.pt", WEIGHTS[: len(WEIGHTS) // 2], "damaged"),
        ("empty.pt", b"", "empty"),
        ("page.pt", b"<!DOCTYPE html><html></html>", "web page"),
        ("lfs.pth", b"version https://git-lfs.github.com/spec/v1\noid 1", "Git LFS"),
        ("noise.pt", bytes(range(256)) * 9, "damaged"),
        ("words.pt", b"just some words", "damaged"),
        ("cut.safetensors", (60).to_bytes(8, "little") + b'{"x":', "header"),
        ("short.safetensors", b"1234", "header"),
        ("numbers.pt", saved([1, 2, 3]), "no model weights"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named_with_the_reason(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        read_state(tmp_path / name)


def test_a_safetensors_file_without_its_end_is_damaged(tmp_path):
    save_file({"x": torch.arange(100.0)}, tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(whole[:-4])
    with pytest.raises(CheckpointError, match="its end is missing"):
        read_state(tmp_path / "x.safetensors")


def test_unknown_names_and_paths_are_told_apart(folder):
    with pytest.raises(ModelError, match=r"no model named 'sam-vit-x'.*sam-vit-b"):
        checkpoints.locate("sam-vit-x")
    with pytest.raises(CheckpointError, match="no file"):
        checkpoints.locate("nowhere/sam.pth")
