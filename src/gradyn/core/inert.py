"""Text that somebody else wrote, made fit for a terminal: whatever it is, it is shown and does nothing."""

from __future__ import annotations


def inert(text: object) -> str:
    r"""The text in one line, with every character that a terminal would obey (escape, carriage return, reversed writing) written out as `\x1b`."""
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in str(text))


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")
