"""cache: what is kept between runs, and its removal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from deepwright.store import default_store


def cache(*, clear: bool = False) -> dict[str, Any]:
    """Return where encoded rows are kept, how much they take, and every entry, the one used last first; remove them if asked.

    Args:
        clear: Whether all entries are removed.

    Returns:
        ``{"path", "bytes", "limit", "entries": [{"key", "bytes", "rows", "arrays", "used"}], "removed"}``; the path is ``None`` if
        ``DEEPWRIGHT_CACHE=off``.

    Raises:
        UsageError: ``DEEPWRIGHT_CACHE_SIZE`` is no size (E701).
    """
    store = default_store()
    if store is None:
        return {"path": None, "bytes": 0, "limit": 0, "entries": [], "removed": 0}
    removed = store.clear() if clear else 0
    entries = store.entries()
    return {
        "path": str(store.root),
        "bytes": sum(entry.bytes for entry in entries),
        "limit": store.limit,
        "entries": [
            {
                "key": entry.path.name,
                "bytes": entry.bytes,
                "rows": entry.rows,
                "arrays": entry.names,
                "used": datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds"),
            }
            for entry in entries
        ],
        "removed": removed,
    }
