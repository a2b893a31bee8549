"""The picture at the end of a run tells its story on one screen."""

from __future__ import annotations

import datetime
import io
import shlex

from rich.console import Console

from pipelines.picture import MAX_ROWS_SHOWN, query, show_report, size
from pipelines.run import RunReport
from schemas.records import Balance, Tally, WrittenFile

BALANCE = Balance(
    sources=3,
    pages=3,
    units=4,
    tallies=(
        Tally("article", "", 2),
        Tally("duplicate", "near", 1),
        Tally("rejected", "empty", 1),
    ),
    faults=(),
    fault_count=0,
    notes=("rejected: a.txt: it is empty",),
    note_count=1,
)


def shown(paths: list[str], balance: Balance = BALANCE) -> str:
    files = [WrittenFile("articles", path, 2, 100) for path in paths]
    started = datetime.datetime(2026, 6, 30, tzinfo=datetime.UTC)
    report = RunReport("run-1", "it's news", started, 2.0, balance, files)
    out = io.StringIO()
    show_report(Console(file=out, width=100), report)
    return out.getvalue()


def test_it_shows_outcomes_with_kinds_and_reasons() -> None:
    picture = shown(["articles/date=2026-01-01/topic=sport/a.parquet"])
    assert "duplicates    1      (near 1)" in picture
    assert "rejected      1      (empty 1)" in picture
    assert "of 4 units: balanced" in picture
    assert "rejected: a.txt: it is empty" in picture


def test_it_shows_rows_by_date_and_topic() -> None:
    null = "__HIVE_DEFAULT_PARTITION__"
    paths = [
        "articles/date=2026-01-01/topic=sport/a.parquet",
        f"articles/date={null}/topic=health/b.parquet",
    ]
    picture = shown(paths)
    words = " ".join(picture.split())
    assert "2026-01-01 sport 2" in words
    assert "unknown health 2" in words


def test_many_dates_are_shown_by_month_and_year() -> None:
    days = [f"articles/date=2026-01-{day:02}/topic=sport/a.parquet" for day in range(1, 32)]
    days += [f"articles/date=2026-02-{day:02}/topic=sport/a.parquet" for day in range(1, 28)]
    assert "2026-01 sport 62" in " ".join(shown(days).split())
    months = [
        f"articles/date={1990 + n // 12}-{n % 12 + 1:02}-01/topic=sport/a.parquet"
        for n in range(60)
    ]
    assert "1990 sport 24" in " ".join(shown(months).split())


def test_more_years_than_fit_are_counted() -> None:
    years = [f"articles/date={year}-01-01/topic=sport/a.parquet" for year in range(1900, 2000)]
    picture = shown(years)
    assert f"{2 * (100 - MAX_ROWS_SHOWN)} rows of 1900 to 1969" in picture


def test_faults_are_shown_in_full() -> None:
    picture = shown([], Balance(1, 1, 1, (), ("unit 'x' was opened 2 times",), 1, (), 0))
    assert "does not balance" in picture
    assert "unit 'x' was opened 2 times" in picture


def test_the_query_survives_a_quote_in_the_folder() -> None:
    assert "'it''s news/articles/" in shown([])


def test_the_query_survives_what_a_shell_would_expand() -> None:
    line = query('the "$news" folder')
    assert 'the "$news" folder/articles' in shlex.split(line)[2]


def test_sizes_are_written_for_a_person() -> None:
    assert [size(n) for n in (812, 3_500_000, 5 << 30)] == ["812 B", "3.3 MiB", "5.0 GiB"]
