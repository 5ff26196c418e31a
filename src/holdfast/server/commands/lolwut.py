"""LOLWUT: a drawing and the version (https://redis.io/commands/lolwut/).

Ours is a field of squares in Braille dots, more and more out of order towards the
bottom, after Georg Nees' *Schotter* (1968).
"""

from __future__ import annotations

import math
import random

import holdfast
from holdfast.commands.spec import Spec
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import Verbatim
from holdfast.server.commands.words import Args, integer
from holdfast.server.info_sections import REDIS_VERSION
from holdfast.server.node import node_of

COLUMNS_DEFAULT, ACROSS_DEFAULT, DOWN_DEFAULT = 66, 8, 12


def lolwut(session: Session, args: Args) -> object:
    """LOLWUT [VERSION version] [columns [squares across [squares down]]]."""
    numbers = args[1:]
    if len(args) >= 3 and args[1].lower() == b"version":
        integer(args[2])
        numbers = args[3:]
    elif numbers:
        numbers = []
    given = [integer(each) for each in numbers[:3]]
    columns, across, down = (given + [COLUMNS_DEFAULT, ACROSS_DEFAULT, DOWN_DEFAULT][len(given) :])[:3]
    columns, across, down = min(max(columns, 1), 1000), min(max(across, 1), 200), min(max(down, 1), 200)
    drawing = schotter(columns, across, down, node_of(session).host.random)
    return Verbatim(
        f"{drawing}\nHoldfast {holdfast.__version__}, after Georg Nees. Redis ver. {REDIS_VERSION}\n"
    )


def schotter(columns: int, across: int, down: int, luck: random.Random) -> str:
    """Draw squares whose disorder grows towards the bottom."""
    width = columns * 2
    side = width / (across + 1)
    height = int(side * (down + 1)) + 1
    dots: set[tuple[int, int]] = set()
    for row in range(down):
        disorder = row / max(down - 1, 1)
        for column in range(across):
            angle = luck.uniform(-1, 1) * disorder * math.pi / 4
            x = side * (column + 1) + luck.uniform(-0.4, 0.4) * side * disorder
            y = side * (row + 1) + luck.uniform(-0.4, 0.4) * side * disorder
            _square(dots, x, y, side * 0.48, angle)
    return _braille(dots, columns, (height + 3) // 4)


def _square(dots: set[tuple[int, int]], x: float, y: float, reach: float, angle: float) -> None:
    corners = []
    for quarter in range(4):
        turned = angle + math.pi / 4 + quarter * math.pi / 2
        corners.append((x + reach * 1.414 * math.cos(turned), y + reach * 1.414 * math.sin(turned)))
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        steps = max(int(max(abs(x2 - x1), abs(y2 - y1))), 1)
        for step in range(steps + 1):
            dots.add((int(x1 + (x2 - x1) * step / steps), int(y1 + (y2 - y1) * step / steps)))


def _braille(dots: set[tuple[int, int]], columns: int, rows: int) -> str:
    bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
    lines = []
    for row in range(rows):
        line = ""
        for column in range(columns):
            mark = 0
            for down in range(4):
                for right in range(2):
                    if (column * 2 + right, row * 4 + down) in dots:
                        mark |= bits[down][right]
            line += chr(0x2800 + mark)
        lines.append(line)
    return "\n".join(lines) + "\n"


def register(engine: Engine) -> None:
    """The index of the family."""
    add_function(
        engine,
        Spec("lolwut", -1, "readonly fast", group="server", since="5.0.0", summary="Draw something."),
        lolwut,
    )
