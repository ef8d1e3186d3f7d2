#!/bin/busybox sh
# The first program of the guest. Moves to a file system of its own, since what the kernel unpacked can neither be
# left by pivot_root nor told from the kernel's own; then brings up what an ordinary host has, runs the errand, and
# says how it ended. It is told where to speak by /etc/guest: `mark` is a word that nobody else says.

bb=/bin/busybox

if [ "$1" != moved ]; then
    $bb mkdir /new
    $bb mount -t tmpfs -o mode=0755,size=80% root /new
    $bb mkdir /new/dev /new/proc /new/sys /new/run /new/tmp
    $bb mount -t devtmpfs dev /new/dev
    $bb mount -t tmpfs -o mode=1777 tmp /new/tmp
    $bb mount -t tmpfs -o mode=0755 run /new/run
    $bb cp -a /guest/. /new/
    $bb chmod 1777 /new/tmp /new/var/tmp
    exec $bb switch_root /new /init moved
fi

. /etc/guest
# Nobody has given this program a terminal. What it complains of is in the kernel's log.
exec </dev/null >/dev/null 2>/dev/kmsg

# Without a terminal in between nothing is added to what is printed.
$bb stty -F /dev/ttyS1 raw -echo -hupcl 115200
$bb stty -F /dev/ttyS2 raw -echo -hupcl 115200

$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t tracefs tracefs /sys/kernel/tracing
$bb mount -t securityfs securityfs /sys/kernel/security
$bb mount -t bpf bpf /sys/fs/bpf
$bb mount -t cgroup2 cgroup2 /sys/fs/cgroup
$bb mkdir -p /dev/pts /dev/shm
$bb mount -t devpts devpts /dev/pts
$bb mount -t tmpfs -o mode=1777 shm /dev/shm
$bb ln -s /proc/self/fd /dev/fd
$bb ln -s fd/0 /dev/stdin
$bb ln -s fd/1 /dev/stdout
$bb ln -s fd/2 /dev/stderr
for module in /lib/modules/guest/*; do
    [ -e "$module" ] && $bb insmod "$module"
done
$bb chown -R 1000:1000 /home/worker
$bb hostname guest
$bb ip link set lo up

# The errand sees pipes, as below any other program. One process copies each to its port.
$bb mkfifo -m 600 /run/guest.out /run/guest.err
$bb cat /run/guest.out >/dev/ttyS1 &
$bb cat /run/guest.err >/dev/ttyS2 &
exec 3>/run/guest.out 4>/run/guest.err
echo "$mark begin" >&3
/bin/sh /etc/errand </dev/null >/run/guest.out 2>/run/guest.err 3>&- 4>&-
code=$?
echo "$mark exit $code" >&4
echo "$mark exit $code" >&3
# The host ends it all as soon as it has heard that.
while :; do $bb sleep 60; done
