"""--flame and --heatmap → the pictures of a run, or why it has none."""

from __future__ import annotations

import os

from codegen.plan import Plan
from ebt.kept import Ready
from ebt.options import Options, UsageError
from ebt.tools import tool_of
from runtime.pictures import FlamePicture, HeatPicture, Picture, flame_maps, heat_maps
from runtime.svg import Target


def require_maps(plan: Plan, options: Options) -> None:
    """The script has maps of which the pictures can be made. Raises UsageError."""
    if options.flame and not flame_maps(plan):
        raise UsageError(
            "--flame: the script has no map of stacks whose numbers can be added up, as @[kstack] = count()"
        )
    if options.heatmap and not heat_maps(plan):
        raise UsageError("--heatmap: the script has no histogram, as @us = hist(…) or lhist(…)")
    if options.flame and options.flame == options.heatmap:
        raise UsageError("--flame and --heatmap cannot write the same file")


def pictures_of(ready: Ready) -> list[Picture]:
    """The pictures asked for. Raises UsageError, and OutputError where a file cannot be written."""
    options, plan = ready.options, ready.plan
    require_maps(plan, options)
    title = tool_of(plan.script) or ("ebt -e" if plan.script == "stdin" else os.path.basename(plan.script))
    system = os.uname()
    subtitle = f"{system.nodename}, Linux {system.release}"
    pictures: list[Picture] = []
    if options.flame:
        pictures.append(FlamePicture(Target("--flame", options.flame), plan, title, subtitle))
    if options.heatmap:
        pictures.append(HeatPicture(Target("--heatmap", options.heatmap), plan, title, subtitle))
    return pictures
