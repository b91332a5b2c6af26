# SPDX-License-Identifier: GPL-2.0-or-later
"""Attention between a prompt's tokens and an image's positions, re-associated to cost less.

A prompt has n tokens (about 7), an image N positions (4096). The textbook projects all N positions
to keys, queries and values anew for every prompt, 2 N C D operations each. All of it can move to
the tokens' side without changing the result (h a head, W its slice of a projection):

    score   (W_q t) . (W_k x)             = (W_k^T W_q t) . x       "folded" queries, n of them
    output  sum_x a(x) (W_v x + b_v)      = W_v (sum_x a(x) x) + b_v           as sum a = 1
    and, where the image asks the tokens,
    output  W_o concat_h sum_t a_h(t) v_ht = sum_ht a_h(t) (W_o,h v_ht)    n x heads vectors

What stays over all positions are products with heads x n (about 56) rows in place of 2 D (256).
Where all prompts of an image share the positions' features (the first layer), the projections
are computed once an image instead.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention; ``inner`` is the width of all heads together."""

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = 1.0 / math.sqrt(inner // heads)
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def split(self, x: Tensor) -> Tensor:
        """(B, n, heads * d) to (B, heads, n, d)."""
        batch, count, _ = x.shape
        return x.view(batch, count, self.heads, -1).transpose(1, 2)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The textbook form, used among tokens. All (B, n, dim)."""
        out = F.scaled_dot_product_attention(
            self.split(self.q_proj(q)), self.split(self.k_proj(k)), self.split(self.v_proj(v))
        )
        merged: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return merged

    def _rows(self, projection: nn.Linear) -> Tensor:
        """A projection's weight by head: (heads, d, dim)."""
        return _by_rows(projection.weight, self.heads)

    def image_keys(self, x: Tensor) -> Tensor:
        """Keys of image positions (N, dim), without bias: (heads, d, N).

        The bias adds the same to all of a query's scores, which softmax does not see.
        """
        keys: Tensor = x @ self.k_proj.weight.T
        return _by_rows(keys.T.contiguous(), self.heads)

    def image_queries(self, x: Tensor) -> Tensor:
        """Queries of image positions (N, dim): (heads, d, N)."""
        queries: Tensor = self.q_proj(x)
        return _by_rows(queries.T.contiguous(), self.heads)

    def image_values(self, x: Tensor) -> Tensor:
        """Values of image positions (N, dim): (heads, N, d)."""
        values: Tensor = self.v_proj(x)
        return _by_rows(values.T.contiguous(), self.heads).transpose(1, 2).contiguous()

    def read_shared(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Tokens read an image that all of them share.

        Args:
            tokens: (B, n, dim).
            keys: (heads, d, N) from :meth:`image_keys`.
            values: (heads, N, d) from :meth:`image_values`.

        Returns:
            (B, n, dim).
        """
        batch, count, _ = tokens.shape
        # Heads first: one product a head for all prompts, and the image is never repeated.
        q = self.split(self.q_proj(tokens) * self.scale).transpose(0, 1).flatten(1, 2)
        out = torch.bmm(torch.softmax(torch.bmm(q, keys), dim=-1), values)
        out = out.view(self.heads, batch, count, -1).permute(1, 2, 0, 3).flatten(2)
        merged: Tensor = self.out_proj(out)
        return merged

    def read_folded(self, tokens: Tensor, image: Tensor, position_keys: Tensor) -> Tensor:
        """Tokens read images of their own.

        Args:
            tokens: (B, n, dim).
            image: (B, N, dim), without positions.
            position_keys: (heads, d, N), :meth:`image_keys` of the positional encoding.

        Returns:
            (B, n, dim).
        """
        q = self.split(self.q_proj(tokens) * self.scale)
        folded = (q @ self._rows(self.k_proj)).flatten(1, 2)
        scores = torch.baddbmm(_by_head(q, position_keys), folded, image.transpose(1, 2))
        seen = torch.bmm(torch.softmax(scores, dim=-1), image)
        out = seen.view(*q.shape[:3], -1) @ self._rows(self.v_proj).transpose(1, 2)
        merged: Tensor = self.out_proj(out.transpose(1, 2).flatten(2) + self.v_proj.bias)
        return merged

    def write_shared(self, image: Tensor, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """An image that all prompts share reads each prompt's tokens, and adds what it read.

        Args:
            image: (N, dim) or (1, N, dim), what is added to.
            queries: (heads, d, N) from :meth:`image_queries`.
            keys: Tokens with their positions, (B, n, dim).
            values: Tokens, (B, n, dim).

        Returns:
            (B, N, dim).
        """
        k = self.split(self.k_proj(keys) * self.scale)
        return self._write(image, _by_head(k, queries), values)

    def write_folded(
        self, image: Tensor, position_queries: Tensor, keys: Tensor, values: Tensor
    ) -> Tensor:
        """As :meth:`write_shared` for images (B, N, dim) of their own, which are overwritten
        where no gradient needs them.

        ``position_queries`` are :meth:`image_queries` of the positional encoding alone.
        """
        k = self.split(self.k_proj(keys) * self.scale)
        folded = (k @ self._rows(self.q_proj)).flatten(1, 2)
        scores = torch.baddbmm(_by_head(k, position_queries), folded, image.transpose(1, 2))
        return self._write(image, scores, values, overwrite=True)

    def _write(
        self, image: Tensor, scores: Tensor, values: Tensor, overwrite: bool = False
    ) -> Tensor:
        """Softmax over each head's tokens of scores (B, heads * n, N), then values, then add."""
        batch, rows, positions = scores.shape
        weights = torch.softmax(scores.view(batch, self.heads, -1, positions), dim=2)
        v = self.split(self.v_proj(values))
        # Each head's weights sum to 1, so that the bias may be spread over the heads.
        out = v @ _by_rows(self.out_proj.weight.T, self.heads)
        out = (out + self.out_proj.bias / self.heads).flatten(1, 2)
        shares = weights.view(batch, rows, positions).transpose(1, 2)
        if overwrite and image.dtype == shares.dtype == out.dtype and not shares.requires_grad:
            return image.baddbmm_(shares, out)
        return torch.baddbmm(image.to(out.dtype), shares, out)


def _by_head(tokens: Tensor, image: Tensor) -> Tensor:
    """Products of tokens (B, heads, n, d) with (heads, d, N) for all prompts: (B, heads * n, N)."""
    batch, heads, count, _ = tokens.shape
    out = torch.bmm(tokens.transpose(0, 1).flatten(1, 2), image)
    out = out.view(heads, batch, count, -1).transpose(0, 1)
    return out.reshape(batch, heads * count, -1)


def _by_rows(x: Tensor, heads: int) -> Tensor:
    """(heads * d, n) as (heads, d, n)."""
    return x.reshape(heads, -1, x.shape[-1])
