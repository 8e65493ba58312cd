"""The one style sheet of all pages: light and dark, phone and print, scoped to ``.dw`` so that notebooks stay theirs (floor 7)."""

from __future__ import annotations

from deepwright.reporting.svg import COLOURS

_LIGHT = {"paper": "#ffffff", "ink": "#1b2230", "soft": "#5b6575", "card": "#f5f7fa", "rule": "#dce1e8", "accent": "#2468c4"}
_LIGHT |= {"good": "#1a7f4b", "warn": "#96650a", "bad": "#b3261e"} | {str(i): c for i, c in enumerate(COLOURS)}
_DARK = {"paper": "#12161d", "ink": "#e4e8ee", "soft": "#9aa5b4", "card": "#1a2029", "rule": "#2d3643", "accent": "#6ea8f7"}
_DARK |= {"good": "#58c98b", "warn": "#e0b04a", "bad": "#f2837b"}
_DARK |= dict(
    zip("01234567", ("#6ea8f7", "#f08c5a", "#4fc79a", "#d887d4", "#e0b04a", "#55c3e0", "#f2788f", "#a9b4c2"), strict=True)
)


def _variables(values: dict[str, str]) -> str:
    return "".join(f"--dw-{name}:{value};" for name, value in values.items())


_SCOPE = ".dw,.dw-page"

STYLE = (
    f"{_SCOPE}{{{_variables(_LIGHT)}color-scheme:light}}"
    f"@media (prefers-color-scheme:dark){{{_SCOPE}{{{_variables(_DARK)}color-scheme:dark}}}}"
    f":is([data-theme=dark],[data-jp-theme-light=false]) :is({_SCOPE}){{{_variables(_DARK)}color-scheme:dark}}"
    f":is([data-theme=light],[data-jp-theme-light=true]) :is({_SCOPE}){{{_variables(_LIGHT)}color-scheme:light}}"
    """
.dw-page{margin:0;background:var(--dw-paper)}
.dw,.dw *{box-sizing:border-box}
.dw{background:var(--dw-paper);color:var(--dw-ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"Noto Sans CJK SC",sans-serif;max-width:1120px;margin:0 auto;padding:20px 20px 56px;overflow-wrap:break-word}
.dw header{border-bottom:1px solid var(--dw-rule);margin-bottom:20px;padding-bottom:12px}
.dw h1{font-size:1.75rem;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
.dw h2{font-size:1.3rem;line-height:1.3;margin:36px 0 10px}
.dw h3{font-size:1.05rem;margin:22px 0 8px;overflow-wrap:anywhere}
.dw p{margin:6px 0 10px;max-width:75ch}
.dw .soft{color:var(--dw-soft)}
.dw small{font-size:.85rem;color:var(--dw-soft)}
.dw a{color:var(--dw-accent)}
.dw nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:8px;font-size:.92rem}
.dw .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin:10px 0 16px}
.dw .tile{background:var(--dw-card);border:1px solid var(--dw-rule);border-radius:8px;padding:10px 14px}
.dw .tile b{display:block;font-size:1.55rem;line-height:1.25;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.dw .tile span{display:block;font-size:.85rem;color:var(--dw-soft)}
.dw .tile.main{border-color:var(--dw-accent);box-shadow:inset 3px 0 var(--dw-accent)}
.dw .figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,410px),1fr));gap:16px;margin:12px 0;
align-items:start}
.dw figure{margin:0;padding:12px;border:1px solid var(--dw-rule);border-radius:8px;min-width:0;break-inside:avoid}
.dw figure svg{margin:0 auto}
.dw figure.wide{grid-column:1/-1;overflow-x:auto}
.dw figure.wide svg{min-width:620px}
.dw figcaption{font-size:.85rem;color:var(--dw-soft);margin-top:6px}
.dw .scroll{overflow-x:auto;margin:8px 0 16px}
.dw table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;margin:0;width:auto;color:inherit}
.dw th,.dw td{padding:5px 12px 5px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--dw-rule);
background:none;max-width:46ch;overflow-wrap:break-word;white-space:normal}
.dw th{font-weight:600;color:var(--dw-soft);vertical-align:bottom}
.dw td.n,.dw th.n{text-align:right;white-space:nowrap}
.dw tr.set td{font-weight:600}
.dw caption{text-align:left;color:var(--dw-soft);font-size:.85rem;padding-bottom:4px}
.dw pre{background:var(--dw-card);border:1px solid var(--dw-rule);border-radius:8px;padding:12px 14px;overflow-x:auto;color:inherit;
font:.86rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;tab-size:2;margin:8px 0}
.dw code{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--dw-card);padding:1px 5px;
border-radius:4px;overflow-wrap:anywhere;color:inherit}
.dw dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 16px;margin:8px 0 14px;font-size:.92rem}
.dw dt{color:var(--dw-soft)}
.dw dd{margin:0;overflow-wrap:anywhere}
.dw ul{padding-left:0;margin:8px 0;list-style:none}
.dw ul.items>li{padding:8px 0 8px 14px;border-left:3px solid var(--dw-rule);margin:6px 0}
.dw ul.items>li.warn{border-color:var(--dw-warn)}
.dw ul.items>li.error{border-color:var(--dw-bad)}
.dw .badge{display:inline-block;font-size:.78rem;padding:0 8px;border:1px solid currentColor;border-radius:10px;
color:var(--dw-soft);margin-right:6px;vertical-align:1px}
.dw .badge.warn{color:var(--dw-warn)}
.dw .badge.error{color:var(--dw-bad)}
.dw .badge.good{color:var(--dw-good)}
.dw .cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr));gap:14px;margin:12px 0;
align-items:start}
.dw .card{border:1px solid var(--dw-rule);border-radius:8px;padding:12px 14px;min-width:0;break-inside:avoid}
.dw .card h3{margin:0 0 6px}
.dw .shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(136px,1fr));gap:12px;margin:12px 0}
.dw .shot{border:1px solid var(--dw-rule);border-radius:8px;padding:8px;font-size:.85rem;break-inside:avoid}
.dw .shot img{display:block;width:100%;height:128px;object-fit:contain;margin-bottom:6px}
.dw .strip{display:grid;grid-template-columns:repeat(3,1fr);gap:8px;margin:8px 0 6px}
.dw .strip img{display:block;width:100%;aspect-ratio:1;object-fit:contain;image-rendering:auto}
.dw .strip small{display:block;text-align:center}
.dw .card{font-size:.92rem}
.dw .legend{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:.92rem;max-width:none}
.dw .legend i{display:inline-block;width:.9em;height:.9em;border-radius:3px;margin-right:6px;vertical-align:-1px;
border:1px solid var(--dw-rule)}
.dw td img{display:block;max-width:96px;max-height:96px}
.dw img.tiny{image-rendering:pixelated}
.dw details{margin:10px 0}
.dw summary{cursor:pointer;color:var(--dw-accent)}
.dw footer{margin-top:40px;border-top:1px solid var(--dw-rule);padding-top:10px;font-size:.85rem;color:var(--dw-soft)}
.dw.part{padding:8px 0;max-width:none}
@media (max-width:560px){.dw{padding:14px 12px 40px}.dw h1{font-size:1.4rem}.dw .tiles{grid-template-columns:1fr 1fr;gap:8px}
.dw .tile{padding:8px 10px}.dw .tile b{font-size:1.2rem}.dw figure{padding:8px}.dw dl{grid-template-columns:1fr;gap:0}
.dw dd{margin-bottom:6px}.dw table{width:max-content}.dw th,.dw td{max-width:30ch}}
"""
    f"@media print{{{_SCOPE},[data-theme] :is({_SCOPE}){{{_variables(_LIGHT)}color-scheme:light}}"
    ".dw{max-width:none;padding:0;font-size:11pt}.dw nav{display:none}.dw details:not([open])>*{display:none}"
    ".dw pre{white-space:pre-wrap}.dw .scroll,.dw figure.wide{overflow:visible}.dw figure.wide svg{min-width:0}"
    ".dw h2,.dw h3{break-after:avoid}.dw tr,.dw .tile,.dw .shot{break-inside:avoid}"
    ".dw,.dw *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}"
)
"""The style sheet."""
