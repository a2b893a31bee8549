"""The command line: from argv to a configuration, and from a run to an exit code."""

from __future__ import annotations

import argparse
import datetime
import io
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.metadata import version
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from pipelines.compact import compact
from pipelines.config import (
    DEFAULT_MAX_INPUT_BYTES,
    IngestConfig,
    UsageError,
    parse_duration_seconds,
    parse_size_bytes,
)
from pipelines.dataset import Dataset
from pipelines.every import EXPECTED_ERRORS, Round, quieten_libraries, run_every, sentence_of
from pipelines.feed_health import feeds_summary, show_feeds
from pipelines.feed_memory import read_memory
from pipelines.picture import (
    progress_bar,
    progress_log,
    round_line,
    show_compaction,
    show_replay,
    show_report,
    size,
)
from pipelines.replay import Selection, replay
from pipelines.run import ingest, utc_now
from pipelines.slices import DEFAULT_SLICE_BYTES
from pipelines.steps import Watch
from pipelines.stream import (
    DEFAULT_COMMIT_SECONDS,
    DEFAULT_COMPACT_AFTER,
    DEFAULT_POLL_SECONDS,
    StreamConfig,
    stream,
)
from pipelines.stream_view import to_stream_watch, watching_stream
from pipelines.subscriptions import read_subscriptions
from pipelines.verify import require_dataset, show_verify, verify
from schemas.records import REASONS
from transforms.compaction import TARGET_FILE_BYTES
from transforms.http_client import DEFAULT_USER_AGENT, HttpSettings
from transforms.likeness import DEFAULT_THRESHOLD
from transforms.storage import Store, StoreError, open_store

DONE = 0
FAILED = 1
BAD_USAGE = 2
INTERRUPTED = 130

LOG_WIDTH = 120
"""Columns of the picture where standard output is no terminal."""
DEFAULT_WAIT = "1h"
MIN_FILES = 2

EXIT_CODES = f"""\
exit codes:
  {DONE}    done: the account of the run balances, the dataset is clean; single inputs may have
       failed, and are shown
  {FAILED}    failed, and nothing was added to the dataset, or what is decided the next run
       finishes: the account does not balance, the disk is full, the dataset is damaged, another
       run writes to it; with --strict also when an input failed; of verify: there are faults
  {BAD_USAGE}    bad usage: an option, source or output that cannot be used as given
  {INTERRUPTED}  interrupted (Ctrl-C, SIGTERM): nothing was added, or the next run finishes it
"""

STREAM_EXIT_CODES = f"""\
exit codes:
  {DONE}    ended by SIGTERM or Ctrl-C, and all that was under way is committed
  {FAILED}    failed: the engine, the store or the dataset refused, or another run writes to it;
       what was committed stays, and the same command goes on from there
  {BAD_USAGE}    bad usage: an option, feed or output that cannot be used as given
  {INTERRUPTED}  asked to end twice: what was committed stays, the rest is asked for again
"""


def _short(size_bytes: int) -> str:
    return size(size_bytes).replace(" ", "").replace(".0", "")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="newsbeam",
        description="News pages, dumps, feeds and archives in; deduplicated, enriched Parquet out.",
    )
    parser.add_argument("--version", action="version", version=f"newsbeam {version('newsbeam')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_ingest(commands)
    _add_stream(commands)
    _add_health(commands)
    _add_compact(commands)
    _add_replay(commands)
    _add_verify(commands)
    return parser


def _add_command(commands: Any, name: str, summary: str, description: str) -> Any:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_ingest(commands: Any) -> None:
    command = _add_command(
        commands,
        "ingest",
        "turn files and live feeds into a dataset, or add them to one",
        "Read text dumps (.txt), saved pages (.html, .htm), saved feeds (RSS, Atom, JSON Feed)\n"
        "and archives (.warc), each also gzipped, and poll live feeds (--feeds); find their\n"
        "articles, recognise copies, add language, entities and topics, and write Parquet by\n"
        "date and topic.",
    )
    command.epilog += "\nUnknown options go to Beam (write them as --name=value)."
    command.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="file, folder (searched through), glob, or the same at s3:// or gs://",
    )
    command.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="the dataset: a folder, or s3://BUCKET/PATH, gs://BUCKET/PATH; made if missing",
    )
    _add_feeds(command)
    _add_comparing(command)
    command.add_argument(
        "--slice-size",
        default=_short(DEFAULT_SLICE_BYTES),
        metavar="SIZE",
        help="input that is worked through and made durable before the next (default: "
        "%(default)s); memory follows it, the result does not depend on it",
    )
    command.add_argument(
        "--publish-every",
        metavar="SIZE",
        help="publish a run of more input than this in parts, a commit each (default: one commit)",
    )
    command.add_argument(
        "--compact-after",
        type=int,
        metavar="N",
        help="when the run is published, compact each partition that has N files or more",
    )
    command.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="local processes (default: all cores, as far as the input feeds them)",
    )
    _add_waiting(command)
    command.add_argument(
        "--strict", action="store_true", help="exit with 1 when a single input failed"
    )
    _add_output(command)


def _add_stream(commands: Any) -> None:
    command = _add_command(
        commands,
        "stream",
        "read live feeds without end, and commit what they give every minute",
        "Poll live feeds when they are due, fetch the pages of their new items, and write them to\n"
        "a dataset commit by commit, until SIGTERM or Ctrl-C: then what is under way is committed\n"
        "first. Runs on Prism, or on another engine that --runner names (docs/runners.md).",
    )
    command.epilog = STREAM_EXIT_CODES
    command.epilog += "\nUnknown options go to Beam (write them as --name=value)."
    command.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="the dataset: a folder, or s3://BUCKET/PATH, gs://BUCKET/PATH; made if missing",
    )
    _add_feed_list(command, required=True)
    command.add_argument(
        "--commit-every",
        default=f"{DEFAULT_COMMIT_SECONDS}s",
        metavar="TIME",
        help="how often what is new becomes part of the dataset (default: %(default)s)",
    )
    command.add_argument(
        "--poll-every",
        default=f"{DEFAULT_POLL_SECONDS}s",
        metavar="TIME",
        help="least time between two polls of a feed, where its settings name none (default: "
        "%(default)s); what its server asks for counts, too",
    )
    command.add_argument(
        "--poll-all",
        action="store_true",
        help="begin with all feeds, also with those that are not due yet",
    )
    _add_http(command)
    _add_comparing(command)
    command.add_argument(
        "--compact-after",
        type=int,
        default=DEFAULT_COMPACT_AFTER,
        metavar="N",
        help="compact each partition that has N files or more (default: %(default)s)",
    )
    command.add_argument(
        "--metrics-log",
        metavar="FILE",
        help="append what each commit was, and how late, as JSON lines",
    )
    command.add_argument(
        "--metrics-port",
        metavar="[ADDRESS:]PORT",
        help="let Prometheus ask at this port, of this machine alone unless an address is given",
    )
    _add_waiting(command)
    _add_output(command)


def _add_feed_list(command: Any, *, required: bool = False) -> None:
    command.add_argument(
        "--feeds",
        nargs="+",
        default=[],
        required=required,
        metavar="FEED",
        help="poll feeds and fetch the pages of their new items: the URL of a feed or of a site "
        "that names one, or a file that lists feeds (OPML, one URL a line, or TOML with settings)",
    )


def _add_feeds(command: Any) -> None:
    _add_feed_list(command)
    command.add_argument(
        "--every",
        metavar="TIME",
        help="keep running, a run each time, such as 15m; SIGTERM or Ctrl-C ends it after the run "
        "under way, and at once when it comes again",
    )
    command.add_argument(
        "--poll-all",
        action="store_true",
        help="poll feeds that are not due yet, too, by what their servers and settings say",
    )
    _add_http(command)


def _add_http(command: Any) -> None:
    settings = HttpSettings()
    command.add_argument(
        "--contact",
        metavar="URL",
        help="where the sites that you poll can find out who you are: a URL or an e-mail address, "
        "sent as part of the User-Agent",
    )
    command.add_argument(
        "--user-agent",
        metavar="TEXT",
        help="the whole User-Agent, instead of newsbeam/VERSION (+CONTACT)",
    )
    command.add_argument(
        "--max-body-bytes",
        default=_short(settings.max_body_bytes),
        metavar="SIZE",
        help="largest feed or page that is fetched, decompressed (default: %(default)s)",
    )
    command.add_argument(
        "--requests",
        type=int,
        default=settings.requests_in_all,
        metavar="N",
        help="requests at a time, in all (default: %(default)s)",
    )
    command.add_argument(
        "--requests-per-host",
        type=int,
        default=settings.requests_per_host,
        metavar="N",
        help="requests at a time to one host (default: %(default)s)",
    )
    command.add_argument(
        "--request-timeout",
        default=f"{settings.whole_seconds:.0f}s",
        metavar="TIME",
        help="for one request, until the last byte has come (default: %(default)s)",
    )
    command.add_argument(
        "--allow-private-hosts",
        action="store_true",
        help="also poll and fetch from this machine and from private networks",
    )


def _add_health(commands: Any) -> None:
    command = _add_command(
        commands,
        "feeds",
        "show the health of the feeds that a dataset is fed from",
        "Show for each feed when it last succeeded, what it has given, what went wrong, and\n"
        "when it is due again. Changes nothing.",
    )
    command.add_argument("dataset", metavar="DIR", help="the dataset")
    _add_output(command)


def _add_compact(commands: Any) -> None:
    command = _add_command(
        commands,
        "compact",
        "rewrite many small files of a dataset into few large ones",
        "Rewrite each partition that has several small files, or files of an older schema,\n"
        "into sorted files of a target size. All rows stay; readers see each once.",
    )
    command.add_argument("dataset", metavar="DIR", help="the dataset")
    command.add_argument(
        "--target-size",
        default=_short(TARGET_FILE_BYTES),
        metavar="SIZE",
        help="about how large files become (default: %(default)s)",
    )
    command.add_argument(
        "--min-files",
        type=int,
        default=MIN_FILES,
        metavar="N",
        help="small files from which a partition is rewritten (default: %(default)s)",
    )
    _add_waiting(command)
    _add_output(command)


def _add_verify(commands: Any) -> None:
    command = _add_command(
        commands,
        "verify",
        "check every promise on a dataset",
        "Read every manifest and every file of a dataset to its last page, check counts,\n"
        "identities, references, partitions and columns, and say what is wrong. Changes nothing.",
    )
    command.add_argument("dataset", metavar="DIR", help="the dataset")
    _add_output(command)


def _add_replay(commands: Any) -> None:
    command = _add_command(
        commands,
        "replay",
        "try the failures of a dataset again",
        "Try open failures again, from what is kept of them, or from their source where it is\n"
        "still there; pages that feeds link to are fetched again. What gives articles now is\n"
        "marked as resolved; the rest stays open. Feeds that could not be polled stay open, too:\n"
        "the next ingest --feeds asks them anyway.",
    )
    command.add_argument("dataset", metavar="DIR", help="the dataset")
    command.add_argument(
        "--stage",
        action="append",
        choices=("poll", "fetch", "read", "extract"),
        help="only of this stage",
    )
    command.add_argument(
        "--kind", action="append", choices=("failed", "rejected"), help="only of this kind"
    )
    command.add_argument(
        "--reason",
        action="append",
        choices=sorted(REASONS),
        metavar="SLUG",
        help="only for this reason, such as truncated (all are in the data model); like --stage "
        "and --kind it may be given several times",
    )
    command.add_argument(
        "--since", metavar="DATE", help="only observed on this UTC day or later, as 2026-11-20"
    )
    command.add_argument("--until", metavar="DATE", help="only observed on this UTC day or earlier")
    _add_http(command)
    _add_comparing(command)
    _add_waiting(command)
    _add_output(command)


def _add_comparing(command: Any) -> None:
    command.add_argument(
        "--dedup-threshold",
        type=float,
        default=DEFAULT_THRESHOLD,
        metavar="J",
        help="Jaccard similarity from which two texts are copies (default: %(default)s)",
    )
    command.add_argument(
        "--dedup-horizon",
        default="7d",
        metavar="TIME",
        help="copies observed within this time are found, such as 36h or 7d (default: %(default)s)",
    )
    command.add_argument(
        "--max-input-bytes",
        default=_short(DEFAULT_MAX_INPUT_BYTES),
        metavar="SIZE",
        help="largest dump, page or feed, decompressed (default: %(default)s); archives are "
        "streamed and may be larger",
    )


def _add_waiting(command: Any) -> None:
    command.add_argument(
        "--wait",
        action="store_true",
        help="if another run writes to the dataset, wait for it to end",
    )
    command.add_argument(
        "--wait-timeout",
        default=DEFAULT_WAIT,
        metavar="TIME",
        help="how long to wait at most (default: %(default)s)",
    )


def _add_output(command: Any) -> None:
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")
    command.add_argument(
        "--json", action="store_true", help="print a machine-readable summary on standard output"
    )


def check_beam_options(options: Sequence[str]) -> None:
    """Refuse options that are neither ours nor Beam's, so that a slip of the pen is heard.

    With a runner of the user's own they pass unchecked: job servers have options of their own.

    Raises:
        UsageError: naming the first option that nobody knows, or whose value Beam refuses.
    """
    for option in options:
        if not option.startswith("-"):
            raise UsageError(
                f"{option!r} is out of place: sources come first, options as --name=value"
            )
    if any(option.split("=")[0] == "--runner" for option in options):
        return
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, conflict_handler="resolve", exit_on_error=False
    )
    for group in PipelineOptions.__subclasses__():
        group._add_argparse_args(parser)
    try:
        _, unknown = parser.parse_known_args(list(options))
    except argparse.ArgumentError as error:
        raise UsageError(f"an option of Beam's cannot be used as given: {error}") from error
    if unknown:
        raise UsageError(f"unknown option {unknown[0]}: it is neither newsbeam's nor Beam's")


def to_config(arguments: argparse.Namespace, beam_options: Sequence[str]) -> IngestConfig:
    """The configuration that parsed arguments stand for.

    Raises:
        UsageError: if a value cannot be used.
    """
    check_beam_options(beam_options)
    _store(arguments.output)
    if not arguments.sources and not arguments.feeds:
        raise UsageError("nothing to read: give sources, or feeds with --feeds")
    return IngestConfig(
        sources=tuple(arguments.sources),
        output=arguments.output,
        subscriptions=read_subscriptions(arguments.feeds).feeds if arguments.feeds else (),
        http=_http_settings(arguments),
        polls_all=arguments.poll_all,
        dedup_threshold=arguments.dedup_threshold,
        dedup_horizon_seconds=parse_duration_seconds(arguments.dedup_horizon),
        max_input_bytes=parse_size_bytes(arguments.max_input_bytes),
        slice_bytes=parse_size_bytes(arguments.slice_size),
        publish_every_bytes=(
            parse_size_bytes(arguments.publish_every) if arguments.publish_every else None
        ),
        compact_after=arguments.compact_after,
        wait_seconds=_wait_seconds(arguments),
        workers=arguments.workers,
        beam_options=tuple(beam_options),
    )


def to_stream_config(arguments: argparse.Namespace, beam_options: Sequence[str]) -> StreamConfig:
    """The configuration of a stream that parsed arguments stand for.

    Raises:
        UsageError: if a value cannot be used.
    """
    check_beam_options(beam_options)
    _store(arguments.output)
    return StreamConfig(
        IngestConfig(
            sources=(),
            output=arguments.output,
            subscriptions=read_subscriptions(arguments.feeds).feeds,
            http=_http_settings(arguments),
            polls_all=arguments.poll_all,
            dedup_threshold=arguments.dedup_threshold,
            dedup_horizon_seconds=parse_duration_seconds(arguments.dedup_horizon),
            max_input_bytes=parse_size_bytes(arguments.max_input_bytes),
            compact_after=arguments.compact_after,
            wait_seconds=_wait_seconds(arguments),
            beam_options=tuple(beam_options),
        ),
        commit_every_seconds=parse_duration_seconds(arguments.commit_every),
        poll_every_seconds=parse_duration_seconds(arguments.poll_every),
    )


def _http_settings(arguments: argparse.Namespace) -> HttpSettings:
    if arguments.user_agent is not None:
        user_agent = arguments.user_agent
    elif arguments.contact is not None:
        user_agent = f"newsbeam/{version('newsbeam')} (+{arguments.contact})"
    else:
        user_agent = DEFAULT_USER_AGENT
    if not user_agent.strip() or not (user_agent.isascii() and user_agent.isprintable()):
        raise UsageError(f"{user_agent!r} can be no User-Agent: it takes printable ASCII")
    for name in ("requests", "requests_per_host"):
        if getattr(arguments, name) < 1:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} {getattr(arguments, name)} is less than 1")
    return HttpSettings(
        user_agent=user_agent,
        allow_private_hosts=arguments.allow_private_hosts,
        whole_seconds=parse_duration_seconds(arguments.request_timeout),
        requests_per_host=arguments.requests_per_host,
        requests_in_all=arguments.requests,
        max_body_bytes=parse_size_bytes(arguments.max_body_bytes),
    )


def _wait_seconds(arguments: argparse.Namespace) -> int:
    timeout_seconds = parse_duration_seconds(arguments.wait_timeout)
    return timeout_seconds if arguments.wait else 0


def _store(name: str) -> Store:
    """The store that a dataset's name on the command line means.

    Raises:
        UsageError: if it can mean none.
    """
    if not name or "\0" in name:
        raise UsageError(f"{name!r} is no name of a dataset")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"the dataset's name {name!r} is not UTF-8") from error
    try:
        return open_store(name)
    except (ValueError, StoreError) as error:
        raise UsageError(str(getattr(error, "strerror", None) or error)) from error


def _set_up_logging(*, quiet: bool) -> None:
    logging.getLogger("newsbeam").setLevel(logging.ERROR if quiet else logging.INFO)
    quieten_libraries()


def _interrupt(_signal: int, _frame: object) -> None:
    # Beam's threads lose their worker processes now, and each would say so with a traceback.
    threading.excepthook = lambda _: None
    raise KeyboardInterrupt


class _Speaker:
    """What a command says, where, and whether it says it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.json: bool = arguments.json
        self.quiet: bool = arguments.quiet or arguments.json
        self.errors = Console(stderr=True, soft_wrap=True, highlight=False)
        terminal = sys.stdout.isatty()
        self.output = Console(highlight=False, width=None if terminal else LOG_WIDTH)

    def note(self, sentence: str) -> None:
        if not self.quiet:
            self.errors.print(f"newsbeam: {sentence}", markup=False)

    def error(self, sentence: str) -> None:
        self.errors.print(f"newsbeam: {sentence}", markup=False)

    def watching(self, watch: Watch) -> AbstractContextManager[None]:
        if self.quiet:
            return nullcontext()
        return progress_bar(self.errors, watch) if self.errors.is_terminal else progress_log(watch)

    def result(self, summary: dict[str, Any], show: Callable[[Console], None]) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may know no UTF-8
        if self.json:
            # In ASCII: what a terminal's encoding lacks would be replaced by what is no JSON.
            sys.stdout.write(json.dumps(summary, indent=2) + "\n")
        elif not self.quiet:
            show(self.output)


def _ingest(arguments: argparse.Namespace, beam_options: Sequence[str], say: _Speaker) -> int:
    config = to_config(arguments, beam_options)
    for note in read_subscriptions(arguments.feeds).notes if arguments.feeds else ():
        say.note(note)
    _ask_for_contact(config, say)
    if arguments.every is not None:
        return _ingest_every(arguments, beam_options, say)
    report = ingest(config, watching=say.watching, notify=say.note)
    say.result(report.summary(), lambda console: show_report(console, report))
    if report.balance.fault_count:
        added = (
            f"parts of the run that are published: {report.parts}; nothing more was added"
            if report.parts
            else "nothing was added"
        )
        say.error(
            f"the account does not balance; {added} to the dataset. "
            "This is a bug: please report it with the faults listed."
        )
        return FAILED
    if arguments.strict and report.count("failed"):
        say.error(f"inputs that failed: {report.count('failed')} (--strict)")
        return FAILED
    return DONE


def _ingest_every(arguments: argparse.Namespace, beam_options: Sequence[str], say: _Speaker) -> int:
    def tell(done: Round, left_seconds: float) -> None:
        if say.json:
            line = {"round": done.number, "outcome": done.outcome, "message": done.message}
            sys.stdout.write(json.dumps({**line, **(done.summary or {})}) + "\n")
            sys.stdout.flush()
        elif done.outcome != "done":
            say.error(f"round {done.number} {done.outcome}: {done.message}")
        else:
            say.note(round_line(done, left_seconds))

    interval_seconds = parse_duration_seconds(arguments.every)
    make_config = partial(to_config, arguments, beam_options)
    hint = "newsbeam: ending after the round under way; once more ends it at once"
    is_whole = run_every(interval_seconds, make_config, tell, hint="" if say.quiet else hint)
    return DONE if is_whole else INTERRUPTED


def _stream(arguments: argparse.Namespace, beam_options: Sequence[str], say: _Speaker) -> int:
    config = to_stream_config(arguments, beam_options)
    for note in read_subscriptions(arguments.feeds).notes:
        say.note(note)
    _ask_for_contact(config.ingest, say)
    watch = to_stream_watch(arguments.metrics_log, arguments.metrics_port)
    console = None if say.quiet else say.errors
    with watching_stream(watch, console, say.note) as observer:
        report = stream(config, notify=say.note, observer=observer)
    say.result(report.summary(), lambda console: console.print_json(data=report.summary()))
    return DONE if report.is_whole else INTERRUPTED


def _ask_for_contact(config: IngestConfig, say: _Speaker) -> None:
    if config.subscriptions and config.http.user_agent == DEFAULT_USER_AGENT:
        say.note("sites cannot tell whom to ask about your requests; say so with --contact URL")


def _feeds(arguments: argparse.Namespace, _: Sequence[str], say: _Speaker) -> int:
    dataset = Dataset(_store(arguments.dataset))
    require_dataset(dataset)
    memories, note = read_memory(dataset, dataset.snapshot())
    if note:
        say.note(note)
    now = utc_now()
    feeds = sorted(memories.values(), key=lambda memory: memory.url)
    summary = {"dataset": arguments.dataset, "feeds": feeds_summary(feeds, now)}
    say.result(summary, lambda console: show_feeds(console, feeds, now))
    return DONE


def _compact(arguments: argparse.Namespace, _: Sequence[str], say: _Speaker) -> int:
    dataset = Dataset(_store(arguments.dataset))
    target_bytes = parse_size_bytes(arguments.target_size)
    if arguments.min_files < MIN_FILES:
        raise UsageError(f"--min-files {arguments.min_files} is less than {MIN_FILES}")
    require_dataset(dataset)
    waiting = {"wait_seconds": _wait_seconds(arguments), "notify": say.note}
    with dataset.writing("newsbeam compact", **waiting):
        report = compact(dataset, target_bytes=target_bytes, min_files=arguments.min_files)
    say.result(report.summary(), lambda console: show_compaction(console, report))
    return DONE


def _replay(arguments: argparse.Namespace, _: Sequence[str], say: _Speaker) -> int:
    dataset = Dataset(_store(arguments.dataset))
    require_dataset(dataset)
    selection = Selection(
        stages=tuple(arguments.stage or ()),
        kinds=tuple(arguments.kind or ()),
        reasons=tuple(arguments.reason or ()),
        since=_day("--since", arguments.since),
        until=_day("--until", arguments.until),
    )
    config = IngestConfig(
        sources=(arguments.dataset,),
        output=arguments.dataset,
        http=_http_settings(arguments),
        dedup_threshold=arguments.dedup_threshold,
        dedup_horizon_seconds=parse_duration_seconds(arguments.dedup_horizon),
        max_input_bytes=parse_size_bytes(arguments.max_input_bytes),
        workers=1,
    )
    waiting = {"wait_seconds": _wait_seconds(arguments), "notify": say.note}
    with dataset.writing("newsbeam replay", **waiting):
        report = replay(dataset, selection, config)
    say.result(report.summary(), lambda console: show_replay(console, report))
    return FAILED if report.run.balance.fault_count else DONE


def _day(option: str, text: str | None) -> datetime.date | None:
    if text is None:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is no day; write it as 2026-11-20") from error


def _verify(arguments: argparse.Namespace, _: Sequence[str], say: _Speaker) -> int:
    report = verify(Dataset(_store(arguments.dataset)))
    say.result(report.summary(), lambda console: show_verify(console, report))
    return DONE if report.clean else FAILED


_COMMANDS = {
    "ingest": _ingest,
    "stream": _stream,
    "feeds": _feeds,
    "compact": _compact,
    "replay": _replay,
    "verify": _verify,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    parser = make_parser()
    arguments, beam_options = parser.parse_known_args(argv)
    if beam_options and arguments.command not in ("ingest", "stream"):
        parser.error(f"unrecognized arguments: {' '.join(beam_options)}")
    say = _Speaker(arguments)
    _set_up_logging(quiet=say.quiet)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C, and how a scheduler says it
        signal.signal(number, _interrupt)
    try:
        return _COMMANDS[arguments.command](arguments, beam_options, say)
    except UsageError as error:
        say.error(str(error))
        return BAD_USAGE
    except EXPECTED_ERRORS as error:
        say.error(f"{arguments.command} failed: {sentence_of(error)}")
        return FAILED
    except KeyboardInterrupt as error:
        added = f"{error}; nothing more was added" if error.args else "nothing was added"
        say.error(
            f"interrupted; {added} to the dataset, or, if it was publishing, the next run "
            "finishes it; the same command goes on from here"
        )
        return INTERRUPTED
