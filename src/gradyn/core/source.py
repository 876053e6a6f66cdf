"""Where a formula or a number comes from, cited one way everywhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A publication: authors, year, title, arXiv id or venue, and the place in it."""

    authors: str
    year: int
    title: str
    arxiv: str | None = None
    venue: str | None = None
    where: str | None = None

    def __str__(self) -> str:
        place = f"arXiv:{self.arxiv}" if self.arxiv else self.venue
        tail = "".join(f", {part}" for part in (place, self.where) if part)
        return f"{self.authors} {self.year}, {self.title}{tail}"
