"""Attach points × recorded kernels → a table of what each comes to; the golden file is its text."""

from __future__ import annotations

from pathlib import Path

from ebt.machines import WithoutFeatures
from kernel.recorded import RecordedMachine
from lang.check import resolutions
from lang.machine import Machine
from lang.parser import parse
from lang.resolution import Candidate, Resolution
from lang.source import Source

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "resolution.txt"
_RECORDED = {path.stem: path for path in sorted((HERE.parent / "kernels").glob("*.ebtk"))}
# those that can probe functions; the others have tracepoints alone
KERNELS = {name: path for name, path in _RECORDED.items() if RecordedMachine(path).supports("kprobe").works}
# What a script may ask for as one thing on every kernel, whatever mechanism is missing.
OFFERED = (
    "kprobe:vfs_read", "fentry:vfs_read", "kretprobe:vfs_read", "fexit:vfs_read", "fexit:vfs_re*",
    "syscall:openat", "sysret:read",
)  # fmt: skip
_ASKED = (
    *OFFERED, "kprobe:finish_task_switch", "fentry:finish_task_switch", "kprobe:lookup_fast",
    "kprobe:blk_account_io_start", "kprobe:blk_account_io_done", "kprobe:blk_account_io_merge_bio",
    "kprobe:blk_account_io_start || kprobe:__blk_account_io_start || tracepoint:block:block_io_start"
    " || tracepoint:block:block_rq_issue",
    "fentry:__page_cache_alloc || fentry:filemap_alloc_folio || fentry:filemap_alloc_folio_noprof",
    "fentry:folio_mark_accessed || fentry:mark_page_accessed", "fexit:__vfs_read || fexit:vfs_read",
    "kprobe:__x64_sys_sync", "fentry:__x64_sys_sync", "syscall:sync", "fentry:_printk",
    "fentry:migrate_disable", "fexit:ext4_file_read_iter", "kprobe:md_flush_request?",
    "kprobe:pci_serr_error",
)  # fmt: skip


def chosen(item: Resolution) -> tuple[Candidate, ...]:
    """The candidates of the alternative that was taken, else of the last one."""
    return item.choices[item.chosen if item.chosen is not None else -1].candidates


def table() -> str:
    """A block for each attach point, a line for each kernel, with all features and less one."""
    machines: dict[str, Machine] = {name: RecordedMachine(path) for name, path in _RECORDED.items()}
    blocks = []
    for text in _ASKED:
        lines = [text]
        script = parse(Source("x.ebt", f"{text} {{ }}"))
        for name, machine in machines.items():
            whole = _said(resolutions(script, machine)[0])
            lines.append(f"    {name}: {whole}")
            for feature in ("fentry", "kprobe", "tracepoint"):
                said = _said(resolutions(script, WithoutFeatures(machine, (feature,)))[0])
                if said != whole and not (said.startswith("none") and whole.startswith("none")):
                    lines.append(f"    {name} -{feature}: {said}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _said(item: Resolution) -> str:
    if item.chosen is None:
        return "none: " + item.choices[-1].reason
    taken = [found for found in chosen(item) if not found.reason]
    return ", ".join(f"{found.mechanism} {found.place}" for found in taken)
