#!/bin/sh
# Makes the root of a node and starts its systemd there, as the first process of namespaces of its own: run by
# `unshare --mount --uts --ipc --pid --cgroup --fork --kill-child`. Everything but /usr is in memory and ends with it.
#
#   node.sh ROOT FILES    ROOT: an empty directory; FILES: the tree that is laid over the root
set -eu
root=$1 files=$2

hostname node
mount -t tmpfs -o size=512m,mode=755 tmpfs "$root"
cd "$root"
mkdir dev etc proc run sys tmp usr var
mount --rbind /usr usr
for directory in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$directory" ]; then
        cp -P "/$directory" "$directory"
    elif [ -d "/$directory" ]; then
        mkdir "$directory"
        mount --rbind "/$directory" "$directory"
    fi
done
mount -t tmpfs -o mode=755 tmpfs usr/local
cp /etc/ld.so.cache etc/
mkdir -p etc/systemd/system
# Only these system units: the others set sysctls, load modules and look for disks, all of the whole machine.
for unit in basic.target sysinit.target local-fs.target sockets.target paths.target slices.target timers.target network-online.target \
    shutdown.target umount.target final.target systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
    cp "/lib/systemd/system/$unit" etc/systemd/system/
done
mkdir etc/systemd/system/sysinit.target.wants
ln -s ../systemd-journald.service etc/systemd/system/sysinit.target.wants/
cp -a "$files/." .

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup || {
    # The machine uses control groups version 1; the node has its part of version 2 all the same.
    mount -t tmpfs tmpfs sys/fs/cgroup
    mount -t cgroup2 cgroup2 sys/fs/cgroup
}
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm dev/mqueue
mount -t tmpfs -o mode=1777 tmpfs dev/shm # systemd makes credentials there
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/console

mkdir old
pivot_root . old
umount -l /old
mount --make-rshared / # as on a machine: what systemd mounts for a service reaches its view
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=lab TERM=dumb \
    SYSTEMD_UNIT_PATH=/etc/systemd/system SYSTEMD_GENERATOR_PATH=/nonexistent \
    /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=no </dev/null
