"""A loaded plan → its points attached, as far as its script asks for; what is left out is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from codegen.plan import Attach, Plan
from runtime.attach import AttachError
from runtime.text import Warn, Writer

_NAMED = 5  # of those that were left out


class Attachable(Protocol):
    """What runtime.load gives: programs in the kernel."""

    def attach_all(
        self, refused: Callable[[AttachError], None] | None = None, child: int = 0
    ) -> object: ...


def attach_script(loaded: Attachable, plan: Plan, writer: Writer, child: int = 0) -> int:
    """Attach, and say what is left out; how many of the script's points are attached.

    `child` is the process of -c, which user probes are then for.

    A point that a wildcard matched may be refused, and any where the script says so; but not all of them.
    Raises AttachError.
    """
    policy = plan.settings.missing_probes
    refused: list[AttachError] = []

    def hear(error: AttachError) -> None:
        if policy == "error" and not error.point.matched:
            raise error
        refused.append(error)

    loaded.attach_all(hear, child)
    special = sum(program.kind == "special" for program in plan.programs)
    if refused and len(refused) == plan.points - special:
        raise refused[0]
    if policy != "ignore":
        _tell(refused, plan, writer)
    return plan.points - len(refused)


def _tell(refused: list[AttachError], plan: Plan, writer: Writer) -> None:
    """One warning for each attach point of the script."""
    groups: dict[Attach, list[AttachError]] = {}
    first: dict[object, Attach] = {}
    for error in refused:
        point = error.point
        groups.setdefault(first.setdefault(point.place if point.matched else point, point), []).append(error)
    for point, errors in groups.items():
        place = point.place
        message = f"{errors[0]}; it is left out"
        if len(errors) > 1:
            names = ", ".join(error.point.name for error in errors[:_NAMED])
            names += ", …" if len(errors) > _NAMED else ""
            points = [item for program in plan.programs if not program.hidden for item in program.attach]
            total = sum(item.place == place for item in points)
            message = f"{len(errors)} of {total} are left out: {names} ({errors[0].reason})"
        writer.warning(Warn(place.file, place.line, place.column, message, place.text, place.width))
