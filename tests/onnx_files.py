"""Tiny ONNX models, written as bytes by hand, since no library that exports them need be there.

The format is Protocol Buffers; field numbers are those of onnx.proto3 (IR version 8, operator set 13).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

FLOAT, UINT8, INT64, FLOAT16 = 1, 2, 7, 10
"""Element types, as TensorProto numbers them."""

Shape = Sequence[int | str]
"""Sides; one that may vary is a name."""


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def _bytes(tag: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(tag << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: int | float | list[int]) -> bytes:
    if isinstance(value, float):
        return _bytes(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return _bytes(1, name) + _number(3, value) + _number(20, 2)
    return _bytes(1, name) + b"".join(_number(8, each) for each in value) + _number(20, 7)


def _value(name: str, kind: int, shape: Shape) -> bytes:
    sides = (_bytes(2, side) if isinstance(side, str) else _number(1, side) for side in shape)
    shaped = b"".join(_bytes(1, side) for side in sides)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shaped)))


@dataclass
class Graph:
    """A model under construction: inputs and outputs by name with type and shape, nodes in order."""

    inputs: dict[str, tuple[int, Shape]]
    outputs: dict[str, tuple[int, Shape]]
    _nodes: list[bytes] = field(default_factory=list)
    _constants: list[bytes] = field(default_factory=list)

    def node(self, op: str, inputs: str, output: str, **attributes: int | float | list[int]) -> Graph:
        """Add an operation on inputs named in one string, with blanks between."""
        data = b"".join(_bytes(1, name) for name in inputs.split()) + _bytes(2, output) + _bytes(4, op)
        data += b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items())
        self._nodes.append(data)
        return self

    def constant(self, name: str, values: object, dtype: type = np.float32) -> Graph:
        """Add a constant of single precision, or of `np.int64`."""
        array = np.asarray(values, dtype)
        kind = FLOAT if dtype is np.float32 else INT64
        dims = b"".join(_number(1, side) for side in array.shape)
        self._constants.append(dims + _number(2, kind) + _bytes(8, name) + _bytes(9, array.tobytes()))
        return self

    def save(self, path: Path) -> str:
        """Write the model; the path as a recipe names it."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _bytes(2, "graph")
        graph += b"".join(_bytes(5, constant) for constant in self._constants)
        graph += b"".join(_bytes(11, _value(name, *of)) for name, of in self.inputs.items())
        graph += b"".join(_bytes(12, _value(name, *of)) for name, of in self.outputs.items())
        path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13)))
        return str(path)


def mean_classifier(path: Path, *, layout: str = "nchw", side: int | str = 8, gain: float = 1.0) -> str:
    """Three classes whose scores are the means of the three channels of what it sees, times `gain`."""
    shape: Shape = ["n", 3, side, side] if layout == "nchw" else ["n", side, side, 3]
    graph = Graph({"pixels": (FLOAT, shape)}, {"scores": (FLOAT, ["n", 3])})
    axes = [2, 3] if layout == "nchw" else [1, 2]
    graph.node("ReduceMean", "pixels", "means", axes=axes, keepdims=0)
    return graph.constant("gain", [gain]).node("Mul", "means gain", "scores").save(path)


def bright_faces(path: Path) -> str:
    """A face detector that sees one face, in the middle half, and is the surer the brighter the picture is."""
    graph = Graph(
        {"input": (FLOAT, [1, 3, 24, 32])}, {"scores": (FLOAT, [1, 1, 2]), "boxes": (FLOAT, [1, 1, 4])}
    )
    graph.node("ReduceMean", "input", "mean", axes=[2, 3], keepdims=0).constant("one", [1.0])
    graph.node("ReduceMean", "mean", "flat", axes=[1], keepdims=1).constant("first", [0], np.int64)
    graph.node("Unsqueeze", "flat first", "level").node("Sigmoid", "level", "face")
    graph.node("Sub", "one face", "none").node("Concat", "none face", "scores", axis=2)
    graph.constant("box", [[[0.25, 0.25, 0.75, 0.75]]]).node("Identity", "box", "boxes")
    return graph.save(path)


def bright_text(path: Path) -> str:
    """A text detector (DBNet's layout) that takes bright pixels for text."""
    graph = Graph({"x": (FLOAT, ["n", 3, "h", "w"])}, {"map": (FLOAT, ["n", 1, "h", "w"])})
    graph.node("ReduceMean", "x", "light", axes=[1], keepdims=1).constant("steep", [8.0])
    return graph.node("Mul", "light steep", "score").node("Sigmoid", "score", "map").save(path)


def column_reader(path: Path, characters: int = 3) -> str:
    """A text recogniser (CTC) that tells the strongest of three channels in each column of pixels."""
    graph = Graph({"x": (FLOAT, ["n", 3, 48, "w"])}, {"y": (FLOAT, ["n", "w", characters])})
    graph.node("ReduceMean", "x", "columns", axes=[2], keepdims=0).constant("steep", [20.0])
    graph.node("Transpose", "columns", "steps", perm=[0, 2, 1]).node("Mul", "steps steep", "scores")
    return graph.node("Softmax", "scores", "y", axis=2).save(path)
