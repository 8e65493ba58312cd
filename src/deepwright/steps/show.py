"""What a bundle is, in one look, without torch (floor 6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepwright.bundle import Bundle
from deepwright.families import Feature


def show(bundle: Path | str) -> dict[str, Any]:
    """Return a bundle's identity, inputs, outputs, figures, sizes, lineage and versions as plain values.

    Every file is compared with its hash on the way.

    Raises:
        BundleError: It is not a bundle (E301), was changed (E302) or is of a newer format (E304).
    """
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    known = {"format", "created", "versions", "files", "outputs"}
    return {
        "bundle": str(opened.path),
        "id": opened.id,
        "created": manifest.get("created"),
        "bytes": opened.bytes,
        "inputs": {name: _words(feature) for name, feature in opened.recipe.inputs.items()},
        "outputs": {
            name: {"type": _words(feature), **manifest.get("outputs", {}).get(name, {})}
            for name, feature in opened.recipe.outputs.items()
        },
        "exported": opened.has("model.onnx"),
        **{key: value for key, value in manifest.items() if key not in known},
        "files": {name: entry["bytes"] for name, entry in manifest["files"].items()},
        "versions": manifest.get("versions", {}),
    }


def _words(feature: Feature) -> str:
    parts = [feature.type_name()]
    parts += [f"encoder {feature.encoder.type_name()}"] if feature.encoder is not None else []
    parts += [f"head {feature.head.type_name()}"] if feature.head is not None else []
    parts += [f"loss {feature.loss.type_name()}"] if feature.loss is not None else []
    return ", ".join(parts)
