"""The documentation says what the code does."""

from __future__ import annotations

import datetime
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from docs.generate import documents, parts, with_parts
from pipelines.cli import LOG_WIDTH, make_parser
from pipelines.feed_health import MIN_REJECTIONS, SILENT_AFTER_DAYS, show_feeds
from pipelines.subscriptions import read_subscriptions
from schemas.arrow import ARTICLES
from schemas.records import REASONS, FeedMemory, Subscription
from transforms.feeds import is_whole_article, parse_feed
from transforms.merging import DATE_TRUST
from transforms.parsed_feeds import ParsedFeed
from transforms.robots import parse_robots

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA_MODEL = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8")
FEEDS = (ROOT / "docs" / "feeds.md").read_text(encoding="utf-8")
SITE = ROOT / "examples" / "site"
SITE_ADDRESS = "http://127.0.0.1:8765"
MISSING_FEED = f"{SITE_ADDRESS}/gazette/rss.xml"


def squeezed(text: str) -> str:
    # argparse breaks its lines differently from one Python to the next
    return " ".join(text.split())


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_generated_parts_are_those_of_the_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert squeezed(text) == squeezed(with_parts(text))


@pytest.mark.parametrize("name", sorted(parts()))
def test_every_generated_part_is_in_some_document(name: str) -> None:
    assert any(f"<!-- {name} -->" in path.read_text(encoding="utf-8") for path in documents())


def test_the_readme_tells_every_column_of_articles() -> None:
    for field in ARTICLES:
        assert f"| `{field.name}` |" in README


def test_every_source_of_a_date_is_explained_in_order_of_trust() -> None:
    explained = re.findall(r"^\| `([a-z-]+)` \| (?:the|a|an|meta|`date)", DATA_MODEL, re.MULTILINE)
    dates = [source for source in explained if source in DATE_TRUST]
    assert tuple(dates) == DATE_TRUST


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    named = [
        *project["project"]["dependencies"],
        *(name for extra in project["project"]["optional-dependencies"].values() for name in extra),
        *(name for group in project["dependency-groups"].values() for name in group),
    ]
    for requirement in named:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name
        assert f"`{name[0]}`" in text


def test_every_option_of_ingest_is_in_the_readme_beside_its_help() -> None:
    prose = re.sub(r"<!-- (help-[a-z]+) -->.*?<!-- /\1 -->", "", README, flags=re.DOTALL)
    named = set(re.findall(r"--[a-z-]+", parts()["help-ingest"])) - {"--help", "--name"}
    assert {option for option in named if option not in prose} == set()


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of each ``newsbeam`` in the shell examples of a document."""
    for block in code_blocks(text, "sh"):
        for line in block.splitlines():
            program, *arguments = shlex.split(line, comments=True) or [""]
            if program.endswith("newsbeam"):
                yield arguments


def test_every_command_in_the_documents_is_one_that_the_parser_takes() -> None:
    parser = make_parser()
    for path in documents():
        for arguments in commands(path.read_text(encoding="utf-8")):
            _, unknown = parser.parse_known_args(arguments)
            assert unknown == [], f"{path.name}: newsbeam {' '.join(arguments)}"


def test_the_opml_in_the_readme_gives_its_feeds_with_their_folders_as_tags(tmp_path: Path) -> None:
    (opml,) = code_blocks(README, "xml")
    file = tmp_path / "my.opml"
    file.write_text(opml, encoding="utf-8")
    subscriptions = read_subscriptions([str(file)])
    assert subscriptions.notes == ()
    assert {feed.url: (feed.title, feed.tags) for feed in subscriptions.feeds} == {
        "https://feeds.bbci.co.uk/news/world/rss.xml": ("BBC News", ("World",)),
        "https://www.theguardian.com/world/rss": ("The Guardian", ("World",)),
        "https://rss.dw.com/rdf/rss-en-all": ("DW", ("World", "Germany")),
    }


def test_the_settings_in_the_page_on_feeds_can_be_read(tmp_path: Path) -> None:
    (toml,) = code_blocks(FEEDS, "toml")
    (tmp_path / "subscriptions.opml").write_text(code_blocks(README, "xml")[0], encoding="utf-8")
    file = tmp_path / "my.toml"
    file.write_text(toml, encoding="utf-8")
    feeds = read_subscriptions([str(file)], environment={"NEWS_TOKEN": "Bearer 1"}).feeds
    intervals = {feed.url: feed.interval_seconds for feed in feeds}
    assert intervals.pop("https://news.example/rss") == 3_600
    assert set(intervals.values()) == {1_800}


def test_every_reason_in_the_page_on_feeds_is_one() -> None:
    table = FEEDS.partition("### What can go wrong")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {reason for cell in cells for reason in re.findall(r"`([a-z-]+)`", cell)}
    assert named
    assert named - REASONS.keys() == set()


def test_the_page_on_feeds_states_when_a_feed_is_marked() -> None:
    words = {3: "three", 7: "seven"}
    assert f"but {words[MIN_REJECTIONS]} rejections and failures or more" in FEEDS
    assert f"no new item for more than {words[SILENT_AFTER_DAYS]} days" in FEEDS


def test_the_feeds_in_the_readme_are_shown_as_the_command_shows_them() -> None:
    (shown,) = re.findall(r"^\$ newsbeam feeds news-feeds\n(.*?)^```", README, re.M | re.S)
    console = Console(width=LOG_WIDTH, record=True, file=io.StringIO())
    memories = [FeedMemory(feed.url) for feed in site_subscriptions()]
    show_feeds(console, memories, datetime.datetime(2026, 3, 10, tzinfo=datetime.UTC))
    header = console.export_text().splitlines()[0].split()
    assert shown.splitlines()[0].split() == header
    assert shown.count("127.0.0.1:8765") + shown.count("127.0.0.…") >= len(memories)


def site_subscriptions() -> tuple[Subscription, ...]:
    return read_subscriptions([str(SITE / "subscriptions.opml")]).feeds


def site_feeds() -> dict[str, ParsedFeed]:
    """The feeds of the example site that exist, by URL."""
    return {
        feed.url: parse_feed(site_file(feed.url).read_bytes(), url=feed.url)
        for feed in site_subscriptions()
        if feed.url != MISSING_FEED
    }


def site_file(url: str) -> Path:
    assert url.startswith(f"{SITE_ADDRESS}/"), url
    return SITE / urlsplit(url).path.removeprefix("/")


def test_the_example_site_has_a_feed_of_each_format_and_one_that_is_missing() -> None:
    assert {feed.format for feed in site_feeds().values()} == {
        "RSS 2.0",
        "Atom 1.0",
        "JSON Feed 1.1",
    }
    assert not site_file(MISSING_FEED).exists()


def test_every_link_in_the_example_feeds_leads_to_a_page_of_the_site() -> None:
    for url, feed in site_feeds().items():
        assert feed.notes == ()
        assert feed.self_url == url
        for entry in feed.entries:
            assert entry.url is not None
            assert site_file(entry.url).is_file()


def test_the_example_feeds_give_some_articles_whole_and_leave_others_to_be_fetched() -> None:
    whole = {
        url.rpartition("/")[2]: {is_whole_article(entry) for entry in feed.entries}
        for url, feed in site_feeds().items()
    }
    assert whole == {"atom.xml": {True}, "rss.xml": {False}, "feed.json": {False}}


def test_the_example_site_asks_that_one_page_of_its_feeds_is_not_fetched() -> None:
    rules = parse_robots((SITE / "robots.txt").read_bytes())
    urls = [entry.url for feed in site_feeds().values() for entry in feed.entries if entry.url]
    denied = [url for url in urls if not rules.allows(url)]
    assert denied == [f"{SITE_ADDRESS}/courier/members/crossword-prize.html"]


def test_every_link_to_a_file_leads_somewhere() -> None:
    for path in (*documents(), ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_make_target_that_is_documented_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in (*documents(), ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"(?m)(?:^|`)make ([a-z-]+)", path.read_text("utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_no_lock_file_holds_an_address() -> None:
    for path in ROOT.glob("requirements*.lock"):
        assert "://" not in path.read_text(encoding="utf-8")
