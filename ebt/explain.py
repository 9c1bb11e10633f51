"""Resolutions and a compiled script → what attaches where and why, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from codegen.pipeline import Compiled
from codegen.plan import Attach, Program
from lang.machine import Machine
from lang.resolution import Candidate, Choice, Resolution

TAKEN, LEFT = "+", "-"


def explanation(machine: Machine, found: tuple[Resolution, ...], compiled: Compiled | None, form: str) -> str:
    """The whole answer of `ebt explain`; `compiled` is None where the script cannot run there."""
    beside = _beside(compiled) if compiled is not None else {}
    if form == "json":
        return json.dumps({"kernel": machine.title, "probes": [*map(_plain, found)], **beside})
    lines = [f"on {machine.title}:"]
    for item in found:
        lines += _tree(item)
    for name, value in beside.items():
        lines.append(f"{name}: {value if isinstance(value, str) else '; '.join(value)}")
    return "\n".join(lines)


def way_of(program: Program, point: Attach) -> str:
    """In short, for -v: the mechanism, and the place where that has another name than the probe."""
    other = point.name and point.name not in point.label.replace(":", " ").split()
    text = program.kind + (f" {point.name}" if other else "")
    return f"{text} (its entry)" if program.hidden else text


# ---- Text


def _tree(item: Resolution) -> list[str]:
    line, column = item.span.source.position(item.span.start)
    lines = [f"{line}:{column}  {item.text}"]
    if len(item.choices) == 1 and not item.optional:
        return [*lines, *_candidates(item.choices[0], "    ")]
    for at, choice in enumerate(item.choices):
        taken, several = at == item.chosen, len(choice.candidates) > 1
        reason = "" if taken or several else f": {choice.reason}"  # of several each says its own
        lines.append(f"    {TAKEN if taken else LEFT} {choice.text}{reason}")
        if taken or several:
            lines += _candidates(choice, "        ")
    if item.optional and item.chosen is None:
        lines.append("    the probe is left out")
    return lines


def _candidates(choice: Choice, indent: str) -> Iterator[str]:
    for item in choice.candidates:
        mark = LEFT if item.reason else TAKEN
        yield f"{indent}{mark} {item.mechanism} {item.place}".rstrip() + _remark(item)


def _remark(item: Candidate) -> str:
    if item.reason:
        return f": {item.reason}"
    told = [f"args {item.arguments}"] if item.arguments else []
    return ": " + "; ".join([*told, item.note] if item.note else told) if told or item.note else ""


# ---- JSON


def _plain(item: Resolution) -> dict[str, Any]:
    line, column = item.span.source.position(item.span.start)
    return {
        "line": line, "column": column, "text": item.text, "optional": item.optional, "chosen": item.chosen,
        "choices": [
            {
                "text": choice.text, "points": choice.points, "reason": choice.reason,
                "candidates": [
                    {
                        "mechanism": candidate.mechanism, "place": candidate.place,
                        "taken": not candidate.reason, "reason": candidate.reason,
                        "arguments": candidate.arguments, "note": candidate.note,
                    }
                    for candidate in choice.candidates
                ],
            }
            for choice in item.choices
        ],
    }  # fmt: skip


# ---- What the plan chose beside the probes


def _beside(compiled: Compiled) -> dict[str, str | list[str]]:
    plan = compiled.plan
    hidden = sum(program.hidden for program in plan.programs)
    beside: dict[str, str | list[str]] = {
        "programs": f"{len(plan.programs)}" + (f", {hidden} of them to remember entries" if hidden else ""),
        "maps": [f"{item.script_name} {item.kind}" for item in plan.maps if item.script_name],
    }
    channel = next((item.kind for item in plan.maps if item.kind in ("ringbuf", "perf_array")), "")
    if channel:
        beside["events"] = {"ringbuf": "by ring buffer", "perf_array": "by perf buffer"}[channel]
    if "bpf_ktime_get_boot_ns" in compiled.c:
        beside["clock"] = "boot: time asleep counts"
    elif "bpf_ktime_get_ns" in compiled.c:
        beside["clock"] = "monotonic"
    helpers = sorted({kind for program in plan.programs for _, kind in program.callbacks})
    if helpers:
        names = {"each": "bpf_for_each_map_elem", "loop": "bpf_loop"}
        beside["loops"] = [f"by {names[kind]}" for kind in helpers]
    return {name: value for name, value in beside.items() if value}
