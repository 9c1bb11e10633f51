"""Tool → the runs that its page shows: the words it is given, and the load beside it, as shell."""

# ruff: noqa: E501 (shell)
from __future__ import annotations

from dataclasses import dataclass

# a disk with ext4 at $DIR/disk: the lab's, or a file on this machine
_EXT4 = """
mkdir disk
if [ "${EBT_LAB_DISKS:-}" ]; then modprobe ext4; device=${EBT_LAB_DISKS%% *}
else truncate -s 256M image; device=image; fi
mkfs.ext4 -q -F "$device"
mount -t ext4 "$device" disk
"""
_UNMOUNT = 'umount "$DIR/disk"'
_COPIES = "cp /etc/passwd disk/one; cat disk/one; dd if=/dev/zero of=disk/two bs=64k count=5 conv=fsync; cat disk/two"
_CONNECT = (
    "python3 -c 'import socket\n"
    'with socket.create_server(("127.0.0.1", 8023)) as server:\n'
    "    for n in range(3):\n"
    "        client = socket.create_connection(server.getsockname()); peer, _ = server.accept()\n"
    '        client.sendall(b"x" * 4096); peer.recv(65536); peer.sendall(b"y" * 23000); client.recv(65536)\n'
    "        client.close(); peer.close()'"
)
_SPIN = "timeout 2 sh -c 'while :; do :; done'"
_SLEEPS = "for n in 1 2 3 4 5 6 7; do sleep 0.05; done"
_DIRECT = "dd if=/dev/zero of=disk/direct bs=64k count=23 oflag=direct; dd if=disk/direct of=/dev/null bs=64k iflag=direct"


@dataclass(frozen=True)
class Load:
    """`told` is what the page says of the load: by default its text. `ends`: the tool ends by itself."""

    words: tuple[str, ...] = ()
    script: str = "true"
    prepare: str = ""
    undo: str = ""
    ends: bool = False
    settle: float = 0.3
    about: str = ""

    @property
    def told(self) -> str:
        """The load in a line."""
        return (self.about or self.script).strip()


def _on_ext4(words: str, script: str = _COPIES, **more: bool) -> Load:
    return Load(tuple(words.split()), script, _EXT4, _UNMOUNT, about=_about(script), **more)


def _about(script: str) -> str:
    return script if len(script) < 120 and "\n" not in script else ""


LOADS: dict[str, tuple[Load, ...]] = {
    # ---- files
    "opensnoop": (
        Load(("-T", "--comm", "cat"), "cat /etc/passwd /no/such/file"),
        Load(("-e", "-F", "--comm", "touch"), "touch new"),
    ),
    "statsnoop": (Load(("-s", "--comm", "stat"), "stat /etc/passwd /no/such/file"),),
    "syncsnoop": (Load(("--comm", "sync"), "sync; touch new; sync new; sync -d new; sync -f new"),),
    "mountsnoop": (Load(("--comm", "mount"), "mkdir m; mount -t tmpfs -o size=1m none m; umount m", about="mount -t tmpfs -o size=1m none m; umount m"),),
    "filelife": (Load((), "touch one two; sleep 0.3; rm one two"),),
    "filegone": (Load(("--comm", "mv"), "touch one two three; mv one four; mv two three"),),
    "fileslower": (Load(("-a", "10", "--comm", "cat"), "mkfifo fifo; (exec >fifo; sleep 0.2; echo slow) & cat fifo"),),
    "filetop": (Load(("-C", "--comm", "dd", "1", "3"), "sleep 1.3; dd if=/dev/zero of=file bs=64k count=230; dd if=file of=/dev/null bs=4k", ends=True),),
    "dirtop": (Load(("-C", "-d", "$DIR,/var/log", "1", "3"), "sleep 1.3; mkdir -p a/b; dd if=/dev/zero of=a/b/file bs=64k count=230; cat a/b/file", ends=True),),
    "vfsstat": (Load(("1", "3"), "sleep 1.3; for n in 1 2 3 4 5 6 7; do mkdir d$n; touch f$n; rm f$n; rmdir d$n; done", ends=True),),
    "vfscount": (Load(("--comm", "cp"), "cp /etc/passwd copy; cp copy again"),),
    "dcstat": (Load(("1", "3"), "sleep 1.3; ls -lR /etc", ends=True),),
    "dcsnoop": (Load(("-a", "--comm", "stat"), "stat /etc/passwd /no/such/file"),),
    "cachestat": (_on_ext4("1 3", f"sleep 1.3; {_COPIES}", ends=True),),
    "readahead": (_on_ext4("-d 4", "dd if=/dev/zero of=disk/big bs=1M count=32; sync; echo 1 >/proc/sys/vm/drop_caches; cat disk/big", ends=True),),
    "fsslower": (_on_ext4("-t ext4 0 --comm dd"),),
    "fsdist": (_on_ext4("-t ext4"),),
    # ---- block devices
    "biolatency": (_on_ext4("", _DIRECT), _on_ext4("-mF", _DIRECT)),
    "biosnoop": (_on_ext4("-Q", "sync; dd if=/dev/zero of=disk/direct bs=64k count=7 oflag=direct"),),
    "biostacks": (_on_ext4("", "sync; dd if=/dev/zero of=disk/direct bs=64k count=7 oflag=direct"),),
    "biotop": (_on_ext4("-C 1 3", f"sleep 1.3; {_DIRECT}", ends=True),),
    "mdflush": (Load((), '"$SAMPLES_ROOT"/.venv/bin/python -c "\nimport sys; sys.path.insert(0, \\"$SAMPLES_ROOT\\")\nfrom tests.lab.support import mirror\nimport os\nwith mirror() as device:\n    fd = os.open(device, os.O_RDWR)\n    for n in range(3): os.fdatasync(fd)\n    os.close(fd)"', prepare="modprobe md_mod", about="three calls of fdatasync(2) on a RAID 1"),),
    # ---- memory
    "memleak": (
        Load(("-o", "0", "-T", "3", "-c", "bash -c \"read -t 3\"", "1", "2"), ends=True, about=" "),
        Load(("-o", "0", "-T", "3", "1", "2"), "ls -lR /etc", ends=True),
    ),
    "drsnoop": (Load((), "python3 -c '\nimport re\nreserve = \"/proc/sys/vm/min_free_kbytes\"\nbefore, free = open(reserve).read(), int(re.search(r\"MemFree: +(\\d+)\", open(\"/proc/meminfo\").read())[1])\nopen(reserve, \"w\").write(str(free + (16 << 10)))\nkept = [b\"x\" * (1 << 20) for n in range(40)]\nopen(reserve, \"w\").write(before)'", about="a process that fills what was free"),),
    "slabratetop": (Load(("-C", "-r", "8", "1", "2"), "sleep 1.2; for n in $(seq 100); do /bin/true; done", ends=True),),
    "numamove": (Load((), "sleep 2.5"),),
    # ---- processors
    "cpudist": (Load((), _SPIN),),
    "cpuwalk": (Load((), _SPIN),),
    "hardirqs": (Load(("1", "2"), "dd if=/dev/vda of=/dev/null bs=64k count=100 iflag=direct; sleep 3", ends=True),),
    "softirqs": (Load(("1", "2"), _SPIN, ends=True),),
    "offcputime": (Load(("-u", "-m", "45000"), _SLEEPS),),
    "profile": (Load(("-F", "99"), _SPIN),),
    "runqlat": (Load((), f"{_SPIN} & {_SPIN} & {_SPIN}; wait"),),
    "runqlen": (Load((), f"{_SPIN} & {_SPIN} & {_SPIN}; wait"),),
    "runqslower": (Load(("1000",), f"{_SPIN} & {_SPIN} & {_SPIN}; wait"),),
    "klockstat": (Load((), "python3 \"$SAMPLES_ROOT/tests/workload/work.py\" hold=0.05:7", about="a thread that holds a pipe's mutex seven times for 50 ms, and another that waits for it"),),
    # ---- processes
    "execsnoop": (Load((), "uname -a; sh -c 'date; id'"),),
    "exitsnoop": (Load((), "sleep 0.2; sh -c 'exit 7'; sh -c 'kill -9 $$'"),),
    "threadsnoop": (Load((), "python3 -c 'import threading\nfor n in range(3): threading.Thread(target=print).start()'", about="a program that starts three threads"),),
    "sigsnoop": (Load((), "sh -c 'kill -USR1 $$'; sleep 5 & kill $!"),),
    "syscount": (Load((), "dd if=/dev/zero of=/dev/null bs=1 count=2300"),),
    "capable": (Load((), "chown root:root .; ping -c1 127.0.0.1"),),
    "gethostlatency": (Load((), "getent ahosts localhost"),),
    "bashreadline": (Load((), "printf 'echo hello\\nexit\\n' | script -qc 'bash --norc -i' /dev/null", about="echo hello, entered into bash"),),
    "oomkill": (Load((), 'python3 -c "\nimport os, sys\nsys.path.insert(0, \\"$SAMPLES_ROOT/scripts\\")\nfrom btkit.loads import memory\nmemory()"', about="a process in a memory cgroup of 24 MiB that wants more"),),
    "pidpersec": (Load((), "for n in $(seq 23); do /bin/true; done; sleep 2.2", about="23 processes in a row"),),
    # ---- network
    "tcpaccept": (Load((), _CONNECT, about="three connections over the loopback"),),
    "tcpconnect": (Load((), _CONNECT, about="three connections over the loopback"),),
    "tcpconnlat": (Load((), _CONNECT, about="three connections over the loopback"),),
    "tcplife": (Load((), _CONNECT, about="three connections over the loopback"),),
    "tcppktlat": (Load((), _CONNECT, about="three connections over the loopback"),),
    "tcprtt": (Load(("-i", "1", "-d", "3"), _CONNECT, ends=True, about="three connections over the loopback"),),
    "tcpstates": (Load((), _CONNECT, about="three connections over the loopback"),),
    "tcptop": (Load(("-C", "2", "2"), f"sleep 0.5; {_CONNECT}", ends=True, about="three connections over the loopback"),),
    "tcptracer": (Load((), _CONNECT, about="three connections over the loopback"),),
    "solisten": (Load((), _CONNECT, about="a listener on port 8023"),),
    "tcpsynbl": (Load((), _CONNECT, about="three connections over the loopback"),),
    "tcpretrans": (Load((), 'python3 -c "\nimport sys\nsys.path.insert(0, \\"$SAMPLES_ROOT/scripts\\")\nfrom btkit.loads import overflows\noverflows()"', about="more connections than a listener's backlog takes"),),
    "tcpdrop": (Load((), 'python3 -c "\nimport sys\nsys.path.insert(0, \\"$SAMPLES_ROOT/scripts\\")\nfrom btkit.loads import overflows\noverflows()"', about="more connections than a listener's backlog takes"),),
    "pktwho": (Load(("--port", "8023"), _CONNECT, about="three connections over the loopback"),),
    "skbtrace": (
        Load(("--drops", "-P", "tcp", "--port", "8024"), "python3 -c 'import socket\nsocket.socket().connect_ex((\"127.0.0.1\", 8024))'", about="a connection that is refused"),
        Load(("-c", "--port", "8023"), _CONNECT, about="three connections over the loopback"),
    ),
    # ---- functions, and the tutorial
    "funccount": (Load(("-d", "2", "t:syscalls:sys_enter_*"), "cat /etc/passwd", ends=True),),
    "funclatency": (Load(("-d", "2", "c:malloc"), "for n in 1 2 3; do ls -l /etc; done", ends=True),),
    "stackcount": (Load(("-K", "-P", "-D", "2", "t:sched:sched_process_exec"), "uname; id; date", ends=True),),
    "hello": (Load((), "uname; id"),),
    "write": (Load(("-c", "echo 42"), "", ends=True, about=" "),),
    "open": (Load((), "cat /etc/passwd /no/such/file"),),
    "execve": (Load((), "uname; ./no-such-program"),),
    "icmp": (Load((), "ping -c 3 -i 0.2 127.0.0.1"),),
    "reads": (Load((), "cp /etc/passwd copy"),),
}  # fmt: skip
