"""The comparison as a picture: an SVG of bars on a logarithmic axis, made without a library.

A bar says how many times better ours is (to the right) or worse (to the left) than a peer.
"""

import math
import re
from xml.sax.saxutils import escape

OURS = "Highwater"
COLOURS = {"Litestream 0.5": "#2b6cb0", "Litestream 0.3": "#90b4d8"}
LEFT, WIDTH, BAR, TOP = 470, 480, 9, 62
DECADES = 4  # beyond 10^4 bars are cut, and say so


def write(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.write(drawing([row for row in rows if advantages(row)]))


def advantages(row):
    """For each peer: how many times better ours is; infinite where ours is zero."""
    found, ours = {}, row["values"].get(OURS)
    if row["better"] is None or not isinstance(ours, (int, float)):
        return found
    for peer in COLOURS:
        theirs = row["values"].get(peer)
        if not isinstance(theirs, (int, float)) or (ours == 0 and theirs == 0):
            continue
        least = ours if row["better"] == "less" else theirs
        most = theirs if row["better"] == "less" else ours
        found[peer] = math.inf if least == 0 else most / least
    return found


def position(factor):
    """Where a factor lies on the axis, in pixels."""
    exponent = DECADES if factor == math.inf else math.log10(factor) if factor > 0 else -DECADES
    # One decade to the left: what is lost there is told by the text beside the bar.
    return LEFT + WIDTH * (1 + max(-1, min(DECADES, exponent))) / (1 + DECADES)


def label(factor):
    if factor == math.inf:
        return "∞"
    return f"{factor:,.0f}×" if factor >= 10 else f"{factor:.2g}×"


def shape(x, y, text, **attributes):
    more = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f'<text x="{x:.0f}" y="{y:.0f}"{more}>{escape(text)}</text>'


def drawing(rows):
    names = whole_names(rows)
    step = BAR * len(COLOURS) + 9
    height = TOP + step * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 70}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        shape(14, 20, "How many times better Highwater is than Litestream "
              "(left of 1: how much worse)", font_size=14, font_weight="bold"),
    ]
    for number, (peer, colour) in enumerate(COLOURS.items()):
        x = LEFT + number * 140
        parts.append(f'<rect x="{x}" y="32" width="12" height="9" fill="{colour}"/>')
        parts.append(shape(x + 17, 41, f"than {peer}"))
    for exponent in range(-1, DECADES + 1):
        x = position(10**exponent)
        parts.append(
            f'<line x1="{x:.0f}" y1="{TOP - 4}" x2="{x:.0f}" y2="{height - 24}" '
            f'stroke="{"#333" if exponent == 0 else "#ddd"}"/>'
        )
        parts.append(shape(x, height - 10, f"{10.0**exponent:g}", text_anchor="middle"))
    for number, (row, name) in enumerate(zip(rows, names)):
        y = TOP + number * step
        parts.append(shape(LEFT - 8, y + BAR + 4, name, text_anchor="end"))
        for place, (peer, factor) in enumerate(advantages(row).items()):
            parts += bar(y + place * BAR, factor, COLOURS[peer])
    return "\n".join(parts + ["</svg>"]) + "\n"


def bar(y, factor, colour):
    start, end = sorted((position(1), position(factor)))
    x = position(factor) + 3 if factor >= 1 else position(1) + 3
    return [
        f'<rect x="{start:.1f}" y="{y}" width="{max(1.0, end - start):.1f}" height="{BAR - 1}" '
        f'fill="{colour}"/>',
        shape(x, y + BAR - 1, label(factor), font_size=9,
              fill="#222" if factor >= 1 else "#c53030"),
    ]


def whole_names(rows):
    """Names that stand alone: one that begins with … gets the head of the one before."""
    names, first = [], ""
    for row in rows:
        name = re.sub(r" \([^)]*\)", "", row["what"])
        if name.startswith("…"):
            name = f"{first} {name}"
        else:
            first = name.split(":")[0].split(", ")[0]
        names.append(name if len(name) <= 78 else name[:77] + "…")
    return names
