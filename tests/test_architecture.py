"""The shape of the code, held by tests: what may import what, and what every stage looks like.

The source files are read, not run, except for the records, whose coders are tried out.

A *stage* is a module of ``transforms`` that defines a ``PTransform``. All others hold pure
functions, know no Beam but its ``Timestamp``, and may be used by any stage.
"""

from __future__ import annotations

import ast
import dataclasses
import pickle
import re
import types
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from apache_beam.coders import registry
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas.records

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("schemas", "transforms", "pipelines")
"""Each may import itself and those before it."""


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a source file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    """A module's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(*packages: str) -> list[Path]:
    """The source files of packages, sorted."""
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Dotted names of all a module imports, wherever in it: modules, and names out of modules."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}, line {node.lineno}: a relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def lies_in(name: str, package: str) -> bool:
    """Whether a dotted name is a package or something in it."""
    return name == package or name.startswith(f"{package}.")


def classes_of(path: Path, base: str) -> list[ast.ClassDef]:
    """The classes of a module that name ``base`` as a base class, with or without its module."""
    return [
        node
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(parent).split(".")[-1] == base for parent in node.bases)
    ]


STAGES = [path for path in modules("transforms") if classes_of(path, "PTransform")]
PURE = [path for path in modules("transforms") if path not in STAGES]
TRANSFORMS = [
    pytest.param(node, id=f"{name_of(path)}.{node.name}")
    for path in STAGES
    for node in classes_of(path, "PTransform")
]


def each(paths: list[Path]) -> pytest.MarkDecorator:
    """Run a test for each module, under its name."""
    return pytest.mark.parametrize("path", [pytest.param(path, id=name_of(path)) for path in paths])


# ── what may import what ────────────────────────────────────────────────────────────────────────


def test_there_are_stages_and_pure_modules() -> None:
    """The tests below would say nothing about an empty list."""
    assert len(STAGES) >= 8
    assert len(PURE) >= 8


@each(modules(*LAYERS))
def test_imports_go_one_way(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    later = LAYERS[LAYERS.index(layer) + 1 :]
    upward = [name for name in imports_of(path) if any(lies_in(name, above) for above in later)]
    assert upward == []


@each(modules(*LAYERS))
def test_the_product_imports_no_tests_and_no_benchmarks(path: Path) -> None:
    outside = [name for name in imports_of(path) if name.split(".")[0] in ("tests", "benchmarks")]
    assert outside == []


@each(modules("transforms"))
def test_nothing_in_transforms_imports_a_stage(path: Path) -> None:
    """Stages meet in the graph alone; what two of them need is a pure module or a record."""
    stages = {name_of(stage) for stage in STAGES} - {name_of(path)}
    taken = [name for name in imports_of(path) if any(lies_in(name, stage) for stage in stages)]
    assert taken == []


@each(PURE)
def test_a_pure_module_knows_no_beam_but_its_timestamp(path: Path) -> None:
    beam = [name for name in imports_of(path) if lies_in(name, "apache_beam")]
    assert set(beam) <= {"apache_beam.utils.timestamp.Timestamp"}


@each(modules("schemas", "transforms"))
def test_stages_and_records_know_no_runner(path: Path) -> None:
    runners = [name for name in imports_of(path) if lies_in(name, "apache_beam.runners")]
    assert runners == []


@each(modules("schemas", "transforms"))
def test_no_stage_reads_the_clock(path: Path) -> None:
    """When something was observed is an argument, so that runs can be repeated."""
    clocks = re.compile(r"\b(datetime|date|Timestamp)\.(now|utcnow|today)$|^time\.time(_ns)?$")
    calls = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))
    assert [ast.unparse(call) for call in calls if clocks.search(ast.unparse(call.func))] == []


def test_no_module_is_named_for_holding_things() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "shared", "base"}
    named = {
        part.lstrip("_")
        for path in modules(*LAYERS, "tests", "benchmarks")
        for part in path.relative_to(ROOT).with_suffix("").parts
    }
    assert named & vague == set()


def test_the_table_of_contents_lists_every_module_once() -> None:
    """Each with its name first on a line; what a stage's line names beside it, it defines."""
    contents = ast.get_docstring(tree_of(ROOT / "transforms" / "__init__.py")) or ""
    lines = re.findall(r"^\s+``(\w+)``(.*)$", contents, flags=re.MULTILINE)
    listed = [module for module, _ in lines]
    assert sorted(listed) == sorted({path.stem for path in modules("transforms")} - {"__init__"})
    for module, line in lines:
        path = ROOT / "transforms" / f"{module}.py"
        defined = {transform.name for transform in classes_of(path, "PTransform")}
        assert set(re.findall(r"``(\w+)``", line)) <= defined, module


# ── what a stage looks like ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transform_is_a_plain_dataclass(transform: ast.ClassDef) -> None:
    """A frozen one crashes in Beam, which sets attributes on it."""
    decorators = {ast.unparse(decorator) for decorator in transform.decorator_list}
    assert decorators == {"dataclass"}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_expand_says_what_goes_in_and_what_comes_out(transform: ast.ClassDef) -> None:
    """Beam compares these types while the graph is built, and mis-wiring fails there."""
    expand = next(
        node
        for node in transform.body
        if isinstance(node, ast.FunctionDef) and node.name == "expand"
    )
    untyped = [arg.arg for arg in expand.args.args if arg.arg != "self" and arg.annotation is None]
    assert untyped == []
    assert expand.returns is not None


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_no_lambda_of_a_transform_closes_over_it(transform: ast.ClassDef) -> None:
    """The whole transform, with its inputs, would have to be pickled with the lambda."""
    lambdas = [node for node in ast.walk(transform) if isinstance(node, ast.Lambda)]
    names = (name for node in lambdas for name in ast.walk(node) if isinstance(name, ast.Name))
    assert [name.lineno for name in names if name.id == "self"] == []


@each(STAGES)
def test_a_do_fn_is_private(path: Path) -> None:
    assert [node.name for node in classes_of(path, "DoFn") if not node.name.startswith("_")] == []


@each(modules(*LAYERS))
def test_the_main_session_is_not_saved(path: Path) -> None:
    """Workers install the wheel; pickling the main module hides what they lack."""
    assert "save_main_session" not in path.read_text(encoding="utf-8")


# ── what a record looks like ────────────────────────────────────────────────────────────────────

RECORDS: list[type] = [
    kind
    for kind in vars(schemas.records).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
]


def test_records_keep_their_annotations_as_types() -> None:
    """As strings, they make Beam's row coder non-deterministic and up to nine times larger."""
    imports = imports_of(ROOT / "schemas" / "records.py")
    assert "__future__.annotations" not in imports


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_frozen_and_its_coder_deterministic(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert registry.get_coder(kind).is_deterministic()


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that a field of this type may hold, as far as the row coder can carry it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values(argument) for argument in arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if kind in RECORDS:
        fields = typing.get_type_hints(kind)
        return st.builds(kind, **{name: values(field) for name, field in fields.items()})
    return {
        str: st.text(max_size=20),
        bytes: st.binary(max_size=20),
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False),
        type(None): st.none(),
        # From year 1 to year 9999, before the epoch too: archives are old.
        Timestamp: st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999).map(
            lambda micros: Timestamp(micros=micros)
        ),
    }[kind]


@pytest.mark.parametrize("kind", RECORDS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_record_comes_back_from_its_coder_as_it_was(kind: type, data: st.DataObject) -> None:
    """Also from a copy of the coder, as a worker gets it, and the same record as the same bytes."""
    record = data.draw(values(kind))
    coder = registry.get_coder(kind)
    encoded = coder.encode(record)
    decoded = pickle.loads(pickle.dumps(coder)).decode(encoded)
    assert type(decoded) is kind
    assert decoded == record
    assert coder.encode(decoded) == encoded


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_holds_nothing_that_only_python_can_read(kind: type) -> None:
    """No ``dict``, ``Any`` or mutable ``list``: a schema by rumour."""
    allowed = {str, bytes, bool, int, float, Timestamp, type(None), *RECORDS}

    def leaves(hint: Any) -> Iterator[Any]:
        if typing.get_origin(hint) in (tuple, typing.Union, types.UnionType):
            for argument in typing.get_args(hint):
                yield from leaves(argument)
        elif hint is not Ellipsis:
            yield hint

    fields = typing.get_type_hints(kind)
    assert [name for name, hint in fields.items() if not set(leaves(hint)) <= allowed] == []
