"""A page as its parser sees it: elements with the names of their attributes, headings, text."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br"}


class Parsed(HTMLParser):
    """`shape`: every element in order, with its attributes' names; `text`: what is read.

    `unbalanced` counts end tags that close nothing, and elements that nobody closed.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[tuple[str, ...]] = []
        self.values: list[tuple[str, str, str]] = []
        self.headings: list[str] = []
        self.unbalanced = 0
        self._open: list[str] = []
        self._parts: list[str] = []
        self._cells: list[str] = []
        self.feed(page)
        self.close()
        self.unbalanced += len(self._open)

    @property
    def text(self) -> str:
        """Everything that is read, without styles."""
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.shape.append((tag, *(name for name, _ in attrs)))
        self.values += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)
        if tag in ("h1", "h2", "h3", "title", "th"):
            self.headings.append(f"{tag}: ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One that has no content, such as a rectangle of a drawing."""
        self.shape.append((tag, *(name for name, _ in attrs)))
        self.values += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """It ends."""
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.unbalanced += 1

    def handle_data(self, data: str) -> None:
        """Text."""
        if "style" in self._open:
            return
        self._parts.append(data)
        if self._open and self._open[-1] in ("h1", "h2", "h3", "title", "th"):
            self.headings[-1] += " ".join(data.split())


def outline(page: str) -> list[str]:
    """The headings of the page and of its tables, in order; what charts call themselves too."""
    return [line.strip() for line in Parsed(page).headings]
