"""What a site's robots.txt lets newsbeam fetch (RFC 9309), and how slowly.

The bytes of a robots.txt → rules, which are then asked about URLs. Read with Protego. The group
that counts is the one that names ``newsbeam`` and, where none does, the one for ``*``: a group for
``news`` is for somebody else, though ``newsbeam`` begins with it (RFC 9309, 2.2.1).

    >>> rules = parse_robots(b"User-agent: *\\nDisallow: /private/\\nCrawl-delay: 2")
    >>> rules.allows("https://news.example/story"), rules.allows("https://news.example/private/")
    (True, False)
    >>> rules.crawl_delay_seconds
    2.0
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protego import Protego

PRODUCT_TOKEN = "newsbeam"
"""What a robots.txt calls this program."""
MAX_ROBOTS_BYTES = 500 * 1024
"""How much of a robots.txt is read; RFC 9309, 2.5, asks for at least so much."""
MAX_ROBOTS_REDIRECTS = 5
"""How many redirects lead to one; RFC 9309, 2.3.1.2, asks for at least so many."""
_OWN_GROUP = re.compile(
    rf"^([ \t]*user-?agent[ \t]*:[ \t]*)({PRODUCT_TOKEN})(?![a-z_-])[^\r\n]*",
    re.IGNORECASE | re.MULTILINE,
)
_EVERYBODY = "*"


@dataclass(frozen=True)
class RobotsRules:
    """What one robots.txt says to newsbeam."""

    crawl_delay_seconds: float
    """How far apart requests should be; 0 where it does not say."""
    _parser: Protego
    _agent: str

    def allows(self, url: str) -> bool:
        """Whether it lets a URL of its site be fetched."""
        return bool(self._parser.can_fetch(url, self._agent))


def parse_robots(content: bytes) -> RobotsRules:
    """Read a robots.txt, or what is served for one: what is no rule in it is passed over.

    Args:
        content: decompressed; what is beyond ``MAX_ROBOTS_BYTES`` is not looked at.
    """
    text = content[:MAX_ROBOTS_BYTES].decode("utf-8-sig", "replace")
    # A version after the name, as in ``newsbeam/2``, is no part of it.
    text, own_groups = _OWN_GROUP.subn(r"\1\2", text)
    parser = Protego.parse(text)
    agent = PRODUCT_TOKEN if own_groups else _EVERYBODY
    return RobotsRules(parser.crawl_delay(agent) or 0.0, parser, agent)


ALLOW_ALL = parse_robots(b"")
"""The rules of a site that has no robots.txt."""
