"""Draw a course of values with its levels as an SVG picture, light and dark, without any script."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 150, 40, 34
_LABEL_GAP = 13
"""Labels nearer to each other than this, in pixels, are moved apart."""

# Blue, vermilion and bluish green are told apart by every kind of colour sight; dashes tell, too.
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:14px;font-weight:600}
.faint{fill:#57606a}.course{fill:none;stroke:#0072b2;stroke-width:2}.dot{fill:#0072b2}
.stop{fill:none;stroke:#d55e00;stroke-width:2;stroke-dasharray:6 3}
.target{fill:none;stroke:#00785a;stroke-width:2;stroke-dasharray:2 3}
.base{fill:none;stroke:#57606a;stroke-width:1}
.fires{fill:none;stroke:#d55e00;stroke-width:3}.paper{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.paper{fill:#0d1117}
.course{stroke:#56b4e9}.dot{fill:#56b4e9}.stop,.fires{stroke:#ff8c42}.target{stroke:#2fd0a5}
.base{stroke:#9198a1}}
""".strip()


@dataclass(frozen=True, slots=True)
class Line:
    """A level beside the course: its value before each point, None where it does not stand."""

    label: str
    kind: str
    """`stop`, `target` or `base`: how it is drawn."""

    values: Sequence[Decimal | None]


@dataclass(frozen=True, slots=True)
class Picture:
    """One course: `points` are what is written under each value, and the value."""

    title: str
    points: Sequence[tuple[str, Decimal]]
    lines: Sequence[Line]
    fires: str
    """What is written where the rule fires, which is at the last point."""


def as_svg(picture: Picture) -> str:
    """Return the picture as the text of an SVG file."""
    scale = _Scale(picture)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(picture.title)}</title><style>{_STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{_LEFT}" y="22">{escape(picture.title)}</text>',
    ]
    parts += [f'<path class="{each.kind}" d="{_steps(each, scale)}"/>' for each in picture.lines]
    course = " ".join(
        f"{scale.x(index)},{scale.y(value)}" for index, (_, value) in enumerate(picture.points)
    )
    parts.append(f'<polyline class="course" points="{course}"/>')
    for index, (name, value) in enumerate(picture.points):
        x, y = scale.x(index), scale.y(value)
        parts.append(f'<circle class="dot" cx="{x}" cy="{y}" r="3.5"/>')
        parts.append(
            f'<text class="faint" x="{x}" y="{HEIGHT - 12}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    last = len(picture.points) - 1
    x, y = scale.x(last), scale.y(picture.points[last][1])
    parts.append(f'<circle class="fires" cx="{x}" cy="{y}" r="9"/>')
    parts.extend(_labels(picture, scale))
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """Where values and points lie on the paper."""

    def __init__(self, picture: Picture) -> None:
        values = [value for _, value in picture.points]
        values += [value for line in picture.lines for value in line.values if value is not None]
        self._low, self._high = min(values), max(values)
        self._steps = max(1, len(picture.points) - 1)

    def x(self, index: int) -> int:
        return _LEFT + round((WIDTH - _LEFT - _RIGHT) * index / self._steps)

    def y(self, value: Decimal) -> int:
        share = (self._high - value) / (self._high - self._low or Decimal(1))
        return _TOP + round((HEIGHT - _TOP - _BOTTOM - 24) * share) + 8


def _steps(line: Line, scale: _Scale) -> str:
    """Return a path that stands until the point before which the level is another one."""
    path: list[str] = []
    before: Decimal | None = None
    for index, value in enumerate(line.values):
        if value is None:
            before = None
            continue
        begin = scale.x(max(0, index - 1))
        path.append(f"{'M' if before is None else 'L'}{begin},{scale.y(value)}")
        path.append(f"L{scale.x(index)},{scale.y(value)}")
        before = value
    return " ".join(path)


def _labels(picture: Picture, scale: _Scale) -> list[str]:
    """Name each line and what fires at the right, from above to below, none over another."""
    x = WIDTH - _RIGHT + 16
    wanted = [(scale.y(picture.points[-1][1]), picture.fires)]
    for line in picture.lines:
        standing = [value for value in line.values if value is not None]
        wanted.append((scale.y(standing[-1]), f"{line.label} {standing[-1]}"))
    labels: list[str] = []
    lowest = -_LABEL_GAP
    for y, text in sorted(wanted):
        lowest = max(y, lowest + _LABEL_GAP)
        labels.append(f'<text x="{x}" y="{lowest + 4}">{escape(text)}</text>')
    return labels
