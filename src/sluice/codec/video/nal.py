"""NAL units of H.264 and HEVC: how packets and decoder configurations are made of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sluice.errors import UnreadableError

H264_IDR, H264_SPS, H264_PPS = 5, 7, 8
HEVC_ENTRIES = frozenset(range(16, 22))
"""NAL unit types of pictures at which decoding can begin (BLA, IDR, CRA): ITU-T H.265, table 7-1."""
HEVC_CRA = 21
HEVC_SETS = (32, 33, 34)
"""Video, sequence and picture parameter sets."""
HEVC_END_OF_SEQUENCE = bytes([36 << 1, 1])
"""After it, a clean random access picture begins anew, as an instantaneous refresh does (H.265, 8.1.3)."""

_HIGH_PROFILES = frozenset({100, 110, 122, 144, 244})


def annex_b_units(data: bytes) -> list[bytes]:
    """The NAL units between start codes (H.264 and H.265, annex B)."""
    units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]
    return [unit for unit in units if unit]


def prefixed_units(data: bytes, length_size: int) -> Iterator[bytes]:
    """The NAL units of a packet in which each has its length before it."""
    at = 0
    while at + length_size <= len(data):
        size = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        yield data[at : at + size]
        at += size


def prefixed(units: Iterable[bytes], length_size: int) -> bytes:
    """A packet in which each NAL unit has its length before it."""
    return b"".join(part for unit in units for part in (len(unit).to_bytes(length_size, "big"), unit))


def h264_type(unit: bytes) -> int:
    """The type of an H.264 NAL unit."""
    return unit[0] & 0x1F


def hevc_type(unit: bytes) -> int:
    """The type of an HEVC NAL unit."""
    return unit[0] >> 1 & 0x3F


@dataclass(frozen=True, slots=True)
class H264Config:
    """A decoder configuration of H.264 (`avcC`, ISO/IEC 14496-15, 5.3.3)."""

    profile: bytes
    """Profile, constraints and level, a byte each."""
    length_size: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    more: bytes = b""

    @classmethod
    def parse(cls, extradata: bytes) -> H264Config:
        """From `avcC`, or from parameter sets between start codes. `UnreadableError` where it is neither."""
        try:
            if extradata[:1] != b"\1":
                units = annex_b_units(extradata)
                sps = tuple(u for u in units if h264_type(u) == H264_SPS)
                pps = tuple(u for u in units if h264_type(u) == H264_PPS)
                return cls(sps[0][1:4], 4, sps, pps)
            return cls._of_box(extradata)
        except (IndexError, struct.error) as error:
            raise UnreadableError("corrupt", "no decoder configuration of H.264") from error

    @classmethod
    def _of_box(cls, data: bytes) -> H264Config:
        at = 5
        sets: list[tuple[bytes, ...]] = []
        for mask in (0x1F, 0xFF):
            count, at = data[at] & mask, at + 1
            found = []
            for _ in range(count):
                (size,) = struct.unpack_from(">H", data, at)
                found.append(data[at + 2 : at + 2 + size])
                at += 2 + size
            sets.append(tuple(found))
        return cls(data[1:4], (data[4] & 3) + 1, sets[0], sets[1], data[at:])

    def joined(self, encoder: H264Config) -> H264Config:
        """With another's parameter sets beside its own; the level is the higher one."""
        level = max(self.profile[2], encoder.profile[2])
        more = self.more
        if not more and self.profile[0] in _HIGH_PROFILES:
            more = encoder.more
        profile = self.profile[:2] + bytes([level])
        return replace(
            self, profile=profile, sps=self.sps + encoder.sps, pps=self.pps + encoder.pps, more=more
        )

    def box(self) -> bytes:
        """As `avcC`."""
        parts = [b"\1", self.profile, bytes([0xFC | self.length_size - 1, 0xE0 | len(self.sps)])]
        parts += [struct.pack(">H", len(s)) + s for s in self.sps]
        parts.append(bytes([len(self.pps)]))
        parts += [struct.pack(">H", len(p)) + p for p in self.pps]
        return b"".join((*parts, self.more))

    def free_id(self) -> int:
        """The greatest id that none of the parameter sets has."""
        taken = {h264_set_id(unit) for unit in (*self.sps, *self.pps)}
        return next(n for n in range(31, -1, -1) if n not in taken)


def h264_set_id(unit: bytes) -> int:
    """The id of a sequence or picture parameter set (H.264, 7.3.2.1.1 and 7.3.2.2)."""
    body = unit.replace(b"\0\0\3", b"\0\0")[4 if h264_type(unit) == H264_SPS else 1 :]
    bits = "".join(f"{byte:08b}" for byte in body[:8])
    zeros = len(bits) - len(bits.lstrip("0"))
    if 2 * zeros + 1 > len(bits):
        raise UnreadableError("corrupt", "a parameter set without an id")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1


@dataclass(frozen=True, slots=True)
class HevcConfig:
    """A decoder configuration of HEVC (`hvcC`, ISO/IEC 14496-15, 8.3.3)."""

    length_size: int
    sets: tuple[bytes, ...]
    """Video, sequence and picture parameter sets, in order."""
    head: bytes

    @classmethod
    def parse(cls, extradata: bytes, chroma: int, bit_depth: int) -> HevcConfig:
        """From `hvcC`, or from parameter sets between start codes, which need `chroma` (4:2:0 is 1) and bit depth.

        `UnreadableError` where it is neither.
        """
        try:
            if extradata[:1] != b"\1":
                return cls._of_sets(annex_b_units(extradata), chroma, bit_depth)
            at, found = 23, []
            for _ in range(extradata[22]):
                kind = extradata[at] & 0x3F
                (count,) = struct.unpack_from(">H", extradata, at + 1)
                at += 3
                for _ in range(count):
                    (size,) = struct.unpack_from(">H", extradata, at)
                    if kind in HEVC_SETS:
                        found.append(extradata[at + 2 : at + 2 + size])
                    at += 2 + size
            return cls((extradata[21] & 3) + 1, tuple(found), extradata[:22])
        except (IndexError, struct.error) as error:
            raise UnreadableError("corrupt", "no decoder configuration of HEVC") from error

    @classmethod
    def _of_sets(cls, units: list[bytes], chroma: int, bit_depth: int) -> HevcConfig:
        sets = tuple(u for u in units if hevc_type(u) in HEVC_SETS)
        sps = next((u for u in sets if hevc_type(u) == 33), b"").replace(b"\0\0\3", b"\0\0")
        if len(sps) < 15:
            raise UnreadableError("corrupt", "no decoder configuration of HEVC")
        layers, nested = (sps[2] >> 1 & 7) + 1, sps[2] & 1
        depth = bit_depth - 8
        # Profile, tier and level are the 12 bytes that follow; what is not known of the rest is 0.
        known = bytes(
            [0xF0, 0, 0xFC, 0xFC | chroma, 0xF8 | depth, 0xF8 | depth, 0, 0, layers << 3 | nested << 2 | 3]
        )
        return cls(4, sets, b"\1" + sps[3:15] + known)

    def box(self) -> bytes:
        """As `hvcC` of a track (`hev1`) whose samples may bring parameter sets of their own."""
        kinds = [kind for kind in HEVC_SETS if any(hevc_type(s) == kind for s in self.sets)]
        parts = [self.head, bytes([len(kinds)])]
        for kind in kinds:
            of_kind = [s for s in self.sets if hevc_type(s) == kind]
            parts.append(struct.pack(">BH", kind, len(of_kind)))
            parts += [struct.pack(">H", len(s)) + s for s in of_kind]
        return b"".join(parts)
