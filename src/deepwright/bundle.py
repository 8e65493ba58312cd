"""The bundle: an immutable, hashed, relocatable directory without code (floor 2).

income/
  manifest.json        format, versions, lineage, figures, and the SHA-256 of every other file
  recipe.yaml          the resolved recipe
  states.json          what features and cleaning learnt from the training rows
  model.onnx           from encoded arrays to probabilities or values (absent if the network cannot be exported)
  weights.safetensors  the network's weights, to go on from
  report.json, report.html, log.jsonl
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from deepwright.errors import BundleError, DataError, Problem, UsageError, nearest
from deepwright.facts import Dtype
from deepwright.families import Feature, State
from deepwright.recipe import Recipe

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Args:
        path: Its directory.
        manifest: The content of ``manifest.json``.
    """

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> Bundle:
        """Open a bundle and, unless told otherwise, compare every file with its hash.

        Raises:
            BundleError: It is not a bundle (E301), was changed (E302) or is of a newer format (E304).
        """
        root = Path(path)
        try:
            manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise _no_bundle(root) from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise BundleError("E302", "the manifest cannot be read", where=f"{root}/{MANIFEST}", got=error) from None
        if not isinstance(manifest, dict) or not _lists_files(manifest.get("files")):
            raise BundleError("E302", "the manifest does not list files with their hashes", where=f"{root}/{MANIFEST}")
        if not isinstance(manifest.get("format"), int):
            raise BundleError("E302", "the manifest tells no format", where=f"{root}/{MANIFEST}", got=repr(manifest.get("format")))
        if manifest["format"] > FORMAT:
            raise BundleError(
                "E304",
                "the bundle is of a newer format",
                where=str(root),
                got=manifest["format"],
                expected=f"at most {FORMAT}",
                fix="pip install --upgrade deepwright",
            )
        bundle = cls(root, manifest)
        if verify:
            bundle.verify()
        return bundle

    def verify(self) -> None:
        """Compare every file with the manifest.

        Raises:
            BundleError: E302, with every file that is missing or differs.
        """
        problems = []
        for name, entry in self.manifest["files"].items():
            relative = PurePosixPath(name)
            target = self.path / relative
            if relative.is_absolute() or ".." in relative.parts or target.is_symlink() or not target.is_file():
                problems.append(Problem("E302", "a file of the bundle is missing", where=str(target)))
            elif (digest := _sha256(target)) != entry["sha256"]:
                problems.append(
                    Problem(
                        "E302",
                        "a file of the bundle was changed",
                        where=str(target),
                        got=f"sha256 {digest[:12]}…",
                        expected=f"{entry['sha256'][:12]}…",
                    )
                )
        if problems:
            raise BundleError.of(problems)

    def file(self, name: str) -> Path:
        """Return the path of a listed file.

        Raises:
            BundleError: The bundle does not hold that file (E302).
        """
        if name not in self.manifest["files"]:
            raise BundleError("E302", f"the bundle holds no {name}", where=str(self.path))
        return self.path / name

    def has(self, name: str) -> bool:
        """Return whether the bundle holds a file of that name."""
        return name in self.manifest["files"]

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return Recipe.load(self.file("recipe.yaml"))

    @cached_property
    def states(self) -> dict[str, Any]:
        """What was learnt from the training rows, as plain values; :class:`deepwright.datapath.DataPath` reads them."""
        states: dict[str, Any] = json.loads(self.file("states.json").read_text(encoding="utf-8"))
        return states

    @property
    def id(self) -> str:
        """A hash over all files: the same content has the same identity wherever it lies."""
        lines = sorted(f"{name} {entry['sha256']}" for name, entry in self.manifest["files"].items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(int(entry["bytes"]) for entry in self.manifest["files"].values())


def expect_weights(declared: str | None, found: str | None, where: str) -> None:
    """Refuse weights of another hash than the recipe declares, if it declares one.

    Raises:
        DataError: E276.
    """
    if declared not in (None, found):
        raise DataError(
            "E276",
            "the weights are not those that the recipe was resolved with",
            where=where,
            got=f"sha256 {str(found)[:12]}…",
            expected=f"{str(declared)[:12]}…",
            fix="bring those weights back, or remove sha256 from the recipe",
        )


@dataclass(frozen=True)
class HeldEncoder:
    """An input of a bundle that has an encoder of its own.

    Args:
        bundle: The bundle.
        name: The input.
        feature: What the recipe says of it, its encoder included.
        prefix: What the names of the encoder's weights begin with.
    """

    bundle: Bundle
    name: str
    feature: Feature
    prefix: str

    @property
    def digest(self) -> str:
        """The hash of the bundle's weights."""
        return str(self.bundle.manifest["files"]["weights.safetensors"]["sha256"])

    @property
    def state(self) -> State:
        """What the input's training rows taught."""
        return self.feature.state.model_validate(self.bundle.states["inputs"][self.name])

    @classmethod
    def of(cls, path: str, name: str | None, dtypes: Collection[Dtype], kind: str, *, where: str, fix: str) -> HeldEncoder:
        """Find an encoder in a bundle.

        Args:
            path: The bundle.
            name: The input; by default the only one that fits.
            dtypes: Of which types it may be.
            kind: What such inputs are, for messages.
            where: The recipe's path, for messages.
            fix: How an input is named.

        Raises:
            BundleError: The bundle cannot be opened, or no input, or several, fit (E306).
        """
        bundle = Bundle.open(path)
        own = {key: each for key, each in bundle.recipe.inputs.items() if each.same_as is None}
        fit = {key: each for key, each in own.items() if each.dtype in dtypes and each.encoder is not None}
        if name not in fit and (name or len(fit) != 1):
            raise BundleError(
                "E306",
                f"the bundle has no input of {kind} {name!r}{nearest(name, fit)}" if name else "the input is not named",
                where=where,
                got=f"inputs of {kind}: {', '.join(fit) or 'none'}",
                fix=fix if fit else f"take a bundle that was trained on {kind}",
            )
        name = name or next(iter(fit))
        feature = fit[name]
        if feature.encoder is not None and feature.encoder.type_name() == "custom":
            raise BundleError(
                "E306",
                "the bundle's encoder is a module from Python, which no bundle holds",
                where=where,
                fix="give the module again:  dw.train(..., modules={INPUT: MODULE})",
            )
        groups = list(dict.fromkeys(key if each.encoder is not None else "" for key, each in own.items()))
        seen = "encoder." if getattr(feature, "tta", "none") != "none" else ""
        return cls(bundle, name, feature, f"encoders.{groups.index(name)}.{seen}")


def _lists_files(files: object) -> bool:
    """Return whether a manifest's ``files`` are ``{name: {"sha256": text, "bytes": number}}``."""
    return isinstance(files, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("bytes"), int)
        for entry in files.values()
    )


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse early to write where something lies already, or where nothing can be written.

    Raises:
        BundleError: E303, the path exists.
        UsageError: E703, the parent is not a writable directory.
    """
    if path.exists() and not (overwrite and (path / MANIFEST).is_file()):
        what = "a bundle" if (path / MANIFEST).is_file() else "a file or directory that is not a bundle"
        fix = "choose another -o, or add --overwrite" if (path / MANIFEST).is_file() else "choose another -o"
        raise BundleError("E303", "the output already exists", where=str(path), got=what, fix=fix)
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError("E703", "the output cannot be written", where=str(path), got=f"{parent} is not a writable directory")


@contextmanager
def writing(path: Path, *, overwrite: bool = False, manifest: dict[str, Any]) -> Iterator[Path]:
    """Write a bundle atomically: fill the directory that this yields; it takes its name only when all is on disk.

    Args:
        path: Where the bundle shall be.
        overwrite: Whether a bundle at that path is replaced.
        manifest: Entries of the manifest; may be filled until the block ends.

    Raises:
        BundleError: E303, the path exists.
    """
    check_target(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield scratch
        files = {file.relative_to(scratch).as_posix(): file for file in sorted(scratch.rglob("*")) if file.is_file()}
        manifest["format"] = FORMAT
        manifest["created"] = datetime.now(UTC).isoformat(timespec="seconds")
        manifest["versions"] = versions()
        manifest["files"] = {name: {"sha256": _sha256(file), "bytes": file.stat().st_size} for name, file in files.items()}
        (scratch / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8")
        for file in (*files.values(), scratch / MANIFEST):
            _sync(file)
        scratch.chmod(0o755)
        _take_place(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _take_place(scratch: Path, path: Path) -> None:
    if not path.exists():
        scratch.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    path.rename(old / path.name)
    try:
        scratch.rename(path)
    except OSError:
        (old / path.name).rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a bundle depends on."""
    found = {"python": platform.python_version()}
    for name in ("deepwright", "numpy", "polars", "onnxruntime", "torch", "onnx", "onnxscript"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    Raises:
        UsageError: E703, the file cannot be written.
    """
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise UsageError("E703", "the file cannot be written", where=str(path), got=error.strerror or error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except BaseException as error:
        Path(scratch).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError("E703", "the file cannot be written", where=str(path), got=error.strerror or error) from None
        raise


def _sync(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _no_bundle(place: Path) -> BundleError:
    """Return the error for a path that is none, with what seems to be meant."""
    expected = "a directory that `deepwright train` wrote"
    if place.is_file():
        fix = "name the bundle first, and the data behind it"
        return BundleError("E301", "not a bundle", where=str(place), got="a file", expected=expected, fix=fix)
    if place.exists():
        return BundleError("E301", "not a bundle", where=str(place), got=f"no {MANIFEST}", expected=expected)
    beside = sorted(other.parent.name for other in place.parent.glob(f"*/{MANIFEST}"))
    what = f"there is no bundle {place.name}{nearest(place.name, beside)}"
    where = "" if place.is_absolute() else f"; it was looked for in {Path.cwd()}"
    fix = f"correct the path{where}" + (f"; bundles there: {', '.join(beside[:10])}" if beside else "")
    return BundleError("E301", what, where=str(place), expected=expected, fix=fix)
