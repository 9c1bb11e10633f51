"""Commands about jobs: list, stop, pause, their logs."""

from __future__ import annotations

from collections.abc import Sequence

from repl.jobs import Job
from repl.state import Refused, State, positive
from repl.words import counted

STOP_PATIENCE = 30.0  # seconds: to detach many tracepoints takes the kernel that long
_LINES = 20


def show_jobs(state: State, words: Sequence[str]) -> None:
    """jobs"""
    if not state.jobs.all:
        state.say("no jobs yet: type a program")
    for job in state.jobs.all.values():
        probes, lines = counted(job.probes, "probe"), counted(job.lines, "line")
        state.say(f"[{job.number}] {job.state:<8}  {probes:>10}  {lines:>12}  {job.title}")


def stop_job(state: State, words: Sequence[str]) -> None:
    """stop N|all; with one job running N may be left out"""
    if list(words) == ["all"]:
        state.jobs.stop_all()
        return
    job = state.job(words)
    if not words and len(state.jobs.alive) == 1:
        job = state.jobs.alive[0]
    if not job.alive:
        raise Refused(f"job {job.number} has {job.state} already")
    job.stop()
    job.join(STOP_PATIENCE)


def pause_job(state: State, words: Sequence[str]) -> None:
    """pause [N]"""
    _pause(state, state.job(words), True)


def resume_job(state: State, words: Sequence[str]) -> None:
    """resume [N]"""
    _pause(state, state.job(words), False)


def _pause(state: State, job: Job, on: bool) -> None:
    if not job.alive:
        raise Refused(f"job {job.number} has {job.state}")
    job.pause(on)
    where = f"goes to its log only ('log {job.number}')" if on else "is shown"
    state.say(f"[{job.number}] what it prints {where}")


def show_log(state: State, words: Sequence[str]) -> None:
    """log [N] [LINES]"""
    job = state.job(words[:1])
    most = positive(words[1], "LINES") if len(words) > 1 else _LINES
    lines = list(job.log)[-most:]
    state.say("\n".join(lines) if lines else f"job {job.number} has printed nothing")
