"""A news site with feeds, of our own making, that a test lets grow and change.

::

    with WebServer() as server:
        site = FeedSite(server)
        site.publish(1, 2, 3)                    # pages, and the feed that lists them
        site.feed_url

Its stories are those of ``source_factory``: each number is a story unlike all others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from html import escape

from source_factory import Story, make_story
from web_server import WebServer


def story_page(story: Story, head: str = "") -> str:
    """The page of a story, in the shape of the real thing."""
    text = "".join(f"<p>{paragraph}</p>" for paragraph in story.paragraphs)
    return (
        f"<!DOCTYPE html><html lang=en><head><title>{story.title}</title>{head}"
        f"<meta name=author content='{story.author}'></head><body>"
        f"<nav><a href='/'>Home</a></nav><article><h1>{story.title}</h1>{text}</article>"
        "<footer>© Example Press</footer></body></html>"
    )


@dataclass
class Item:
    """What the feed says of a story."""

    story: Story
    published: str = "Thu, 19 Nov 2026 10:00:00 GMT"
    updated: str = ""
    """As ``atom:updated`` has it; empty for none."""
    has_text: bool = False
    """Whether the feed gives the whole text."""

    def markup(self, link: str) -> str:
        updated = f"<atom:updated>{self.updated}</atom:updated>" if self.updated else ""
        text = "".join(f"<p>{paragraph}</p>" for paragraph in self.story.paragraphs * 3)
        content = f"<content:encoded><![CDATA[{text}]]></content:encoded>" if self.has_text else ""
        return (
            f"<item><title>{escape(self.story.title)}</title><guid>story-{self.story.number}</guid>"
            f"<link>{link}</link><pubDate>{self.published}</pubDate>{updated}"
            f"<description>{escape(self.story.paragraphs[0][:80])}</description>{content}</item>"
        )


@dataclass
class FeedSite:
    """A site on a server: its pages under ``/stories/``, its feed at ``/feed.xml``."""

    server: WebServer
    name: str = ""
    """Put before all of its paths, so that one server can have several sites."""
    items: dict[int, Item] = field(default_factory=dict)
    ttl_minutes: int = 0

    @property
    def feed_path(self) -> str:
        return f"{self.name}/feed.xml"

    @property
    def feed_url(self) -> str:
        return self.server.url(self.feed_path)

    def page_path(self, number: int) -> str:
        return f"{self.name}/stories/{number}"

    def page_url(self, number: int) -> str:
        return self.server.url(self.page_path(number))

    def publish(self, *numbers: int, has_text: bool = False) -> None:
        """Put stories online, and into the feed."""
        for number in numbers:
            story = make_story(number)
            self.items[number] = Item(story, has_text=has_text)
            self.server.set(self.page_path(number), story_page(story))
        self.refresh()

    def withdraw(self, number: int) -> None:
        """Take a story out of the feed; its page stays."""
        del self.items[number]
        self.refresh()

    def change(self, number: int, *, updated: str) -> None:
        """Change the text of a story, and say so in the feed."""
        item = self.items[number]
        first, *rest = item.story.paragraphs
        paragraphs = (f"{first} This was put right later in the day.", *rest)
        item.story = Story(**{**vars(item.story), "paragraphs": paragraphs})
        item.updated = updated
        self.server.set(self.page_path(number), story_page(item.story))
        self.refresh()

    def feed(self) -> str:
        """The feed as it is now, newest first."""
        listed = sorted(self.items.items(), reverse=True)
        items = "".join(item.markup(self.page_url(number)) for number, item in listed)
        ttl = f"<ttl>{self.ttl_minutes}</ttl>" if self.ttl_minutes else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"'
            ' xmlns:content="http://purl.org/rss/1.0/modules/content/"'
            ' xmlns:atom="http://www.w3.org/2005/Atom"><channel><title>Example Press</title>'
            f"<link>{self.server.url('/')}</link><description>News</description>{ttl}{items}"
            "</channel></rss>"
        )

    def refresh(self) -> None:
        """Serve the feed as it is now, with an entity tag of its own."""
        feed = self.feed()
        etag = f'"{hashlib.sha256(feed.encode()).hexdigest()[:12]}"'
        self.server.set(self.feed_path, feed, content_type="application/rss+xml", etag=etag)
