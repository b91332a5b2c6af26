# SPDX-License-Identifier: GPL-2.0-or-later
"""The parameters of all jobs, and the worker's messages, as JSON.

Standard library and Python 3.9 only: QGIS runs a copy of this package in its own Python
(``make sync``), and it is the only part of the engine that QGIS ever imports. ``docs/protocol.md``
describes the methods.
"""

from .classes import ClassifyParameters, MapParameters
from .fields import Json, MessageError, option, with_knobs
from .labels import ExportLabelsParameters, ImportLabelsParameters
from .layers import (
    EvaluateParameters,
    RegularizeParameters,
    TrackParameters,
    TrainParameters,
    UpdateParameters,
)
from .messages import (
    MAX_LINE,
    PROTOCOL_VERSION,
    Failure,
    Heartbeat,
    Hello,
    Log,
    Message,
    Progress,
    Request,
    Result,
    decode,
    encode,
)
from .segment import SegmentParameters
from .session import (
    CollectClassesParameters,
    CollectionParameters,
    CollectParameters,
    EncodeParameters,
    LookParameters,
    OpenParameters,
    Prompt,
    PromptParameters,
    RefineParameters,
)

__all__ = [
    "MAX_LINE",
    "PROTOCOL_VERSION",
    "ClassifyParameters",
    "CollectClassesParameters",
    "CollectParameters",
    "CollectionParameters",
    "EncodeParameters",
    "EvaluateParameters",
    "ExportLabelsParameters",
    "Failure",
    "Heartbeat",
    "Hello",
    "ImportLabelsParameters",
    "Json",
    "Log",
    "LookParameters",
    "MapParameters",
    "Message",
    "MessageError",
    "OpenParameters",
    "Progress",
    "Prompt",
    "PromptParameters",
    "RefineParameters",
    "RegularizeParameters",
    "Request",
    "Result",
    "SegmentParameters",
    "TrackParameters",
    "TrainParameters",
    "UpdateParameters",
    "decode",
    "encode",
    "option",
    "with_knobs",
]
