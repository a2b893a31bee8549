"""Enriching articles with language, entities and topics.

In: ``UniqueArticle``. Out: ``EnrichedArticle``, one each. Bounded or not; no failures: a text that
a model cannot serve is kept without what the model would have given, and a note says why.

The section of an article counts among the evidence for its topics: that of its page, or, where the
page names none, what the subscription to its feed says that its items are about.

Models are loaded once a worker process, however many threads it runs. Batches bound what the
entity model is given at a time; they never show in the result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.utils.shared import Shared

from schemas.records import EnrichedArticle, UniqueArticle
from transforms.entities import EntityRecognizer
from transforms.language import Identifier, identify_language, load_identifier
from transforms.measures import NAMESPACE
from transforms.topics import MODEL_VERSION, TopicModel, classify_topics

BATCH_ARTICLES = 16
"""As many are enriched together. Were the number left to Beam, it would fit a line through the
times that batches took, and warn where they tell it too little."""


@dataclass(frozen=True)
class Models:
    """What enrichment needs loaded."""

    identifier: Identifier
    recognizer: EntityRecognizer
    topics: TopicModel


class _LoadedModels(Models):
    """The models as something that ``Shared`` can hold weakly."""


def load_models() -> Models:
    """Load all models; some seconds and some hundred MB."""
    return _LoadedModels(load_identifier(), EntityRecognizer.load(), TopicModel.load())


def enrich_articles(models: Models, batch: Sequence[UniqueArticle]) -> Iterator[EnrichedArticle]:
    """Enrich a batch; the results are in its order and do not depend on its bounds."""
    articles = [unique.article for unique in batch]
    languages = [
        identify_language(models.identifier, article.title, article.body, article.declared_language)
        for article in articles
    ]
    found = models.recognizer.find_entities(
        [article.body for article in articles], [language.code for language in languages]
    )
    for unique, article, language, entities in zip(batch, articles, languages, found, strict=True):
        topics = classify_topics(
            models.topics,
            article.title,
            article.body,
            language.code,
            article.tags,
            article.section,
        )
        yield EnrichedArticle(
            unique=unique,
            language=language.code,
            language_score=language.score if language.code else None,
            topic=topics.best,
            topics=topics.topics,
            entities=entities.entities,
            entity_model=entities.model or None,
            entity_note=entities.note,
            topic_model=MODEL_VERSION,
            topic_note=topics.note or None,
        )


_SHARED_MODELS = Shared()
_ARTICLES_ENRICHED = Metrics.counter(NAMESPACE, "articles_enriched")
_ENRICH_MILLISECONDS = Metrics.distribution(NAMESPACE, "enrich_milliseconds")
_ENTITIES_FOUND = Metrics.counter(NAMESPACE, "entities_found")


def warm_models() -> None:
    """Load the models of this process, unless they are; what enriches first need not wait then."""
    _SHARED_MODELS.acquire(load_models)


class _Enrich(beam.DoFn):
    def __init__(self) -> None:
        self._shared = _SHARED_MODELS
        self._models: Models | None = None

    def process(self, batch: Sequence[UniqueArticle]) -> Iterator[EnrichedArticle]:
        if self._models is None:  # not in setup: a run that finds nothing new need not wait
            self._models = self._shared.acquire(load_models)
        began = time.perf_counter()
        enriched = list(enrich_articles(self._models, batch))
        _ENRICH_MILLISECONDS.update(round((time.perf_counter() - began) * 1_000))
        _ARTICLES_ENRICHED.inc(len(enriched))
        _ENTITIES_FOUND.inc(sum(len(article.entities) for article in enriched))
        yield from enriched


@dataclass
class EnrichArticles(beam.PTransform):
    """``UniqueArticle`` → ``EnrichedArticle``."""

    def expand(self, articles: PCollection[UniqueArticle]) -> PCollection[EnrichedArticle]:
        """Spread the articles over the workers, batch them, enrich each batch."""
        return (
            articles
            | beam.Reshuffle()
            | beam.BatchElements(min_batch_size=BATCH_ARTICLES, max_batch_size=BATCH_ARTICLES)
            | beam.ParDo(_Enrich()).with_output_types(EnrichedArticle)
        )
