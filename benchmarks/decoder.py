# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast is the mask decoder, and how much memory does it take?

    python benchmarks/decoder.py [--prompts 64] [--rounds 3] [--threads 1] [--busy] [--family sam]

One click a prompt, three masks each, on an embedding of 64 x 64 (an image of 1024 x 1024), random
weights. Ours against the same weights in the official formulation ("plain": image features repeated
for every prompt, keys, values and queries projected for every prompt and layer, transposed
convolutions, all prompts in one batch), and against the libraries that are installed:
``transformers`` and ``segment-anything-py`` (without its requirement torchvision), and ONNX Runtime
with the graph that ``samgeo models export`` writes. All in the same run, in turn; the table says
the median a prompt. CPU time counts all threads and is the fair figure
where other programs run; --busy runs one meanwhile, which keeps a core busy. Memory (Linux) is what
a decoding adds at its peak, in a process of its own, the results (0.75 MB per prompt) included. The
difference is the largest between ours and the other's logits.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from samgeo_core.models import export, promptable
from samgeo_core.models.base import Embedding, ModelInfo, Prompts
from samgeo_core.models.families.efficient_sam import EfficientSam, PlainViT
from samgeo_core.models.families.sam import Sam
from samgeo_core.models.families.sam2_network import Sam2
from samgeo_core.models.families.sam_hq import SamHq
from samgeo_core.models.image import Preprocessing
from samgeo_core.models.network import Network
from samgeo_core.models.nn.blocks import LayerNorm2d, parts
from samgeo_core.models.nn.hiera import SIZES, Encoder
from samgeo_core.models.nn.mask_decoder import MaskDecoder
from samgeo_core.models.nn.vit import ViT
from samgeo_core.models.promptable import TorchModel
from samgeo_core.testing.random_weights import weights

GRID = 64
NAMES = ("sam", "sam2", "sam_hq", "efficient_sam")
Run = Callable[[], Tensor]


@dataclass(frozen=True)
class Bench:
    """A family's model, an embedding and prompts."""

    model: TorchModel
    embedding: Embedding
    prompts: Prompts

    @property
    def arrays(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(array) for name, array in self.embedding.arrays.items()}

    @property
    def xy(self) -> Tensor:
        """Points in the official indices."""
        assert self.prompts.points is not None
        return torch.from_numpy(self.prompts.points[..., ::-1].copy()) - 0.5


def network(family: str) -> Network:
    """The family with a whole decoder and next to no encoder."""
    vit = ViT(64, 1, 1, {0}, GRID)
    if family == "sam":
        return Sam(vit, Preprocessing())
    if family == "sam_hq":
        return SamHq(vit, Preprocessing(), 64)
    if family == "sam2":
        size = replace(SIZES[0], stages=(1, 1, 1, 1), whole=())
        return Sam2(Encoder(size, (7, 7)))
    return EfficientSam(PlainViT(64, 1))


def make(family: str, prompts: int) -> Bench:
    model = with_weights(network(family), family)
    image, clicks = question(prompts)
    return Bench(model, model.encode([image])[0], clicks)


def with_weights(made: Network, name: str) -> TorchModel:
    """A model with random weights on the CPU."""
    made.load_state_dict(weights({k: v.shape for k, v in made.state_dict().items()}))
    made.eval().requires_grad_(False)
    made.prepare()
    info = ModelInfo(name, made.family, "benchmark", 1024, GRID * 4, made.accepts)
    return TorchModel(made, info, torch.device("cpu"))


def question(prompts: int) -> tuple[np.ndarray, Prompts]:
    """An image of 1024 x 1024 and clicks on it."""
    random = np.random.RandomState(0)
    image = random.randint(0, 256, (1024, 1024, 3)).astype(np.uint8)
    points = random.uniform(0, 1024, (prompts, 1, 2)).astype(np.float32)
    return image, Prompts(points=points, labels=np.ones((prompts, 1), "i1"))


# The ways to decode ------------------------------------------------------------------------------


def ours(bench: Bench) -> Run:
    return lambda: torch.from_numpy(bench.model.decode(bench.embedding, bench.prompts).logits)


def scores_only(bench: Bench) -> Run:
    def run() -> Tensor:
        out = bench.model.decode(bench.embedding, bench.prompts, min_score=1e9)
        return torch.from_numpy(out.logits)

    return run


def plain(bench: Bench) -> Run:
    """The official formulation with our weights."""
    made = bench.model.network
    decoder = made.mask_decoder

    def run() -> Tensor:
        xy = (bench.xy + 0.5) / 1024
        count = len(xy)
        prompts = made.tokens(count, xy, torch.ones(count, 1, dtype=torch.int8), None)
        image = bench.arrays["image"].flatten(1).T
        if made.prompt_encoder.no_mask is not None:
            image = image + made.prompt_encoder.no_mask
        keys, tokens = plain_transformer(decoder, image.expand(count, -1, -1).clone(), prompts)
        maps = keys.transpose(1, 2).reshape(count, -1, GRID, GRID)
        return plain_masks(bench, maps, tokens)

    return run


def plain_transformer(decoder: MaskDecoder, keys: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
    count = len(prompts)
    place = decoder.positions.expand(count, -1, -1).clone()
    start = torch.cat([decoder.output_tokens().expand(count, -1, -1), prompts], dim=1)
    tokens = start
    for block in decoder.transformer.blocks:
        tokens = block.self_attend(tokens, start)
        read, write = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        tokens = block.think(tokens, read(tokens + start, keys + place, keys))
        keys = block.norm4(keys + write(keys + place, tokens + start, tokens))
    final = decoder.transformer.final_attn_token_to_image
    tokens = tokens + final(tokens + start, keys + place, keys)
    return keys, decoder.transformer.norm_final_attn(tokens)


def plain_masks(bench: Bench, maps: Tensor, tokens: Tensor) -> Tensor:
    made = bench.model.network
    decoder = made.mask_decoder
    first, second = parts(decoder.output_upscaling, torch.nn.ConvTranspose2d)
    (norm,) = parts(decoder.output_upscaling, LayerNorm2d)
    x = first(maps)
    if decoder.style.high_features:
        x = x + bench.arrays["fine8"]
    if decoder.style.group_norm:
        x = F.group_norm(x, 1, norm.weight, norm.bias, norm.eps)
    else:
        x = norm(x)
    x = second(F.gelu(x))
    if decoder.style.high_features:
        x = x + bench.arrays["fine4"]
    fine = F.gelu(x)
    start = 2 if decoder.style.object_score else 1
    heads = parts(decoder.output_hypernetworks_mlps, torch.nn.Module)
    hyper = torch.stack([head(tokens[:, start + i]) for i, head in enumerate(heads)], dim=1)
    masks = torch.einsum("bmc,bchw->bmhw", hyper, fine)[:, 1:]
    scores = decoder.iou_prediction_head(tokens[:, start - 1])
    if isinstance(made, SamHq):
        hq = made.mask_decoder
        fused = hq.embedding_maskfeature(fine) + bench.arrays["quality"]
        mask = torch.einsum("bc,bchw->bhw", hq.hf_mlp(tokens[:, 5]), fused)
        best = scores[:, 1:].argmax(dim=1)
        masks = (masks[torch.arange(len(masks)), best] + mask)[:, None]
    return masks.clamp(-32, 32) if isinstance(made, Sam2) else masks


def with_transformers(bench: Bench) -> Run | None:
    """The hub's library with weights of its own (the same sizes; results not compared)."""
    try:
        import transformers
    except ImportError:
        return None
    family = bench.model.info.family
    small = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "mlp_dim": 64}
    if family == "sam":
        theirs = transformers.SamModel(transformers.SamConfig(vision_config=small))
        extra = {}
    elif family == "sam2":
        theirs = transformers.Sam2Model(transformers.Sam2Config())
        extra = {}
    else:
        return None
    theirs.eval()
    features = bench.arrays["image"][None]
    points, labels = bench.xy[None], torch.ones(1, len(bench.prompts), 1, dtype=torch.long)
    given = features
    if family == "sam2":
        given = [bench.arrays["fine4"][None], bench.arrays["fine8"][None], features]  # type: ignore

    def run() -> Tensor:
        out = theirs(
            image_embeddings=given,
            input_points=points,
            input_labels=labels,
            multimask_output=True,
            **extra,
        )
        return out.pred_masks[0]

    return run


def with_official(bench: Bench) -> Run | None:
    """Meta's own code with our weights, where its package is installed."""
    if bench.model.info.family != "sam":
        return None
    for name in ("torchvision", "torchvision.transforms", "torchvision.ops"):
        sys.modules.setdefault(name, types.ModuleType(name))
    functional = types.ModuleType("torchvision.transforms.functional")
    functional.__dict__.update(resize=None, to_pil_image=None)
    sys.modules.setdefault(functional.__name__, functional)
    boxes = types.ModuleType("torchvision.ops.boxes")
    boxes.__dict__.update(batched_nms=None, box_area=None)
    sys.modules.setdefault(boxes.__name__, boxes)
    try:
        from segment_anything import modeling
    except ImportError:
        return None
    decoder = modeling.MaskDecoder(
        transformer_dim=256, transformer=modeling.TwoWayTransformer(2, 256, 8, 2048)
    )
    encoder = modeling.PromptEncoder(256, (GRID, GRID), (1024, 1024), 16)
    network = bench.model.network
    decoder.load_state_dict(network.mask_decoder.state_dict())
    encoder.load_state_dict(network.prompt_encoder.state_dict())
    features = bench.arrays["image"][None]

    def run() -> Tensor:
        count = len(bench.prompts)
        sparse, dense = encoder((bench.xy, torch.ones(count, 1)), None, None)
        return decoder(features, encoder.get_dense_pe(), sparse, dense, True)[0]

    return run


def with_onnx_runtime(bench: Bench) -> Run | None:
    """Our exported graph, eight prompts at a time (as fast as any number from two on)."""
    try:
        import onnxruntime
    except ImportError:
        return None
    if bench.model.info.family not in export.FAMILIES:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        export.export_onnx(bench.model, Path(folder), check=False)
        session = onnxruntime.InferenceSession(
            str(Path(folder) / "decoder_points.onnx"), options, ["CPUExecutionProvider"]
        )
    fed = {name: array[None] for name, array in bench.embedding.arrays.items()}
    fractions = ((bench.xy + 0.5) / 1024).float().numpy()
    labels = np.ones(fractions.shape[:2], np.int64)

    def run() -> Tensor:
        parts = []
        for start in range(0, len(labels), 8):
            some = slice(start, start + 8)
            fed.update(points=fractions[some], labels=labels[some])
            parts.append(session.run(["logits"], fed)[0])
        return torch.from_numpy(np.concatenate(parts))

    return run


WAYS: dict[str, Callable[[Bench], Run | None]] = {
    "ours": ours,
    "ours, scores only": scores_only,
    "plain": plain,
    "ONNX Runtime": with_onnx_runtime,  # its exporter minds the stand-ins for torchvision below
    "transformers": with_transformers,
    "segment-anything": with_official,
}


# Measuring ---------------------------------------------------------------------------------------


def resident(field: str) -> float:
    """A figure of Linux about this process, MB: VmRSS, now, or VmHWM, its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def grown(family: str, way: str, prompts: int, threads: int, out: object) -> None:
    """Put into ``out`` by how many MB the peak of this process exceeds what it held before."""
    torch.set_num_threads(threads)
    with torch.inference_mode():
        run = WAYS[way](make(family, prompts))
        gc.collect()
        # What was freed goes back to the system, so that it does not hide what comes.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = resident("VmRSS")
        if run is not None:
            run()
    out.put(resident("VmHWM") - before)  # type: ignore[attr-defined]


def memory(family: str, way: str, prompts: int, threads: int) -> float:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=grown, args=(family, way, prompts, threads, out))
    process.start()
    value = out.get()
    process.join()
    return float(value)


def measure(family: str, prompts: int, rounds: int, threads: int, with_memory: bool) -> None:
    bench = make(family, prompts)
    runs = {name: run for name, way in WAYS.items() if (run := way(bench)) is not None}
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, run in runs.items():
                start, used = time.perf_counter(), time.process_time()
                results[name] = run()
                if turn:
                    wall[name].append((time.perf_counter() - start) / prompts * 1e3)
                    cpu[name].append((time.process_time() - used) / prompts * 1e3)
    print(f"\n{family}: {prompts} prompts, {threads} thread(s), median of {rounds}")
    print(f"{'':20}{'ms':>8}{'CPU ms':>8}{'times':>7}{'MB':>7}  difference")
    base = statistics.median(cpu["ours"])
    for name in runs:
        used = statistics.median(cpu[name])
        size = f"{memory(family, name, prompts, threads):7.0f}" if with_memory else f"{'':7}"
        same = name in ("plain", "segment-anything", "ONNX Runtime")
        off = f"{(results[name] - results['ours']).abs().max():.1e}" if same else ""
        print(
            f"{name:20}{statistics.median(wall[name]):8.1f}{used:8.1f}{used / base:7.2f}{size}"
            f"  {off}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=promptable.CPU_PROMPTS)
    parser.add_argument("--family", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--busy", action="store_true", help="beside a process that does nothing")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    promptable.CPU_PROMPTS = given.batch
    with beside() if given.busy else contextlib.nullcontext():
        for family in given.family:
            measure(family, given.prompts, given.rounds, given.threads, not given.no_memory)


@contextlib.contextmanager
def beside() -> Iterator[None]:
    """A process that keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
