"""News sites on loopback whose feeds grow by a script, state by state, the same each time.

::

    with WebServer() as server:
        sites = GrowingSites(server)
        for state in script(rounds=1):
            state(sites)
            ...                          # poll sites.feed_urls

The states have what a stream meets in the wild: new items, items with their whole text, a text
that another site copies, a text that is changed, items that come late (dated days before, one of
them a copy), pages that are gone or hold no article, feeds that are malformed or down, withdrawn
items. Each further round has all of that again, with stories of its own.

What copies another text comes in a later state than that text: of two that are met at once either
may be the first. Pages are there before a feed lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from feed_site import FeedSite, Item, story_page
from source_factory import make_story
from web_server import WebServer

MAX_ROUNDS = 3
_STORIES_OF_A_ROUND = 100
_LATE = "Mon, 09 Nov 2026 06:00:00 GMT"
_EMPTY = '<?xml version="1.0"?><rss version="2.0"><channel><title>Odd</title></channel></rss>'
_MALFORMED = (
    '<?xml version="1.0"?><rss version="2.0"><channel><title>Odd & Sons</title>'
    "<item><title>Unclosed & unescaped</title><link>{link}</link><guid>odd-1</guid>"
    "<pubDate>Thu, 19 Nov 2026 08:00:00 GMT</pubDate><item></channel>"
)


@dataclass
class GrowingSites:
    """Two sites with feeds of their own, and one whose feeds, one for each round, are odd."""

    server: WebServer
    north: FeedSite = field(init=False)
    south: FeedSite = field(init=False)

    def __post_init__(self) -> None:
        self.north = FeedSite(self.server, "/north")
        self.south = FeedSite(self.server, "/south")
        self.start()

    def start(self) -> None:
        """All sites as they are before the first state."""
        for site in (self.north, self.south):
            site.items.clear()
            site.refresh()
        for round_ in range(MAX_ROUNDS):
            self.server.set(odd_path(round_), _EMPTY, content_type="application/rss+xml")

    @property
    def feed_urls(self) -> list[str]:
        odd = [self.server.url(odd_path(round_)) for round_ in range(MAX_ROUNDS)]
        return [self.north.feed_url, self.south.feed_url, *odd]


def odd_path(round_: int) -> str:
    """Path of the feed that is odd in a round."""
    return f"/odd/{round_}.xml"


def story(round_: int, number: int) -> int:
    """The number of a round's story, as others know it."""
    return _STORIES_OF_A_ROUND * round_ + number


def first_items(sites: GrowingSites, round_: int = 0) -> None:
    """Both sites have some items; the odd feed has none."""
    sites.north.publish(*(story(round_, number) for number in (1, 2, 3, 4)))
    sites.south.publish(*(story(round_, number) for number in (11, 12)))


def new_and_copied(sites: GrowingSites, round_: int = 0) -> None:
    """New items; a text of the one site on the other; one with its whole text in the feed."""
    sites.north.publish(story(round_, 5), story(round_, 6))
    _list_copy(sites, story(round_, 21), of=story(round_, 1))
    sites.south.publish(story(round_, 13), has_text=True)


def changed_and_malformed(sites: GrowingSites, round_: int = 0) -> None:
    """A text is changed; the odd feed has an item, in what is no well-formed XML."""
    sites.north.change(story(round_, 2), updated="2026-11-20T12:30:00Z")
    page = f"/odd/{round_}/1"
    sites.server.set(page, story_page(make_story(story(round_, 31))))
    sites.server.set(
        odd_path(round_),
        _MALFORMED.format(link=sites.server.url(page)),
        content_type="application/rss+xml",
    )


def late_and_broken(sites: GrowingSites, round_: int = 0) -> None:
    """Items of days ago, one a copy; a page that is gone, one with no article; a feed is down.

    It stays down: when a feed that failed is asked again depends on the clock.
    """
    sites.server.set(odd_path(round_), "down", status=500)
    late, gone, empty = (story(round_, number) for number in (7, 8, 9))
    sites.north.items[late] = Item(make_story(late), published=_LATE)
    sites.north.items[gone] = Item(make_story(gone))
    sites.north.items[empty] = Item(make_story(empty))
    sites.server.set(sites.north.page_path(late), story_page(make_story(late)))
    sites.server.set(sites.north.page_path(gone), status=410)
    sites.server.set(
        sites.north.page_path(empty), "<html><title>Nine</title><p>Nothing.</p></html>"
    )
    sites.north.refresh()
    _list_copy(sites, story(round_, 22), of=story(round_, 5), published=_LATE)
    sites.south.refresh()


def withdrawn_and_new(sites: GrowingSites, round_: int = 0) -> None:
    """An item is taken out of the feed, and others come."""
    sites.north.withdraw(story(round_, 3))
    sites.north.publish(story(round_, 10))
    sites.south.publish(story(round_, 14), story(round_, 15))


def _list_copy(
    sites: GrowingSites, number: int, *, of: int, published: str = Item.published
) -> None:
    """The south has the text of another story; its feed says so when it is refreshed."""
    copied = make_story(of)
    sites.server.set(sites.south.page_path(number), story_page(copied))
    sites.south.items[number] = Item(copied, published=published)


State = Callable[[GrowingSites], None]
_ROUND = (
    first_items,
    new_and_copied,
    changed_and_malformed,
    late_and_broken,
    withdrawn_and_new,
)
STATES_OF_A_ROUND = len(_ROUND)


def script(rounds: int) -> list[State]:
    """The states of so many rounds (up to ``MAX_ROUNDS``), one after the other."""
    return [partial(state, round_=round_) for round_ in range(rounds) for state in _ROUND]
