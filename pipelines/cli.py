"""The command line: from argv to a configuration, and from a run to an exit code."""

from __future__ import annotations

import argparse
import io
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from pipelines.config import (
    DEFAULT_MAX_INPUT_BYTES,
    IngestConfig,
    UsageError,
    parse_duration_seconds,
    parse_size_bytes,
)
from pipelines.dataset import DatasetError, PublishError
from pipelines.picture import progress_bar, progress_log, show_report, size
from pipelines.run import RunFailedError, Watch, ingest
from transforms.deduplication import DEFAULT_THRESHOLD

DONE = 0
FAILED = 1
BAD_USAGE = 2
INTERRUPTED = 130

LOG_WIDTH = 120
"""Columns of the picture where standard output is no terminal."""

EXIT_CODES = f"""\
exit codes:
  {DONE}    the run is done and its account balances; single inputs may have failed, and are shown
  {FAILED}    the run failed, and nothing was added to the dataset: its account does not balance,
       the disk is full, the dataset is damaged or another run writes to it; with --strict
       also when an input failed
  {BAD_USAGE}    bad usage: an option, source or output that cannot be used as given
  {INTERRUPTED}  interrupted (Ctrl-C, SIGTERM); nothing was added, or the next run finishes it
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="newsbeam",
        description="News pages, dumps, feeds and archives in; deduplicated, enriched Parquet out.",
    )
    parser.add_argument("--version", action="version", version=f"newsbeam {version('newsbeam')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    command = commands.add_parser(
        "ingest",
        help="turn files into a dataset, or add them to one",
        description=(
            "Read text dumps (.txt), saved pages (.html, .htm), saved feeds (RSS, Atom) and\n"
            "archives (.warc), each also gzipped; find their articles, recognise copies, add\n"
            "language, entities and topics, and write Parquet by date and topic."
        ),
        epilog=EXIT_CODES + "\nUnknown options go to Beam (write them as --name=value).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="file, folder (searched through), glob, or URI of a Beam filesystem",
    )
    command.add_argument(
        "--output", required=True, metavar="DIR", help="the dataset's folder; made if missing"
    )
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
        default=size(DEFAULT_MAX_INPUT_BYTES).replace(" ", "").replace(".0", ""),
        metavar="SIZE",
        help="largest dump, page or feed, decompressed (default: %(default)s); archives are "
        "streamed and may be larger",
    )
    command.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="local processes (default: all cores, as far as the input feeds them)",
    )
    command.add_argument(
        "--strict", action="store_true", help="exit with 1 when a single input failed"
    )
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")
    command.add_argument(
        "--json", action="store_true", help="print a machine-readable summary on standard output"
    )
    return parser


def check_beam_options(options: Sequence[str]) -> None:
    """Refuse options that are neither ours nor Beam's, so that a slip of the pen is heard.

    With a runner of the user's own they pass unchecked: job servers have options of their own.

    Raises:
        UsageError: naming the first option that nobody knows.
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
    _, unknown = parser.parse_known_args(list(options))
    if unknown:
        raise UsageError(f"unknown option {unknown[0]}: it is neither newsbeam's nor Beam's")


def to_config(arguments: argparse.Namespace, beam_options: Sequence[str]) -> IngestConfig:
    """The configuration that parsed arguments stand for.

    Raises:
        UsageError: if a value cannot be used.
    """
    check_beam_options(beam_options)
    if not arguments.output or "://" in arguments.output:
        raise UsageError(f"the output {arguments.output!r} is not a local folder")
    try:
        arguments.output.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"the output's name {arguments.output!r} is not UTF-8") from error
    return IngestConfig(
        sources=tuple(arguments.sources),
        output=Path(arguments.output),
        dedup_threshold=arguments.dedup_threshold,
        dedup_horizon_seconds=parse_duration_seconds(arguments.dedup_horizon),
        max_input_bytes=parse_size_bytes(arguments.max_input_bytes),
        workers=arguments.workers,
        beam_options=tuple(beam_options),
    )


def _set_up_logging(*, quiet: bool) -> None:
    logging.getLogger("newsbeam").setLevel(logging.ERROR if quiet else logging.INFO)
    # Beam logs each worker's traceback before it raises the same error; libraries below log what
    # they make of single pages, which the dataset's own accounts already tell.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    for library in ("trafilatura", "htmldate", "fastwarc", "charset_normalizer"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _interrupt(_signal: int, _frame: object) -> None:
    # Beam's threads lose their worker processes now, and each would say so with a traceback.
    threading.excepthook = lambda _: None
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    arguments, beam_options = make_parser().parse_known_args(argv)
    quiet = arguments.quiet or arguments.json
    _set_up_logging(quiet=quiet)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)

    def watching(watch: Watch) -> AbstractContextManager[None]:
        if quiet:
            return nullcontext()
        return progress_bar(errors, watch) if errors.is_terminal else progress_log(watch)

    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C, and how a scheduler says it
        signal.signal(number, _interrupt)
    try:
        config = to_config(arguments, beam_options)
        report = ingest(config, watching=watching)
    except UsageError as error:
        errors.print(f"newsbeam: {error}", markup=False)
        return BAD_USAGE
    except (RunFailedError, DatasetError, PublishError) as error:
        errors.print(f"newsbeam: the run failed: {error}", markup=False)
        return FAILED
    except KeyboardInterrupt:
        errors.print(
            "newsbeam: interrupted; nothing was added to the dataset, or, if it was publishing, "
            "the next run finishes it",
            markup=False,
        )
        return INTERRUPTED
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may know no UTF-8
    if arguments.json:
        sys.stdout.write(json.dumps(report.summary(), ensure_ascii=False, indent=2) + "\n")
    elif not arguments.quiet:
        terminal = sys.stdout.isatty()
        show_report(Console(highlight=False, width=None if terminal else LOG_WIDTH), report)
    if report.balance.fault_count:
        errors.print(
            "newsbeam: the account does not balance; nothing was added to the dataset. "
            "This is a bug: please report it with the faults listed.",
            markup=False,
        )
        return FAILED
    if arguments.strict and report.count("failed"):
        errors.print(
            f"newsbeam: inputs that failed: {report.count('failed')} (--strict)", markup=False
        )
        return FAILED
    return DONE
