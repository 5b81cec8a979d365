"""Reads nested values, which travel as MessagePack."""

import struct
from typing import Any

from .values import Decimal, Table, Timestamp

_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}


def decode(data: bytes) -> Any:
    """The value that the bytes say."""
    return _Reader(data).value()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        start, self.at = self.at, self.at + length
        return self.data[start : self.at]

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length))

    def value(self) -> Any:
        tag = self.number(1)
        if tag < 0x80:
            return tag
        if tag < 0x90:
            return self.table(tag & 15)
        if tag < 0xA0:
            return self.array(tag & 15)
        if tag < 0xC0:
            return self.take(tag & 31).decode()
        if tag >= 0xE0:
            return tag - 256
        if tag in _NUMBERS:
            form = _NUMBERS[tag]
            return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        match tag:
            case 0xC0:
                return None
            case 0xC2 | 0xC3:
                return tag == 0xC3
            case 0xC4 | 0xC5 | 0xC6:
                return self.take(self.number(1 << (tag - 0xC4)))
            case 0xC7 | 0xC8 | 0xC9:
                return self.extension(self.number(1 << (tag - 0xC7)))
            case 0xD4 | 0xD5 | 0xD6 | 0xD7 | 0xD8:
                return self.extension(1 << (tag - 0xD4))
            case 0xD9 | 0xDA | 0xDB:
                return self.take(self.number(1 << (tag - 0xD9))).decode()
            case 0xDC | 0xDD:
                return self.array(self.number(2 << (tag - 0xDC)))
            case 0xDE | 0xDF:
                return self.table(self.number(2 << (tag - 0xDE)))
        raise ValueError(f"{tag:#x} begins no value")

    def array(self, length: int) -> list[Any]:
        return [self.value() for _ in range(length)]

    def table(self, length: int) -> Table:
        return Table((self.value(), self.value()) for _ in range(length))

    def extension(self, length: int) -> Any:
        kind, data = self.number(1), self.take(length)
        if kind == 0xFF:
            seconds = data if length == 4 else data[-8:]
            number = int.from_bytes(seconds, signed=length == 12)
            return Timestamp(number & 0x3FFFFFFFF if length == 8 else number)
        if kind == 1 and length == 5:
            return Decimal(data[0], int.from_bytes(data[1:], signed=True))
        raise ValueError(f"there is no extension {kind}")
