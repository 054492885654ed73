"""What a protobuf message would cost is found by walking over its bytes, before any library parses it."""

from __future__ import annotations

from typing import Any

from neurosleep.errors import ExchangeError

__all__ = ["MAX_DEPTH", "MAX_FIELDS", "check_message"]

# A parsed message takes some hundred bytes even where its own bytes are two, so their number bounds the memory.
# Networks of a thousand layers, with all that exporters note about each, stay below a tenth of it.
MAX_FIELDS = 1_000_000
MAX_DEPTH = 32


def check_message(content: bytes, descriptor: Any, name: str) -> None:
    """Refuse a message that is truncated or malformed, nested too deeply or made of too many parts.

    Reads only the lengths, so that large weights cost nothing; needs time and memory for at most :data:`MAX_FIELDS`
    fields and :data:`MAX_DEPTH` levels.

    Parameters
    ----------
    content:
        The bytes of the message.
    descriptor:
        Its type as protobuf describes it.
    name:
        What errors call it.

    Raises
    ------
    ExchangeError
        As said above.
    """
    left = [MAX_FIELDS]
    _walk(memoryview(content), 0, len(content), descriptor, name, 1, left)


def _walk(content: memoryview, at: int, end: int, kind: Any, name: str, depth: int, left: list[int]) -> None:
    if depth > MAX_DEPTH:
        raise ExchangeError(
            f"{name} is nested more than {MAX_DEPTH} levels deep.", expected="a plain graph of layers without subgraphs"
        )
    fields = kind.fields_by_number
    while at < end:
        left[0] -= 1
        if left[0] < 0:
            raise ExchangeError(f"{name} is made of more than {MAX_FIELDS} parts.", expected="a network of layers")
        tag, at = _varint(content, at, end, name)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise _damaged(name)
        if wire == 0:
            _, at = _varint(content, at, end, name)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        elif wire == 2:
            length, at = _varint(content, at, end, name)
            if length > end - at:
                raise _damaged(name)
            field = fields.get(number)
            if field is not None and field.message_type is not None:
                _walk(content, at, at + length, field.message_type, name, depth + 1, left)
            elif field is not None and field.type == field.TYPE_STRING:
                try:  # text that is none comes out of the library as bytes, where every reader expects text
                    str(content[at : at + length], "utf-8")
                except UnicodeDecodeError as error:
                    raise _damaged(name) from error
            at += length
        else:
            # Groups (3 and 4) are a form that no network's file uses.
            raise _damaged(name)
    if at != end:
        raise _damaged(name)


def _varint(content: memoryview, at: int, end: int, name: str) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _damaged(name)


def _damaged(name: str) -> ExchangeError:
    return ExchangeError(
        f"{name} is damaged or truncated.", expected="a whole protobuf message", hint="write or copy the file again"
    )
