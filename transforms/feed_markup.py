"""What feedparser would misread or take for ever with, put right before it reads a feed.

Markup of an RSS, RDF or Atom document, decoded → markup that says the same:

- ampersands that begin no reference are escaped, and HTML's named characters written out;
- text about authors is bounded and without e-mail addresses, which feedparser looks for in a time
  that grows with the square of the text, and knows only in part;
- a guid that is no address is said to be none;
- elements that are named like feedparser's own data get another name;
- Dublin Core's ``date`` is told apart from Atom's ``updated``, and the caption of a picture (Media
  RSS ``description``) from the text of the item, which feedparser does not do.
"""

from __future__ import annotations

import html
import re

from transforms.parsed_feeds import with_escaped_ampersands

ISSUED_KEY = "dc_issued"
"""Under which feedparser then keeps Dublin Core's ``date``."""
CAPTION_KEY = "media_caption"
"""Under which feedparser then keeps the ``description`` of Media RSS, as text."""

_MAX_AUTHOR_CHARS = 1_000
_MAX_AUTHORS_CHARS = 1_000_000
_MAX_ENTITY_CHARS = 20
_MAX_PREFIXES = 10
_ENTITY = re.compile(r"<!ENTITY\s+([\w.\-]{1,61})\s(?:\s*(?:\"([^\"]*)\"|'([^']*)'))?")
_PREFIX = r"(?:[A-Za-z_][\w.\-]{0,40}:)?"
_ATTRIBUTES = r"""(?:[^<>"']|"[^"<]*"|'[^'<]*')*+"""
# An element that closes nothing else of these: an item ends what its author left open.
_AUTHOR_PARTS = re.compile(
    rf"<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|</?{_PREFIX}(?P<item>item|entry)\b"
    rf"{_ATTRIBUTES}>|<(?P<end>/?)(?P<name>{_PREFIX}(?:(?P<author>author|creator|managingeditor"
    rf"|webmaster|publisher|owner)|name|email|ur[il]|homepage))(?=[\s/>]){_ATTRIBUTES}>",
    re.DOTALL | re.IGNORECASE,
)
_ANY_TAG = re.compile(r"<[^<>]*>?")
_AT_SIGN = re.compile(r"&#(?:0*64|[xX]0*40);")
_ADDRESS = re.compile(r"(?:mailto:)?[\w.+\-]{1,100}@[\w\-]{1,100}(?:\.[\w\-]{1,100})*")
_CUT_REFERENCE = re.compile(r"&[^;\s]{0,70}\Z")
_REFERENCE = re.compile(r"&([\w.\-]{1,61});")
_OWN_KEY = re.compile(
    rf"(</?{_PREFIX})[A-Za-z](uthors|ontributors|inks|nclosures|here|uidislink|edia_\w{{1,40}}"
    r"|sc_chapter\w{0,9}|\w{1,40}[_:](?:detail|parsed))(?=[\s/>])",
    re.IGNORECASE,
)
# What is no address: without this, feedparser makes one of it, and takes it for the item's link.
_NO_LINK = re.compile(
    rf"<({_PREFIX}(?:guid|id))(?=[\s>])({_ATTRIBUTES})(?<!/)>"
    r"(?=\s*+(?:<!\[CDATA\[\s*+)?+(?!https?://)[^\s<])",
    re.IGNORECASE,
)
_PERMALINK = re.compile(r"""\sispermalink\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"']+)""", re.IGNORECASE)
_DUBLIN_CORE = r"http://purl\.org/dc/elements/1\.1/"
_MEDIA_RSS = r"http://search\.yahoo\.com/mrss/?"


def repaired(markup: str) -> str:
    """Markup of a feed that feedparser reads as it is meant, in a time in line with its length."""
    entities = {name: one or other for name, one, other in _ENTITY.findall(markup)}
    markup = with_escaped_ampersands(markup, entities, has_html_names=True)
    markup = _Authors(entities).shortened(markup)
    markup = _OWN_KEY.sub(r"\1_\2", markup)
    markup = _NO_LINK.sub(_stated_as_none, markup)
    markup = _renamed(markup, "dc", _DUBLIN_CORE, "date", "issued")
    return _renamed(markup, "media", _MEDIA_RSS, "description", "caption")


def _stated_as_none(match: re.Match[str]) -> str:
    return f'<{match[1]}{_PERMALINK.sub("", match[2])} isPermaLink="false">'


def _renamed(markup: str, prefix: str, namespace: str, name: str, new_name: str) -> str:
    """With another name for an element, and without its attributes, which would cost its text."""
    declared = re.findall(rf"""xmlns:([\w.\-]{{1,40}})\s*=\s*["']{namespace}["']""", markup)
    several = sorted({prefix, *declared[:_MAX_PREFIXES]})
    prefixes = "|".join(re.escape(one) for one in several)
    tags = re.compile(rf"<(/?)({prefixes}):{name}(?=[\s/>]){_ATTRIBUTES}>", re.IGNORECASE)

    def tag(match: re.Match[str]) -> str:
        is_empty = match[0].endswith("/>")
        return f"<{match[1]}{match[2]}:{new_name}{'/' if is_empty else ''}>"

    return tags.sub(tag, markup)


class _Authors:
    """Rewrites what a feed says of authors and publishers: short, balanced, without addresses."""

    def __init__(self, entities: dict[str, str]) -> None:
        self._long_entities = {
            name
            for name, value in entities.items()
            if len(value) > _MAX_ENTITY_CHARS or "&" in value
        }
        self._open: list[str] = []
        self._left = 0
        self._left_of_all = _MAX_AUTHORS_CHARS

    def shortened(self, markup: str) -> str:
        """The markup of a feed; all that is not about authors as it was."""
        pieces = []
        at = 0
        for match in _AUTHOR_PARTS.finditer(markup):
            between = markup[at : match.start()]
            at = match.end()
            pieces.append(self._text(_ANY_TAG.sub("", between)) if self._open else between)
            pieces.append(self._part(match) if self._open else self._first(match))
        rest = markup[at:]
        pieces.append(self._text(_ANY_TAG.sub("", rest)) if self._open else rest)
        return "".join(pieces)

    def _first(self, match: re.Match[str]) -> str:
        """What stands outside of any author, and may begin one."""
        if match["author"] and not match["end"] and not match[0].endswith("/>"):
            self._open.append(match["name"])
            self._left = min(_MAX_AUTHOR_CHARS, self._left_of_all)
        return match[0]

    def _part(self, match: re.Match[str]) -> str:
        """What stands inside of one."""
        if match["item"]:
            return f"{self._closed(len(self._open))}{match[0]}"
        if match["cdata"] is not None:
            return self._text(html.escape(match["cdata"], quote=False))
        if not match["name"]:  # a comment
            return ""
        if not match["end"]:
            if not match[0].endswith("/>"):
                self._open.append(match["name"])
            return match[0]
        names = [name.lower() for name in reversed(self._open)]
        name = match["name"].lower()
        return self._closed(names.index(name) + 1) if name in names else ""

    def _closed(self, count: int) -> str:
        return "".join(f"</{self._open.pop()}>" for _ in range(count))

    def _text(self, text: str) -> str:
        is_cut = len(text) > self._left
        short = text[: self._left]
        if is_cut:
            short = _CUT_REFERENCE.sub("", short)
        self._left -= len(short)
        self._left_of_all -= len(short)
        short = _ADDRESS.sub("", _AT_SIGN.sub("@", short))
        return _REFERENCE.sub(
            lambda match: "" if match[1] in self._long_entities else match[0], short
        )
