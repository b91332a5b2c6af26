# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker that speaks the protocol without any model, and misbehaves on demand. Tests only.

``FAKE_WORKER`` holds words: ``slow=SECONDS`` (every answer), ``crash=METHOD`` (exit code 3 when it
comes), ``once=PATH`` (crash only while this file is missing, and make it), ``garbage`` (a print on
standard output before the greeting), ``flood`` (nothing but prints), ``protocol=N``, ``silent``
(greets, then says nothing), ``mute`` (never greets), ``long`` (a line beyond the limit), ``split``
(every line in pieces that cut UTF-8 characters), ``deaf`` (does not end with standard input),
``concepts`` (models of words are on disk), ``exemplars`` (the model takes them itself),
``nothing`` (a collection finds nothing), ``warns`` (a segmentation warns of its prompts),
``asked=PATH`` (what a collection is asked for goes into this file), ``most=N`` (an object of more
prompts is refused).
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from pathlib import Path
from queue import Empty, Queue

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "core"))
import job

WORDS = dict(word.partition("=")[::2] for word in os.environ.get("FAKE_WORKER", "").split())
_lock = threading.Lock()


def say(message: job.Message) -> None:
    line = job.encode(message)
    with _lock:
        if "split" in WORDS:
            for at in range(0, len(line), 7):
                sys.stdout.buffer.write(line[at : at + 7])
                sys.stdout.buffer.flush()
                time.sleep(0.001)
        else:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def circle(x: float, y: float, radius: float) -> dict:
    ring = [
        [x + radius * math.cos(k * math.pi / 16), y + radius * math.sin(k * math.pi / 16)]
        for k in range(32)
    ]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


class Worker:
    def __init__(self) -> None:
        self.queue: Queue = Queue()
        self.cancelled: set[int] = set()
        self.current = None
        self.last: dict[str, list] = {}
        self.opened = 0

    def candidates(self, params: dict) -> list[dict]:
        first = params["prompts"][0]["coordinates"]
        x = sum(p[0] for p in first) / len(first)
        y = sum(p[1] for p in first) / len(first)
        unit = params.get("pixel_size") or 1.0
        radii = [10.0 + len(params["prompts"]), 20.0, 5.0]
        return [
            {
                "geometry": circle(x, y, radius * unit),
                "score": 0.9 - 0.1 * k,
                "stability": 0.95,
                "area_m2": math.pi * radius**2,
                "perimeter_m": 2 * math.pi * radius,
                "tiles": 1,
            }
            for k, radius in enumerate(radii[: 3 if params.get("multimask") else 1])
        ]

    def answer(self, request: job.Request) -> dict:
        params, method = request.params, request.method
        if method == "open":
            job.OpenParameters.from_dict(params)
            if not Path(params["rasters"][0]).exists():
                raise Refusal(
                    "RasterError", f"{params['rasters'][0]} does not exist; name it anew."
                )
            self.opened += 1
            say(job.Progress(request.id, "stretch", 1, 1, "größer"))
            return {
                "session": f"s{self.opened}", "crs": "EPSG:32645", "bands": 3,
                "width": 100, "height": 100,
                "extent": [0, 0, 100, 100], "stretch": [[0, 255]] * 3,
                "model": {"name": "fake", "device": "cpu", "words": "exemplars" in WORDS},
                "warnings": [],
            }  # fmt: skip
        if method == "prompt":
            prompts = [job.Prompt.from_dict(prompt) for prompt in params["prompts"]]
            if not any(prompt.positive for prompt in prompts):
                raise Refusal("PromptError", "No prompt says what belongs; add a point on it.")
            if len(prompts) > int(WORDS.get("most", 99)):
                raise Refusal("PromptError", "These are too many prompts.")
            made = self.candidates(params)
            if not params.get("hover"):
                self.last[params["session"]] = made
            return {"candidates": made, "limit": None, "encoded": 0}
        if method == "accept":
            chosen = self.last.pop(params["session"])[params["candidate"]]
            attributes = {k: v for k, v in chosen.items() if k != "geometry"}
            attributes |= {"id": "f00d", "prompt_id": None, "prompt_type": "point", "label": None,
                           "model": "fake", "source": "town.tif", "parent_id": None}  # fmt: skip
            return {"attributes": attributes, "geometry": chosen["geometry"]}
        if method == "refine":
            ring = params["geometry"]["coordinates"][0]
            kept = ring[:-1:4] if params.get("simplify") else ring[:-1]
            if params.get("outlines") == "rectangles":
                xs, ys = [x for x, _ in ring], [y for _, y in ring]
                kept = [[min(xs), min(ys)], [max(xs), min(ys)], [max(xs), max(ys)],
                        [min(xs), max(ys)]]  # fmt: skip
            geometry = {"type": "Polygon", "coordinates": [[*kept, kept[0]]]}
            return {"geometry": geometry, "area_m2": 1.0, "perimeter_m": 4.0}
        if method == "look":
            return {"encoded": True}
        if method == "collect":
            self.asked = job.CollectParameters.from_dict(params)
            self.collected = []
            words, detector = self.asked.words, self.asked.detector
            if "asked" in WORDS:
                Path(WORDS["asked"]).write_text(json.dumps(params))
            if words and detector is None:
                raise Refusal("ModelError", "fake does not understand words: choose sam3.")
            least = 0.6 if words else 0.4 if self.asked.classes else None
            model = f"{detector}+fake" if words else "fake"
            return {"collection": "c1", "tiles": 3, "min_score": least, "model": model}
        if method == "collect_next":
            if job.CollectionParameters.from_dict(params).rest:
                return self.rest()
            return self.one_tile(request)
        if method == "collect_classes":
            return self.classes(params)
        if method in ("classify", "map"):
            return self.classified(method, params)
        if method == "segment":
            done = job.SegmentParameters.from_dict(params)
            notes = ["One band only."]
            if "warns" in WORDS:
                least = job.option("min_score")
                notes = [f"1 feature of {done.prompts} is left out: lower {least}."]
                for step in (0, 1):
                    say(job.Progress(request.id, "model", step, 1, "fake"))
                    say(job.Progress(request.id, "windows", step, 1, f"window {step}"))
            for note in notes:
                say(job.Log("warning", note, request.id))
            carried = {done.prompt_label: "roof"} if done.prompt_label else {}
            for step in range(20):
                if request.id in self.cancelled:
                    raise Refusal("Cancelled", "Cancelled after a tile.")
                say(job.Progress(request.id, "tiles", step, 20))
                time.sleep(float(WORDS.get("tile", 0.01)))
            features = [
                {"type": "Feature", "geometry": circle(85.5 + k / 100, 27.6, 0.001),
                 "properties": {"id": f"o{k}", "score": 0.5 + k / 10, "stability": 0.9,
                                "area_m2": 10.0 * k, "perimeter_m": 1.0, "prompt_id": str(k),
                                "label": None, **carried}}
                for k in range(1, 4)
            ]  # fmt: skip
            from osgeo import gdal

            text = json.dumps({"type": "FeatureCollection", "features": features})
            gdal.VectorTranslate(done.output, gdal.OpenEx(text), format="GPKG", layerName="objects")
            told = {name: Path(value).name for name, value in params.items()
                    if name.startswith("prompt") and isinstance(value, str)}  # fmt: skip
            file = gdal.OpenEx(done.output, gdal.OF_VECTOR | gdal.OF_UPDATE)
            file.GetLayer(0).SetMetadataItem("samgeo_provenance", json.dumps({"options": told}))
            del file
            return {"output": done.output, "layer": "objects", "features": 3, "tiles": 20,
                    "failed": [], "seconds": 0.2,
                    "warnings": [job.with_knobs(note) for note in notes]}  # fmt: skip
        if method == "models":
            return {"models": [
                {"name": "embedded", "family": "fake", "title": "Embedded", "size": 5_000_000,
                 "licence": "MIT", "state": "embedded", "path": None, "note": ""},
                {"name": "sam-vit-b", "family": "sam", "title": "SAM ViT-B", "size": 375_042_383,
                 "licence": "Apache-2.0", "state": "to download", "path": None, "note": ""},
                *({"name": name, "family": family, "title": title, "size": 1, "licence": "x",
                   "state": "on disk", "path": None,
                   "note": "", "kind": "concept"}
                  for name, family, title in (("sam3", "sam3", "Segment Anything 3"),
                                              ("owlv2-base", "owlv2", "OWLv2"))
                  if "concepts" in WORDS),
            ]}  # fmt: skip
        if method == "statistics":
            return {"stretch": [[0.0, 255.0]], "info": {}}
        return {}

    def one_tile(self, request: job.Request) -> dict:
        """Four discs in a row; the second tile's first one is the first tile's last, grown."""
        end = time.monotonic() + float(WORDS.get("tile", 0))
        while time.monotonic() < end:
            if request.id in self.cancelled:
                raise Refusal("Cancelled", "Cancelled in a tile.")
            time.sleep(0.01)
        tile = len(self.collected) // 4
        gone = ["o3"] if tile == 1 else []
        made = []
        for k in range(4):
            name = f"o{4 * tile + k}"
            made.append(name)
            self.collected.append(name)
        if "nothing" in WORDS:
            made, gone = [], []
        objects = [
            {"id": name, "geometry": circle(*self.middle(name), 2.0),
             "score": round(0.9 - 0.05 * int(name[1:]), 2), "stability": 0.9, "area_m2": 12.5,
             "class": self.asked.words[int(name[1:]) % len(self.asked.words)]
             if self.asked.words else ""}
            for name in made
        ]  # fmt: skip
        return {"objects": objects, "gone": gone, "done": tile + 1, "tiles": 3, "more": False,
                "ready": tile == 2}  # fmt: skip

    def rest(self) -> dict:
        done = len(self.collected) // 4
        return {"objects": [], "gone": [], "done": done, "tiles": 3, "more": False,
                "ready": done == 3}  # fmt: skip

    @staticmethod
    def middle(name: str) -> tuple:
        number = int(name[1:])
        return 300005.0 + 5 * (number % 4), 3000004.0 + 5 * (number // 4)

    def classes(self, params: dict) -> dict:
        """All that no example speaks against, the less probable the later."""
        asked = job.CollectClassesParameters.from_dict(params)
        marks = {}
        for example in asked.examples:
            ring = example["geometry"]["coordinates"]
            ring = ring[0][0] if example["geometry"]["type"] == "MultiPolygon" else ring[0]
            x = (min(p[0] for p in ring) + max(p[0] for p in ring)) / 2
            y = (min(p[1] for p in ring) + max(p[1] for p in ring)) / 2
            for name in self.collected:
                if math.dist(self.middle(name), (x, y)) < 1:
                    marks[name] = example["class"]
        names = sorted({e["class"] for e in asked.examples if e["class"]})
        if not names:
            raise Refusal("PromptError", "All examples are of one class.")
        kept = []
        for name in self.collected:
            if name == "o3" and len(self.collected) > 4:
                continue
            said, likely = marks.get(name), round(0.99 - 0.05 * int(name[1:]), 3)
            if said:
                kept.append([name, names.index(said), 1.0])
            elif said is None and likely >= asked.min_class_prob:
                kept.append([name, 0, likely])
        marked = [[name, names.index(said) if said else -1] for name, said in marks.items()]
        ask = [name for name in reversed(self.collected) if name not in marks][: asked.ask]
        return {"classes": names, "kept": kept, "marked": marked, "ask": ask}

    def classified(self, method: str, params: dict) -> dict:
        kind = job.ClassifyParameters if method == "classify" else job.MapParameters
        asked = kind.from_dict(params)
        from osgeo import gdal

        if asked.examples and asked.class_field:
            opened = gdal.OpenEx(asked.examples)  # a layer does not keep it
            names = opened.GetLayer(0).GetLayerDefn()
            if names.GetFieldIndex(asked.class_field) < 0:
                raise Refusal("ParameterError", f"No field {asked.class_field}.")
        if not (asked.examples or asked.classifier):
            raise Refusal("ParameterError", f"Give {job.option('examples')}.")
        line = getattr(asked, "shapes", "") == "network"
        geometry = (
            {"type": "LineString", "coordinates": [[85.5, 27.6], [85.6, 27.6]]}
            if line else circle(85.5, 27.6, 0.001)
        )  # fmt: skip
        values = {"class": "roof", "class_prob": 0.9, "samgeo_source_fid": 1}
        feature = {"type": "Feature", "geometry": geometry, "properties": values}
        text = json.dumps({"type": "FeatureCollection", "features": [feature]})
        gdal.VectorTranslate(
            asked.output, gdal.OpenEx(text), format="GPKG", layerName=asked.layer or "result"
        )
        return {"output": asked.output, "layer": asked.layer, "features": 1, "tiles": 1,
                "failed": [], "seconds": 0.1, "warnings": []}  # fmt: skip

    def work(self) -> None:
        while True:
            request = self.queue.get()
            self.current = request.id
            try:
                time.sleep(float(WORDS.get("slow", 0)))
                if WORDS.get("crash") == request.method and not (
                    "once" in WORDS and Path(WORDS["once"]).exists()
                ):
                    if "once" in WORDS:
                        Path(WORDS["once"]).touch()
                    print("Segmentation fault, says the test", file=sys.stderr, flush=True)
                    os._exit(3)
                if request.id in self.cancelled:
                    raise Refusal("Cancelled", "Cancelled.")
                say(job.Result(request.id, self.answer(request)))
            except Refusal as refusal:
                say(job.Failure(request.id, refusal.kind, str(refusal), "a detail"))
            except Exception as error:
                say(job.Failure(request.id, "InternalError", repr(error)))
            self.current = None

    def beat(self) -> None:
        while True:
            time.sleep(float(WORDS.get("beat", 0.2)))
            say(job.Heartbeat(self.current))

    def run(self) -> None:
        threading.Thread(target=self.work, daemon=True).start()
        if "silent" not in WORDS:
            threading.Thread(target=self.beat, daemon=True).start()
        for line in sys.stdin.buffer:
            request = job.decode(line)
            if request.method == "shutdown":
                say(job.Result(request.id, {}))
                if "deaf" not in WORDS:
                    return
            elif request.method == "cancel":
                self.cancelled.add(request.params["id"])
                self.drop_waiting(request.params["id"])
                say(job.Result(request.id, {"cancelled": True}))
            elif "silent" not in WORDS:
                self.queue.put(request)
        if "deaf" in WORDS:
            time.sleep(60)

    def drop_waiting(self, request_id: int) -> None:
        waiting = []
        while True:
            try:
                waiting.append(self.queue.get_nowait())
            except Empty:
                break
        for request in waiting:
            if request.id == request_id:
                say(job.Failure(request.id, "Cancelled", "Cancelled."))
            else:
                self.queue.put(request)


class Refusal(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def main() -> None:
    if "mute" in WORDS:
        time.sleep(60)
    if "garbage" in WORDS:
        print("A library that prints; größer", flush=True)
    while "flood" in WORDS:
        print("yes", flush=True)
    if "long" in WORDS:
        sys.stdout.buffer.write(b"x" * (job.MAX_LINE + 4096))
        sys.stdout.buffer.flush()
        time.sleep(60)
    version = int(WORDS.get("protocol", job.PROTOCOL_VERSION))
    say(job.Hello(version, "0.0.fake", sys.version.split()[0], "auto"))
    Worker().run()


if __name__ == "__main__":
    main()
