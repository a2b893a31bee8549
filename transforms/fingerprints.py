"""Fingerprints of articles: all that the comparison of texts needs to know of one.

In: ``Article``. Out: ``FingerprintedArticle``, one each. Bounded or not; no failures. What is taken
of a text, and why, is in ``shingles``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection

from schemas.records import Article, Fingerprint, FingerprintedArticle, PublicationDate
from transforms.measures import NAMESPACE
from transforms.page_metadata import name_key
from transforms.shingles import print_text, title_key


def article_id(article: Article, hash_of_content: str) -> str:
    """Identity of the work, 32 hex digits: of its canonical URL or guid, else of its text.

    Addresses that differ in what no publisher means by them are one (``work_url``).
    """
    if url := article.canonical_url or article.url:
        work = f"url:{work_url(url)}"
    elif article.guid and article.feed_url:
        work = f"guid:{article.feed_url} {article.guid}"
    else:
        work = f"text:{hash_of_content}"
    return hashlib.sha256(work.encode("utf-8", "surrogatepass")).hexdigest()[:32]


_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|msclkid|mc_[ce]id|igshid|yclid")
"""Parameters that say where a reader came from, not what is to be read."""


def work_url(url: str) -> str:
    """What of an address tells works apart, as an address.

    Left out are the scheme, which is taken for https, the case of the host, a slash at the end of
    the path, parameters that only say where a reader came from, and the fragment, unless it is a
    path in itself (``#!``, ``#/``). An address that is none stays as it is.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return url
    if not parts.netloc:
        return url
    query = "&".join(
        pair for pair in parts.query.split("&") if not _TRACKING.fullmatch(pair.partition("=")[0])
    )
    fragment = parts.fragment if parts.fragment.startswith(("!", "/")) else ""
    path = parts.path.rstrip("/")
    return urlunsplit(("https", parts.netloc.casefold(), path, query, fragment))


def _published(article: Article) -> PublicationDate | None:
    """When an article was published; the day on which it was first seen is only a stand-in."""
    published = article.published
    return published if published is not None and published.source != "first-seen" else None


def completeness(article: Article) -> int:
    """How many of the fields that make a row worth keeping are known; a date counts double."""
    fields = (
        article.title,
        article.authors,
        article.agency,
        article.dateline,
        article.canonical_url or article.url,
        article.description,
        article.image_url,
        article.tags,
    )
    return sum(1 for value in fields if value) + (2 if _published(article) else 0)


def fingerprint_article(article: Article) -> Fingerprint:
    """The fingerprint of an extracted article."""
    text = print_text(article.body)
    published = _published(article)
    return Fingerprint(
        origin=article.origin,
        article_id=article_id(article, text.content_hash),
        content_hash=text.content_hash,
        source_uri=article.source_uri,
        observed_at=article.observed_at,
        word_count=text.word_count,
        signature=text.signature,
        shingles=text.shingles,
        anchors=text.anchors,
        numbers=text.numbers,
        names=text.names,
        title_key=title_key(article.title),
        completeness=completeness(article),
        quality=0.0 if article.extraction.repaired else article.extraction.quality,
        agency=name_key(article.agency or ""),
        publisher=name_key(article.site or ""),
        published_at=published.at if published else None,
    )


_ARTICLES_FINGERPRINTED = Metrics.counter(NAMESPACE, "articles_fingerprinted")


def _with_fingerprint(article: Article) -> FingerprintedArticle:
    _ARTICLES_FINGERPRINTED.inc()
    return FingerprintedArticle(article, fingerprint_article(article))


@dataclass
class FingerprintArticles(beam.PTransform):
    """``Article`` → ``FingerprintedArticle``."""

    def expand(self, articles: PCollection[Article]) -> PCollection[FingerprintedArticle]:
        """Apply ``fingerprint_article`` to each article."""
        return articles | beam.Map(_with_fingerprint).with_output_types(FingerprintedArticle)
