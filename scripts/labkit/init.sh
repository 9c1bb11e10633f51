#!/bin/busybox sh
# initramfs → this machine's own root under an overlay, one command run there, its exit status on a port.
#
# Process 1, twice: stage_one from the initramfs, then stage_two from the new root. config sets LAB_*; job is
# the command with its environment. Lines on the port named "status": "up", "lost REASON", "exit STATUS".

home=/run/ebt-lab
nine=trans=virtio,version=9p2000.L,msize=512000

lost() {
    echo "ebt-lab: $*" >/dev/console
    [ -e /proc/self/fd/9 ] && echo "lost $*" >&9
    sleep 1
    /bin/busybox poweroff -f || "$home/busybox" poweroff -f
}

# The ports appear a moment after their driver.
port() {
    for _ in $(seq 100); do
        for name in /sys/class/virtio-ports/*/name; do
            if [ -e "$name" ] && [ "$(cat "$name")" = "$1" ]; then
                name=${name%/name}
                echo "/dev/${name##*/}"
                return
            fi
        done
        usleep 50000
    done
    echo "ebt-lab: no port named $1" >/dev/console
    return 1
}

stage_one() {
    /bin/busybox --install -s /bin
    export PATH=/bin
    mkdir -p /proc /sys /dev /lower /over /new
    mount -t proc proc /proc
    mount -t sysfs sys /sys
    mount -t devtmpfs dev /dev
    . /lab/config
    for module in $LAB_MODULES; do
        insmod "/lab/modules/$module.ko" || lost "cannot load module $module"
    done
    status=$(port status) || lost "no status port"
    exec 9>"$status"

    mount -t 9p -o "$nine,ro,cache=loose" root /lower || lost "cannot mount the machine's root"
    mount -t tmpfs -o mode=755 over /over
    mkdir /over/upper /over/work
    mount -t overlay -o lowerdir=/lower,upperdir=/over/upper,workdir=/over/work root /new ||
        lost "cannot mount the overlay"
    mounts
    mkdir -p "/new$home"
    cp /init /lab/config /lab/job /bin/busybox "/new$home" || lost "cannot copy into the new root"
    exec switch_root /new "$home/busybox" sh "$home/init" stage_two
}

# What systemd, or a mount by hand, makes on a real machine. What a kernel lacks is for the tests to find.
mounts() {
    mount -t proc proc /new/proc
    mount -t sysfs sys /new/sys
    mount -t devtmpfs dev /new/dev
    mkdir -p /new/dev/pts /new/dev/shm
    mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /new/dev/pts
    mount -t tmpfs -o mode=1777 shm /new/dev/shm
    ln -sf /proc/self/fd /new/dev/fd
    mount -t tmpfs -o mode=755 run /new/run
    mkdir -p /new/run/lock
    mount -t tracefs tracefs /new/sys/kernel/tracing
    mount -t debugfs debugfs /new/sys/kernel/debug
    mount -t securityfs securityfs /new/sys/kernel/security
    mount -t bpf bpf /new/sys/fs/bpf
    mount -t cgroup2 cgroup2 /new/sys/fs/cgroup

    mkdir -p "/new$home/kernel" "/new$home/out" "/new$home/compiler" "/new/lib/modules/$LAB_RELEASE" /new/boot
    mount -t 9p -o "$nine,ro,cache=loose" kernel "/new$home/kernel" || lost "cannot mount the kernel's files"
    mount -o bind "/new$home/kernel/lib/modules/$LAB_RELEASE" "/new/lib/modules/$LAB_RELEASE" ||
        lost "cannot mount the kernel's modules"
    ln -sf "$home/kernel/config" "/new/boot/config-$LAB_RELEASE"
    # Uncached: what a test leaves there is on the host when its write returns.
    mount -t 9p -o "$nine,cache=none" out "/new$home/out" || lost "cannot mount the result directory"
    mount -t 9p -o "$nine,cache=none" compiler "/new$home/compiler" || lost "cannot mount the compiler's directory"
}

stage_two() {
    . "$home/config"
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    busybox=$home/busybox
    $busybox ip link set lo up
    $busybox hostname "lab-$(echo "$LAB_KERNEL" | tr . -)"
    # As a login on a real machine has it.
    ulimit -H -n 1048576
    cd /
    echo up >&9
    if [ "$LAB_TERMINAL" ]; then on_terminal; else on_ports; fi
    echo "exit $result" >&9
    # The host ends the guest once it has read everything.
    sleep 60
    $busybox poweroff -f
}

on_terminal() {
    # The size is set inside: a console that nobody holds open forgets it.
    size="stty rows $LAB_ROWS cols $LAB_COLUMNS"
    $busybox setsid -c /bin/sh -c "$size; exec /bin/sh $home/job" </dev/hvc0 >/dev/hvc0 2>&1 9>&-
    result=$?
}

# A port can be opened once only, so the command writes into pipes, as it would under a shell.
# /bin/sh in full: by its bare name busybox takes itself, and then for each tool that it knows.
on_ports() {
    mkfifo "$home/stdout" "$home/stderr"
    pump stdout &
    pumps=$!
    if [ "$LAB_MERGE" ]; then
        $busybox setsid /bin/sh "$home/job" </dev/null >"$home/stdout" 2>&1 9>&-
        result=$?
    else
        pump stderr &
        pumps="$pumps $!"
        $busybox setsid /bin/sh "$home/job" </dev/null >"$home/stdout" 2>"$home/stderr" 9>&-
        result=$?
    fi
    # Something that the command left behind may hold a pipe open for ever.
    { sleep 3; kill $(cat "$home"/*.cat); } 2>/dev/null &
    wait $pumps
}

# Copy a pipe to its port. The mark at the end tells the host that this was all: the status may overtake it.
pump() {
    exec 9>&-
    device=$(port "$1") || exit 1
    {
        cat "$home/$1" &
        echo $! >"$home/$1.cat"
        wait
        printf %s "$LAB_MARK"
    } >"$device"
}

"${1:-stage_one}"
