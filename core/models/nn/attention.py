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
        """Tokens read images of their own; see :class:`Reading`.

        Args:
            tokens: (B, n, dim).
            image: (B, N, dim), without positions.
            position_keys: (heads, d, N), :meth:`image_keys` of the positional encoding.

        Returns:
            (B, n, dim).
        """
        reading = Reading(self, tokens, position_keys)
        reading.take(image, slice(None))
        return reading.result()

    def write_shared(self, queries: Tensor, keys: Tensor, values: Tensor) -> Writing:
        """What an image that all prompts share reads of each prompt's tokens.

        Args:
            queries: (heads, d, N) from :meth:`image_queries`.
            keys: Tokens with their positions, (B, n, dim).
            values: Tokens, (B, n, dim).
        """
        k = self.split(self.k_proj(keys) * self.scale)
        return Writing(k, queries, None, self._written(values))

    def write_folded(self, position_queries: Tensor, keys: Tensor, values: Tensor) -> Writing:
        """As :meth:`write_shared` for images of their own.

        ``position_queries`` are :meth:`image_queries` of the positional encoding alone.
        """
        k = self.split(self.k_proj(keys) * self.scale)
        folded = (k @ self._rows(self.q_proj)).flatten(1, 2)
        return Writing(k, position_queries, folded, self._written(values))

    def _written(self, values: Tensor) -> Tensor:
        """What each head adds for each token: (B, heads * n, dim)."""
        v = self.split(self.v_proj(values))
        # Each head's weights sum to 1, so that the bias may be spread over the heads.
        out = v @ _by_rows(self.out_proj.weight.T, self.heads)
        return (out + self.out_proj.bias / self.heads).flatten(1, 2)


class Reading:
    """Tokens (B, n, dim) that read images of their own, some positions after the other.

    The softmax goes along: what was summed is scaled anew when a larger score comes (Milakov and
    Gimelshein 2018, "Online normalizer calculation for softmax").
    """

    def __init__(self, attention: Attention, tokens: Tensor, position_keys: Tensor) -> None:
        self._attention = attention
        q = attention.split(attention.q_proj(tokens) * attention.scale)
        self._q, self._keys = q, position_keys
        self._folded = (q @ attention._rows(attention.k_proj)).flatten(1, 2)
        self._seen: Tensor | None = None
        self._top = self._sum = q.new_zeros(())

    def take(self, image: Tensor, part: slice) -> None:
        """Read the positions ``part``: (B, len(part), dim), without their positional encoding."""
        places = _by_head(self._q, self._keys[:, :, part])
        scores = torch.baddbmm(places, self._folded, image.transpose(1, 2))
        if image.shape[1] == self._keys.shape[2]:
            self._seen = torch.bmm(torch.softmax(scores, dim=-1), image)
            self._sum = self._seen.new_ones(())
            return
        wide = torch.promote_types(image.dtype, torch.float32)
        scores = scores.to(wide)
        top = scores.amax(dim=-1, keepdim=True)
        if self._seen is not None:
            top = torch.maximum(self._top, top)
        weights = scores.sub_(top).exp_()
        total = weights.sum(dim=-1, keepdim=True)
        seen = torch.bmm(weights.to(image.dtype), image).to(wide)
        if self._seen is not None:
            before = (self._top - top).exp_()
            seen.addcmul_(self._seen, before)
            total.addcmul_(self._sum, before)
        self._top, self._sum, self._seen = top, total, seen

    def result(self) -> Tensor:
        """What was read: (B, n, dim)."""
        assert self._seen is not None, "nothing was read yet"
        own = self._attention
        seen = (self._seen / self._sum).view(*self._q.shape[:3], -1)
        out = seen @ own._rows(own.v_proj).transpose(1, 2)
        merged: Tensor = own.out_proj(out.transpose(1, 2).flatten(2) + own.v_proj.bias)
        return merged


class Writing:
    """What images' positions read of each prompt's tokens, some positions after the other.

    Args:
        keys: (B, heads, n, d), of the tokens.
        queries: (heads, d, N), of the positional encoding, or of a shared image with it.
        folded: (B, heads * n, dim), for scores of images of their own; None: a shared image.
        values: (B, heads * n, dim), what each head adds for each token.
    """

    def __init__(
        self, keys: Tensor, queries: Tensor, folded: Tensor | None, values: Tensor
    ) -> None:
        self._keys = keys
        self._queries = queries
        self._folded = folded
        self.values = values

    def shares(self, image: Tensor, part: slice) -> Tensor:
        """Of each head's tokens in what the positions ``part`` read: (B, heads * n, len(part)).

        ``image`` is (B, len(part), dim), or (len(part), dim) where it is shared.
        """
        scores = _by_head(self._keys, self._queries[:, :, part])
        if self._folded is not None:
            scores = torch.baddbmm(scores, self._folded, image.transpose(1, 2))
        by_head = torch.unflatten(scores, 1, self._keys.shape[1:3])
        return torch.softmax(by_head, dim=2).flatten(1, 2)

    def add(self, image: Tensor, shares: Tensor) -> Tensor:
        """The image with what it read: (B, len(part), dim); images of their own are overwritten
        where no gradient needs them."""
        weights, values = shares.transpose(1, 2), self.values
        if self._folded is None:
            return torch.bmm(weights, values).add_(image)
        if image.dtype == weights.dtype == values.dtype and not weights.requires_grad:
            return image.baddbmm_(weights, values)
        return torch.baddbmm(image.to(values.dtype), weights, values)


def _by_head(tokens: Tensor, image: Tensor) -> Tensor:
    """Products of tokens (B, heads, n, d) with (heads, d, N) for all prompts: (B, heads * n, N)."""
    batch, heads, count, _ = tokens.shape
    out = torch.bmm(tokens.transpose(0, 1).flatten(1, 2), image)
    out = out.view(heads, batch, count, -1).transpose(0, 1)
    return out.reshape(batch, heads * count, -1)


def _by_rows(x: Tensor, heads: int) -> Tensor:
    """(heads * d, n) as (heads, d, n)."""
    return x.reshape(heads, -1, x.shape[-1])
