# SPDX-License-Identifier: MIT
"""A bar chart as SVG: some values for each of many names, on a logarithmic axis."""

import math
from xml.sax.saxutils import escape

BAR, GAP, GROUP_GAP = 9, 1, 8
LEFT, RIGHT, TOP, BOTTOM = 190, 70, 84, 30
WIDTH = 900
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def draw(title, names, series):
    """names: in order from the top; series: {legend: {name: value or None}}."""
    names = [name for name in names if any(values.get(name) for values in series.values())]
    largest = max((value for values in series.values() for value in values.values() if value),
                  default=1)
    decades = max(1, math.ceil(math.log10(largest)))
    scale = (WIDTH - LEFT - RIGHT) / decades
    group = len(series) * (BAR + GAP) + GROUP_GAP
    bottom = TOP + len(names) * group
    height = bottom + BOTTOM

    def x(value):
        return LEFT + scale * math.log10(max(value, 1))

    def text(at_x, at_y, words, **attributes):
        extra = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in attributes.items())
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}"{extra}>{escape(str(words))}</text>'

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             text(LEFT, 22, title, font_size=15, font_weight="bold")]
    for number, legend in enumerate(series):
        at = LEFT + number % 2 * 300, 42 + number // 2 * 15
        parts += [f'<rect x="{at[0]}" y="{at[1] - 9}" width="10" height="10" '
                  f'fill="{COLOURS[number % len(COLOURS)]}"/>', text(at[0] + 15, at[1], legend)]
    for decade in range(decades + 1):
        at = x(10 ** decade)
        parts += [f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom}" stroke="#ccc"/>',
                  text(at, TOP - 10, f"{10 ** decade:,}", text_anchor="middle", fill="#666")]
    for row, name in enumerate(names):
        top = TOP + row * group
        parts.append(text(LEFT - 8, top + (group - GROUP_GAP) / 2 + 4, name, text_anchor="end"))
        for number, values in enumerate(series.values()):
            value, y = values.get(name), top + number * (BAR + GAP)
            if value:
                parts += [f'<rect x="{LEFT}" y="{y}" width="{max(x(value) - LEFT, 1):.1f}" '
                          f'height="{BAR}" fill="{COLOURS[number % len(COLOURS)]}"/>',
                          text(x(value) + 4, y + BAR - 1, value, font_size=9, fill="#444")]
    return "\n".join([*parts, "</svg>"]) + "\n"
