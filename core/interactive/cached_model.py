# SPDX-License-Identifier: GPL-2.0-or-later
"""A model whose encodings are kept, for code that encodes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..models.base import Embedding
from ..models.embedding_cache import EmbeddingCache, embedding_key
from ..types import ByteArray


class CachedModel:
    """Like the model, but what was encoded once comes from the cache.

    Args:
        model: A promptable model; its own methods and properties are the wrapper's, too.
        cache: Keeps encodings. Answers are those of the cache even where they are made anew.
    """

    def __init__(self, model: Any, cache: EmbeddingCache) -> None:
        self._model = model
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        """Embeddings of (H, W, 3) uint8 images."""
        return [self._encoded(image) for image in images]

    def _encoded(self, image: ByteArray) -> Embedding:
        fingerprint = self._model.info.fingerprint
        found, _ = self._cache.get_or_make(
            embedding_key(image, fingerprint),
            lambda: self._model.encode([image])[0],
            fingerprint,
        )
        return found
