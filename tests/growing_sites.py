"""News sites on loopback whose feeds grow by a script, state by state, the same each time.

::

    with WebServer() as server:
        sites = GrowingSites(server)
        for state in STATES:
            state(sites)
            ...                          # poll sites.feed_urls

The states have what a stream meets in the wild: new items, items with their whole text, a text
that another site copies, a text that is changed, items that come late (dated days before), pages
that are gone or hold no article, feeds that are malformed or down for a while, withdrawn items.
What copies another text comes in a later state than that text: of two that are met at once either
may be the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from feed_site import FeedSite, Item, story_page
from source_factory import make_story
from web_server import WebServer

_EMPTY = '<?xml version="1.0"?><rss version="2.0"><channel><title>Odd</title></channel></rss>'
_MALFORMED = (
    '<?xml version="1.0"?><rss version="2.0"><channel><title>Odd & Sons</title>'
    "<item><title>Unclosed & unescaped</title><link>{link}</link><guid>odd-1</guid>"
    "<pubDate>Thu, 19 Nov 2026 08:00:00 GMT</pubDate><item></channel>"
)


@dataclass
class GrowingSites:
    """Two sites with feeds of their own, and one whose feed is odd."""

    server: WebServer
    north: FeedSite = field(init=False)
    south: FeedSite = field(init=False)

    def __post_init__(self) -> None:
        self.north = FeedSite(self.server, "/north")
        self.south = FeedSite(self.server, "/south")
        self.start()

    def start(self) -> None:
        """All sites as they are before the first state."""
        self.north.items.clear()
        self.south.items.clear()
        self.north.refresh()
        self.south.refresh()
        self.server.set(self.odd_path, _EMPTY, content_type="application/rss+xml")

    odd_path = "/odd/feed.xml"

    @property
    def feed_urls(self) -> list[str]:
        return [self.north.feed_url, self.south.feed_url, self.server.url(self.odd_path)]


def first_items(sites: GrowingSites) -> None:
    """Both sites have some items; the odd feed has none."""
    sites.north.publish(1, 2, 3, 4)
    sites.south.publish(11, 12)


def new_and_copied(sites: GrowingSites) -> None:
    """New items; a text of the one site on the other; one with its whole text in the feed."""
    sites.north.publish(5, 6)
    copied = make_story(1)
    sites.server.set(sites.south.page_path(21), story_page(copied))
    sites.south.items[21] = Item(copied)
    sites.south.publish(13, has_text=True)


def changed_and_malformed(sites: GrowingSites) -> None:
    """A text is changed; the odd feed has an item, in what is no well-formed XML."""
    sites.north.change(2, updated="2026-11-20T12:30:00Z")
    sites.server.set("/odd/1", story_page(make_story(31)))
    sites.server.set(
        sites.odd_path,
        _MALFORMED.format(link=sites.server.url("/odd/1")),
        content_type="application/rss+xml",
    )


def late_and_broken(sites: GrowingSites) -> None:
    """An item of days ago; a page that is gone for good, one with no article; a feed is down.

    It stays down: when a feed that failed is asked again depends on the clock.
    """
    sites.server.set(sites.odd_path, "down", status=500)
    sites.north.publish(7, 8, 9)
    sites.north.items[7].published = "Mon, 09 Nov 2026 06:00:00 GMT"
    sites.server.set(sites.north.page_path(8), status=410)
    sites.server.set(sites.north.page_path(9), "<html><title>Nine</title><p>Nothing.</p></html>")
    sites.north.refresh()


def withdrawn_and_new(sites: GrowingSites) -> None:
    """An item is taken out of the feed, and others come."""
    sites.north.withdraw(3)
    sites.north.publish(10)
    sites.south.publish(14, 15)


STATES: tuple[Callable[[GrowingSites], None], ...] = (
    first_items,
    new_and_copied,
    changed_and_malformed,
    late_and_broken,
    withdrawn_and_new,
)
