"""Bundles: written whole or not at all, verified, relocatable."""

import json
import shutil

import pytest

from deepwright.bundle import Bundle, write_atomically, writing
from deepwright.errors import BundleError, UsageError
from deepwright.recipe import Recipe


def make(path, *, overwrite=False, content="a"):
    manifest = {"kind": "model"}
    with writing(path, overwrite=overwrite, manifest=manifest) as scratch:
        Recipe.parse({"training": {"epochs": 3}}).save(scratch / "recipe.yaml")
        (scratch / "states.json").write_text(json.dumps({"x": content}))
    return path


def test_what_is_written_is_read(tmp_path):
    bundle = Bundle.open(make(tmp_path / "m"))
    assert bundle.recipe.training.epochs == 3
    assert bundle.states == {"x": "a"}
    assert set(bundle.manifest["files"]) == {"recipe.yaml", "states.json"}
    assert bundle.manifest["versions"]["deepwright"]


def test_a_bundle_is_the_same_wherever_it_lies(tmp_path):
    first = Bundle.open(make(tmp_path / "m"))
    shutil.copytree(tmp_path / "m", tmp_path / "elsewhere" / "n")
    assert Bundle.open(tmp_path / "elsewhere" / "n").id == first.id


@pytest.mark.parametrize("damage", ["flip", "remove", "truncate"])
def test_damage_is_found_and_named(tmp_path, damage):
    file = make(tmp_path / "m") / "states.json"
    data = file.read_bytes()
    if damage == "flip":
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif damage == "truncate":
        file.write_bytes(data[:-1])
    else:
        file.unlink()
    with pytest.raises(BundleError, match=r"states\.json") as caught:
        Bundle.open(tmp_path / "m")
    assert caught.value.code == "E302"


def test_a_manifest_cannot_point_outside(tmp_path):
    manifest = make(tmp_path / "m") / "manifest.json"
    value = json.loads(manifest.read_text())
    value["files"]["../secret"] = {"sha256": "0", "bytes": 1}
    manifest.write_text(json.dumps(value))
    (tmp_path / "secret").write_text("x")
    with pytest.raises(BundleError, match="secret"):
        Bundle.open(tmp_path / "m")


def test_a_newer_format_is_refused(tmp_path):
    manifest = make(tmp_path / "m") / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(BundleError) as caught:
        Bundle.open(tmp_path / "m")
    assert caught.value.code == "E304"


def test_not_a_bundle(tmp_path):
    with pytest.raises(BundleError) as caught:
        Bundle.open(tmp_path)
    assert caught.value.code == "E301"


def test_an_existing_output_is_kept_unless_asked(tmp_path):
    make(tmp_path / "m")
    with pytest.raises(BundleError) as caught:
        make(tmp_path / "m", content="b")
    assert caught.value.code == "E303"
    assert Bundle.open(tmp_path / "m").states == {"x": "a"}
    make(tmp_path / "m", overwrite=True, content="b")
    assert Bundle.open(tmp_path / "m").states == {"x": "b"}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_overwrite_never_replaces_what_is_not_a_bundle(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    with pytest.raises(BundleError):
        make(tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "a.jpg").exists()


def test_a_failure_leaves_nothing(tmp_path):
    def fail():
        with writing(tmp_path / "m", manifest={}) as scratch:
            (scratch / "x").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "f"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    with pytest.raises(UsageError) as caught:
        write_atomically(tmp_path / "no" / "f", b"x")
    assert caught.value.code == "E703"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
