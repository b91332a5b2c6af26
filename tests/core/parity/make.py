# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the official code for the reference values; see README.md for how to run it.

Reads the official repositories from a folder, loads random weights into their models and keeps
samples of what they answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from ..models.families import FAMILIES
from .cases import HERE, answers, image, prompts, sample
from .official import load, replace_imports


def main(root: Path, only: list[str]) -> None:
    replace_imports()
    cases = [(family, case) for family in FAMILIES.values() for case in family.cases]
    for family, case in cases:
        if only and case.name not in only:
            continue
        before = list(sys.path)
        model, ask = family.official(root, case)
        model, shapes = load(model)
        picture = torch.from_numpy(image(case.image)).permute(2, 0, 1)
        with torch.no_grad():
            embedding, answer = ask(model, picture)
            kept = {"embedding": sample(embedding, 2000)}
            for kind, multimask in answers():
                if kind in case.kinds:
                    logits, scores = answer(prompts(kind, case), multimask)
                    key = f"{kind}.{'multi' if multimask else 'single'}"
                    kept[f"{key}.logits"] = sample(logits.numpy(), 1000)
                    kept[f"{key}.scores"] = scores.numpy()
                    print(case.name, key, float(logits.std()), scores.flatten().tolist())
        text = json.dumps(shapes, separators=(",", ":"))
        np.savez_compressed(HERE / f"{case.name}.npz", shapes=np.array(text), **kept)
        sys.path[:] = before


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
