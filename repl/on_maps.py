"""Commands about maps of running jobs: show, watch, clear, save."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence

from repl.jobs import Job, Log
from repl.lines import Query, read_map
from repl.state import Refused, State, positive
from runtime.control import Ended
from runtime.text import Dump, TextWriter

_OFF = ("off", "stop")


def print_map(state: State, words: Sequence[str]) -> None:
    """print @map [TOP]"""
    state.say(map_text(state, _query(words[0]), positive(words[1], "TOP") if len(words) > 1 else 0))


def map_text(state: State, query: Query, top: int = 0) -> str:
    """A map as `print()` shows it, now. Raises Refused."""
    job = _owner(state, query)
    dump = _ask(job, query.map, top)
    return dump_text(dump) if dump is not None and dump.entries else f"{query.map} is empty"


def dump_text(dump: Dump) -> str:
    """The text of a printed map, without its last newline."""
    lines: list[str] = []
    log = Log(lines.extend)
    TextWriter(log, log).map(dump)
    log.close()
    return "\n".join(lines)


def watch_map(state: State, words: Sequence[str]) -> None:
    """watch @map [SECONDS], watch off"""
    if words[0] in _OFF:
        state.watched = None
        return
    query = _query(words[0])
    try:
        seconds = float(words[1]) if len(words) > 1 else 1.0
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise Refused(f"SECONDS is a number from 0.1 to 3600, not '{words[1]}'")
    _owner(state, query)
    state.watched = query, seconds


def clear_map(state: State, words: Sequence[str]) -> None:
    """clear @map"""
    query = _query(words[0])
    job = _owner(state, query)
    name = job.c_name(query.map) or ""
    try:
        job.control.call(lambda session: session.clear(name))
    except Ended as problem:
        raise Refused(f"job {job.number}: {problem}") from None
    state.say(f"{query.map} of job {job.number} is empty")


def save_map(state: State, words: Sequence[str]) -> None:
    """save @map FILE.json|csv"""
    query, path = _query(words[0]), words[1]
    if not path.endswith((".json", ".csv")):
        raise Refused(f"save writes .json or .csv, not '{path}'")
    job = _owner(state, query)
    dump = _ask_json(job, query.map) if path.endswith(".json") else _ask(job, query.map, 0)
    entries = dump.entries if dump is not None else ()
    try:
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            if path.endswith(".json"):
                file.write(_json(query.map, dump) + "\n")
            else:
                csv.writer(file).writerows([("key", "value"), *entries])
    except OSError as problem:
        raise Refused(f"cannot write '{path}': {problem.strerror}") from None
    state.say(f"{path}: {len(entries):,} entries")


def _json(name: str, dump: Dump | None) -> str:
    if dump is None or not dump.entries:
        return json.dumps({name: {}})
    if dump.scalar:
        return f"{{{json.dumps(name)}: {dump.entries[0][1]}}}"
    inside = ", ".join(f"{json.dumps(key)}: {value}" for key, value in dump.entries)
    return f"{{{json.dumps(name)}: {{{inside}}}}}"


def _query(word: str) -> Query:
    found = read_map(word)
    if found is None:
        raise Refused(f"'{word}' is no map: write @name or N:@name")
    return found


def _owner(state: State, query: Query) -> Job:
    job = state.jobs.with_map(query.map, query.job)
    if job is not None:
        return job
    if query.job:
        state.job([str(query.job)])
        raise Refused(f"job {query.job} has no map {query.map}, or has ended")
    known = sorted({name for item in state.jobs.alive for name in item.maps})
    there = f"; there are {' '.join(known)}" if known else ""
    raise Refused(f"no running job has a map {query.map}{there}")


def _ask(job: Job, name: str, top: int) -> Dump | None:
    c_name = job.c_name(name) or ""
    try:
        return job.control.call(lambda session: session.dump(c_name, top))
    except Ended as problem:
        raise Refused(f"job {job.number}: {problem}") from None


def _ask_json(job: Job, name: str) -> Dump | None:
    c_name = job.c_name(name) or ""
    try:
        return job.control.call(lambda session: session.dump_json(c_name))
    except Ended as problem:
        raise Refused(f"job {job.number}: {problem}") from None
