"""The prompt on kernels with kprobes: a session, what it says of fallbacks, jobs on kernel functions."""

from __future__ import annotations

import subprocess

import pytest

from tests.kernel.prompt import Prompt, prompt
from tests.kernel.support import fresh, work
from tests.kernel.test_repl import (
    test_a_program_of_several_lines,
    test_a_tool_with_options,
    test_completion,
    test_errors_leave_the_session,
    test_history_between_sessions,
    test_show_and_explain,
    test_two_jobs_and_rows_while_typing,
    test_watch_until_ctrl_c,
)

__all__ = [
    "prompt",  # a fixture
    "test_a_program_of_several_lines", "test_a_tool_with_options", "test_completion",
    "test_errors_leave_the_session", "test_history_between_sessions", "test_show_and_explain",
    "test_two_jobs_and_rows_while_typing", "test_watch_until_ctrl_c",
]  # fmt: skip
pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_functions_of_the_kernel(prompt: Prompt) -> None:
    name = fresh("r")
    prompt.enter(f'kprobe:vfs_read /comm == "{name}"/ {{ @reads = count(); }}')
    prompt.wait(r"\[1\] attached 1 probe")
    body = "{ @bytes = sum(retval); @us = hist(duration / 1000); }"
    prompt.enter(f'fexit:vfs_read /comm == "{name}"/ {body}')
    prompt.wait(r"\[2\] attached 1 probe")
    subprocess.run(work(f"name={name}", "read=64:23"), check=True)
    prompt.enter("@reads")
    assert prompt.wait(r"@reads: (\d+)") == "23"
    prompt.enter("@bytes")
    assert prompt.wait(r"@bytes: (\d+)") == str(23 * 64)
    prompt.enter("1:@reads")
    assert prompt.wait(r"@reads: (\d+)") == "23"
    prompt.enter("show explain 2")
    prompt.wait(r"\+ (fexit|kretprobe) vfs_read")
    prompt.enter("stop all")
    prompt.wait("ended")
    prompt.wait("ended")
    prompt.wait("ebt> ")
    assert prompt.leave() == 0


def test_what_a_probe_comes_to_is_told_while_typing(prompt: Prompt) -> None:
    prompt.type("fexit:vfs_read { ")
    prompt.wait("→ (fexit|kretprobe)")
    prompt.child.sendcontrol("c")
    prompt.type("kprobe:vfs_reed { ")
    prompt.wait("vfs_reed")
    prompt.wait("did you mean")
    prompt.child.sendcontrol("c")


def test_completion_of_functions_and_members(prompt: Prompt) -> None:
    prompt.type("kprobe:vfs_rea")
    prompt.wait("vfs_readv")
    prompt.child.sendcontrol("c")
    prompt.type("kprobe:vfs_read { @ = args.file.f_pa")
    prompt.wait("f_path")
    prompt.child.sendcontrol("c")


def test_a_tool_for_one_name(prompt: Prompt) -> None:
    name = fresh("r")
    prompt.enter(f"run opensnoop -n {name}")
    prompt.wait(r"\[1\] attached")
    subprocess.run(work(f"name={name}", "open=/etc/hostname:3"), check=True)
    for _ in range(3):
        prompt.wait(rf"{name} [^\r\n]*/etc/hostname")
    prompt.enter("stop 1")
    prompt.wait(r"\[1\] ended")
    assert prompt.leave() == 0
