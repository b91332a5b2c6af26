# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses without their secrets, for messages, attributes and job folders.

A signed address carries the right to read a file in its query (Azure's ``sig``, Amazon's
``X-Amz-Signature``, tokens) or before its host (``user:password@``). Neither is ever stored or
shown. Which parts of a query are secret cannot be known, so that all of it is left out.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlencode

_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'<>|]+", re.IGNORECASE)
_VSICURL = re.compile(r"/vsicurl\?[^\s\"'<>|]+", re.IGNORECASE)
_QUERY = re.compile(r"\?[\w.~%$-]+=[^\s\"'<>|]*")
_NAMED = re.compile(
    r"\b(?P<name>(?:[\w-]*(?:password|passwd|secret|signature|token|api_?key|access_?key)[\w-]*"
    r"|pwd|sig|userpwd|authorization))(?P<is>=|>|: (?=basic |bearer ))"
    r"(?P<value>(?:basic |bearer )?[^\s\"'<>&;,]+)",
    re.IGNORECASE,
)

_SIGNING = re.compile(
    r"(x-amz-|x-goog-|x-ms-).*|(sig|signature|se|st|sp|sv|sr|spr|sip|ss|srt|sks|skt|ske|skoid|sktid"
    r"|skv|saoid|suoid|scid|sdd|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid|.*token.*"
    r"|.*secret.*|.*password.*|api_?key|subscription-key|auth|authorization|userpwd)",
    re.IGNORECASE,
)
"""Parameters of a query that sign an address, and change with every signature."""


def without_secrets(text: str) -> str:
    """A text, or an address, without the secrets of the addresses in it.

    >>> without_secrets("no file https://me:word@host/town.tif?sig=abc there")
    'no file https://host/town.tif there'
    """
    if not any(mark in text for mark in "?@=:>"):
        return text
    text = _VSICURL.sub(lambda found: _of_vsicurl(found.group()), text)
    text = _URL.sub(lambda found: _of_url(found.group()), text)
    text = _QUERY.sub("", text)
    return _NAMED.sub(lambda found: f"{found['name']}{found['is']}...", text)


def _of_url(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    end = min((rest.find(mark) for mark in "?#" if mark in rest), default=len(rest))
    path, tail = rest[:end], rest[end:]
    host, slash, path = path.partition("/")
    host = host.rpartition("@")[2]
    # A sentence's own punctuation may follow.
    closing = re.search(r"[):.,;]*$", tail)
    return f"{scheme}{slashes}{host}{slash}{path}{closing.group() if closing else ''}"


def _of_vsicurl(text: str) -> str:
    """GDAL's /vsicurl?option=value&url=... with the address in it alone."""
    for name, value in parse_qsl(text.partition("?")[2]):
        if name.lower() == "url":
            return f"/vsicurl/{_of_url(unquote(value)) if ':' in value else value}"
    return "/vsicurl"


def without_signature(address: str) -> str:
    """What tells a file from others: its address without what only signs it.

    A new signature for the same file is the same file; another query may be another.
    """
    head, mark, query = address.partition("?")
    if not mark or not ("://" in address or head.startswith("/vsi")):
        return without_secrets(address)
    kept = [
        (name, without_signature(value))
        for name, value in parse_qsl(query, keep_blank_values=True)
        if not _SIGNING.fullmatch(name)
    ]
    return without_secrets(head) + (f"?{urlencode(kept)}" if kept else "")
