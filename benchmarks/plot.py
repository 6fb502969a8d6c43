"""Curves over two logarithmic axes, as SVG that is readable on light and on dark pages."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

_WIDTH, _HEIGHT = 760, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 32, 92, 60

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.grid { stroke: #d0d7de; stroke-width: 1 }
.curve { fill: none; stroke-width: 2.25; stroke-linejoin: round }
.dashed { stroke-dasharray: 7 4 }
.of0 { stroke: #b35900 } .mark.of0 { fill: #b35900 }
.of1 { stroke: #0969da } .mark.of1 { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #d1d7e0 }
  .grid { stroke: #3d444d }
  .of0 { stroke: #f0a35e } .mark.of0 { fill: #f0a35e }
  .of1 { stroke: #6cb6ff } .mark.of1 { fill: #6cb6ff }
}"""


@dataclass(frozen=True)
class Curve:
    name: str
    colour: int
    """0 or 1."""
    dashed: bool
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Axes:
    """Where a point of the data is on the picture."""

    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, value: float) -> float:
        return _LEFT + _part(self.x, value) * (_WIDTH - _LEFT - _RIGHT)

    def down(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - _part(self.y, value) * (_HEIGHT - _TOP - _BOTTOM)


def _part(limits: tuple[float, float], value: float) -> float:
    low, high = (math.log(limit) for limit in limits)
    return (math.log(value) - low) / (high - low)


def svg(
    title: str,
    description: str,
    labels: tuple[str, str],
    ticks: Mapping[str, float],
    curves: Sequence[Curve],
) -> str:
    """The picture. *labels* are those of the axes; *ticks* are on the one across."""
    steps = _steps([value for curve in curves for _, value in curve.points])
    axes = Axes((min(ticks.values()), max(ticks.values())), (steps[0], steps[-1]))
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title>',
        f"<desc>{escape(description)}</desc>",
        f"<style>\n{_STYLE}\n</style>",
        _text(_LEFT, 24, title, "title"),
        *_grid(axes, steps, ticks),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, labels[0], anchor="middle"),
        _text(_LEFT - 52, _TOP - 14, labels[1]),
        *_key(curves),
    ]
    for curve in curves:
        lines += _drawn(curve, axes)
    return "\n".join([*lines, "</svg>", ""])


def _steps(values: Sequence[float]) -> list[float]:
    """1, 2, 5, 10 and so on, from below the smallest value to above the largest one."""
    decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    steps = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    first = max(step for step in steps if step <= min(values))
    last = min(step for step in steps if step >= max(values) and step > first)
    return [step for step in steps if first <= step <= last]


def _grid(axes: Axes, steps: Sequence[float], ticks: Mapping[str, float]) -> Iterator[str]:
    for step in steps:
        y = axes.down(step)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield _text(_LEFT - 10, y + 4, f"{step:,g}", anchor="end")
    for name, value in ticks.items():
        x = axes.across(value)
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
        yield _text(x, _HEIGHT - _BOTTOM + 20, name, anchor="middle")


def _key(curves: Sequence[Curve]) -> Iterator[str]:
    """What the curves are, in one line below the title."""
    room = (_WIDTH - _LEFT - _RIGHT) / max(1, len(curves))
    for number, curve in enumerate(curves):
        x = _LEFT + number * room
        yield f'<path class="{_style(curve)}" d="M{x:.0f} 48h30"/>'
        yield _mark(curve, x + 15, 48)
        yield _text(x + 36, 52, curve.name)


def _drawn(curve: Curve, axes: Axes) -> Iterator[str]:
    places = [(axes.across(x), axes.down(y)) for x, y in curve.points]
    way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    yield f'<path class="{_style(curve)}" data-name={quoteattr(curve.name)} d="M{way}"/>'
    for (x, y), (_, value) in zip(places, curve.points, strict=True):
        yield _mark(curve, x, y, f"{curve.name}: {value:.0f}")


def _style(curve: Curve) -> str:
    return f"curve of{curve.colour}{' dashed' if curve.dashed else ''}"


def _mark(curve: Curve, x: float, y: float, title: str = "") -> str:
    said = f"<title>{escape(title)}</title>" if title else ""
    if curve.dashed:
        shape, end = f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"', "</rect>"
    else:
        shape, end = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"', "</circle>"
    return f'{shape} class="mark of{curve.colour}">{said}{end}'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    styled = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{styled}>{escape(text)}</text>'
