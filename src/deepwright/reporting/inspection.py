"""What a table holds and what is wrong with it, as a page (floor 7)."""

from __future__ import annotations

from deepwright.findings import Finding
from deepwright.profiling import ColumnProfile, Profile
from deepwright.reporting import charts
from deepwright.reporting.page import (
    Page,
    badge,
    cards,
    details,
    heading,
    inline_code,
    items,
    mapping,
    paragraph,
    picture,
    section,
    table,
    tiles,
)
from deepwright.reporting.text import Markup, join, number, percent, shorten, tag

_CARDS = 60
_SMALL = (320.0, 190.0)
_WORDS = {"error": "error", "warn": "warning", "info": "note"}


def inspection_html(profile: Profile) -> str:
    """Return the page of a profile: an overview, what deserves attention with the line to write, and a card a column."""
    sampled = f", {number(profile.sampled)} of them looked at" if profile.sampled is not None else ""
    page = Page(profile.name, f"{number(profile.rows)} rows × {number(len(profile.columns))} columns{sampled}")
    page.add(section("Overview", _overview(profile), _listing(profile)))
    page.add(section("Findings", findings(profile.findings)))
    known = [("", join([each.why, tag("div", inline_code(each.command))])) for each in profile.advice]
    page.add(section("What it may be for", items(known)))
    shown = [_card(column, profile) for column in profile.columns[:_CARDS]]
    rest = len(profile.columns) - len(shown)
    more = paragraph(f"{number(rest)} further columns have no card; the overview lists them.", soft=True) if rest > 0 else ""
    return page.add(section("Columns", cards(*shown), more)).render()


def findings(found: tuple[Finding, ...]) -> Markup:
    """Return what deserves attention, each with its recipe line."""
    if not found:
        return paragraph("Nothing deserves attention.", soft=True)

    def entry(finding: Finding) -> Markup:
        kind = finding.severity if finding.severity != "info" else ""
        fix = tag("div", "write  ", inline_code(finding.fix)) if finding.fix else ""
        return join([badge(_WORDS[finding.severity], kind), finding.text, fix])

    return items((finding.severity, entry(finding)) for finding in found)


def _overview(profile: Profile) -> Markup:
    cells = profile.rows * len(profile.columns)
    missing = sum(column.missing for column in profile.columns) / cells if cells else 0.0
    counts = {kind: sum(f.severity == kind for f in profile.findings) for kind in _WORDS}
    found = ", ".join(f"{n} {_WORDS[kind]}{'s' if n != 1 else ''}" for kind, n in counts.items() if n)
    entries: list[tuple[str, object, str]] = [
        ("Rows", profile.rows, f"test {number(profile.test_rows)}" if profile.test_rows is not None else ""),
        ("Columns", len(profile.columns), f"target {profile.target}" if profile.target else ""),
        ("Missing values", percent(missing), ""),
        ("Findings", len(profile.findings), found),
    ]
    return tiles(entries, first=False)


def _listing(profile: Profile) -> Markup:
    rows = [
        (
            join([column.name, " ", badge("target")]) if column.name == profile.target else column.name,
            column.type,
            percent(column.missing_share),
            column.distinct,
            _values(column),
            "; ".join(column.notes),
        )
        for column in profile.columns
    ]
    made = table(["Column", "Type", "Missing", "Distinct", "Values", "Note"], rows)
    return details(f"All {len(rows)} columns", made) if len(rows) > 40 else made


def _values(column: ColumnProfile) -> str:
    if column.numbers is not None:
        return f"{number(column.numbers.min)} … {number(column.numbers.max)}"
    if column.first is not None:
        return f"{column.first} … {column.last}"
    return ", ".join(shorten(top.value, 16) for top in column.top[:3]) + (", …" if column.distinct > 3 else "")


def _card(column: ColumnProfile, profile: Profile) -> Markup:
    marks = [badge(column.type), badge("target", "good") if column.name == profile.target else ""]
    lines: dict[str, object] = {
        "Missing": f"{percent(column.missing_share)} ({number(column.missing)})" if column.missing else "none",
        "Distinct": column.distinct,
    }
    if column.numbers is not None:
        n = column.numbers
        lines |= {"Mean ± std": f"{number(n.mean)} ± {number(n.std)}"}
        lines |= {"Quartiles": f"{number(n.q25)}, {number(n.median)}, {number(n.q75)}"}
        lines |= {"Infinite": n.infinite} if n.infinite else {}
    if column.first is not None:
        lines["From … to"] = f"{column.first} … {column.last}"
    if column.length is not None:
        lines["Mean length"] = f"{number(column.length, 3)} characters"
    notes = [paragraph(note, soft=True) for note in column.notes]
    own = [f for f in profile.findings if column.name in f.columns and f.severity != "info"]
    why = paragraph(column.why, soft=True) if column.why else ""
    return join(
        [
            heading(column.name),
            *marks,
            _chart(column),
            _strip(column),
            mapping(lines),
            why,
            *notes,
            findings(tuple(own)) if own else "",
        ]
    )


def _strip(column: ColumnProfile) -> Markup:
    shown = (tag("div", picture(data, alt=word), tag("small", shorten(word, 20))) for word, data in column.examples)
    return tag("div", *shown, class_="strip") if column.examples else Markup("")


def _chart(column: ColumnProfile) -> Markup:
    if column.numbers is not None:
        n = column.numbers
        return charts.histogram(n.edges, n.counts, title="Distribution", y_label="rows", size=_SMALL)
    if column.top and column.top[0].count > 1:
        names = [top.value for top in column.top]
        texts = [percent(top.share) for top in column.top]
        return charts.bars(
            names, [float(top.count) for top in column.top], title="Most frequent values", texts=texts, wide=_SMALL[0]
        )
    return Markup("")
