"""Stacks with their amounts → a flame graph: an SVG file that can be searched and zoomed in a browser.

A frame's width is the amount of all stacks that go through it; frames under a tenth of a pixel are left away.
Without a script the picture shows all at a width of 1200; resources/flame.js fits it to the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from colorsys import hls_to_rgb
from zlib import crc32

from lang.records import dataclass, field
from runtime.folded import Part
from runtime.svg import WIDTH, attribute, document, escape, shortened

_ROW, _TOP, _EDGE = 18, 66, 16
_THINNEST = 0.1
# hue from … to, saturation
_HUES = {"kernel": (200, 222, 0.62), "user": (22, 48, 0.88), "key": (95, 135, 0.28), "none": (0, 0, 0.0)}
_LEGEND = (("kernel", "kernel"), ("user", "user"), ("key", "key"))


@dataclass
class _Node:
    part: Part
    amount: int = 0
    below: dict[Part, _Node] = field(default_factory=dict)


@dataclass(frozen=True)
class _Box:
    """A frame: where it begins and how wide it is in amounts, and how many frames are under it."""

    part: Part
    start: int
    amount: int
    depth: int


def flame_graph(stacks: Mapping[tuple[Part, ...], int], title: str, subtitle: str) -> str:
    """The SVG text. Amounts below 1 have no width, and are left away."""
    boxes = list(_boxes(_tree(stacks)))
    deepest = max(box.depth for box in boxes)
    total = boxes[0].amount
    bottom = _TOP + (deepest + 1) * _ROW
    frames = "\n".join(_frame(box, total, bottom) for box in boxes)
    body = f'<g id="frames" data-bottom="{bottom}" data-row="{_ROW}" data-edge="{_EDGE}">\n{frames}\n</g>'
    if not total:
        body += f'\n<text class="nothing" x="{_EDGE}" y="{_TOP + 12}">no stack was counted</text>'
    return document(title, subtitle, "flame.js", _legend(), body, bottom + _EDGE)


def _tree(stacks: Mapping[tuple[Part, ...], int]) -> _Node:
    root = _Node(Part("all", "key"))
    for parts, amount in stacks.items():
        if amount <= 0:
            continue
        node = root
        node.amount += amount
        for part in parts:
            if part not in node.below:
                node.below[part] = _Node(part)
            node = node.below[part]
            node.amount += amount
    return root


def _boxes(root: _Node) -> Iterator[_Box]:
    """Every frame that can be seen, callers before what they called, by name from left to right."""
    waiting = [(root, 0, 0)]
    while waiting:
        node, start, depth = waiting.pop()
        yield _Box(node.part, start, node.amount, depth)
        at, next_ones = start, []
        for below in sorted(node.below.values(), key=lambda item: (item.part.text, item.part.space)):
            if below.amount / root.amount * (WIDTH - 2 * _EDGE) >= _THINNEST:
                next_ones.append((below, at, depth + 1))
            at += below.amount
        waiting += reversed(next_ones)


def _frame(box: _Box, total: int, bottom: int) -> str:
    scale = (WIDTH - 2 * _EDGE) / max(total, 1)
    x, width = _EDGE + box.start * scale, box.amount * scale
    y = bottom - (box.depth + 1) * _ROW
    text = shortened(box.part.text, width - 6)
    return (
        f'<g class={attribute(box.part.space)} data-name={attribute(box.part.text)} data-start="{box.start}"'
        f' data-amount="{box.amount}" data-depth="{box.depth}">'
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{_ROW - 1}" fill="{_colour(box.part)}"/>'
        f'<text x="{x + 3:.2f}" y="{y + 13}">{escape(text)}</text></g>'
    )


def _colour(part: Part) -> str:
    """By where the code is; functions of different names differ a little, the same in every picture."""
    unknown = part.text.startswith(("0x", "["))
    low, high, saturation = _HUES["none" if unknown else part.space]
    mix = crc32(part.text.encode("utf-8", "replace"))
    hue = low + (high - low) * (mix % 256) / 255
    light = 0.70 + 0.12 * (mix // 256 % 256) / 255
    return _hex(hue / 360, light, saturation)


def _hex(hue: float, light: float, saturation: float) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in hls_to_rgb(hue, light, saturation))


def _legend() -> str:
    """What the colours mean."""
    items = []
    for number, (name, text) in enumerate(_LEGEND):
        low, high, saturation = _HUES[name]
        colour = _hex((low + high) / 720, 0.74, saturation)
        x = 74 * number
        items.append(f'<rect x="{x}" y="0" width="12" height="12" fill="{colour}"/>')
        items.append(f'<text x="{x + 17}" y="10">{text}</text>')
    place = WIDTH - _EDGE - 74 * len(_LEGEND)
    return f'<g id="legend" transform="translate({place} 36)">{"".join(items)}</g>'
