#!/bin/sh
# Process 1 of a guest, from its initramfs: puts the host's files below a file system in memory, and goes on in there.
# PENSTOCK_VM_DIRECTORY (the runner's, with what to run) and PENSTOCK_VM_MODULES come from the kernel's command line.
export PATH=/bin

fail() {
  echo "<2>penstock-vm: $*" >/dev/kmsg
  sleep 1
  poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
  insmod "/modules/$module" || fail "the module $module could not be loaded"
done </modules/order

# Nobody changes the host's files while a guest reads them, or else it may see the old ones: cached, which is fast.
share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$1" "$2" "$3" || fail "$2 could not be mounted"; }
share ro,cache=loose host /lower
mount -t tmpfs -o size=75% upper /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root ||
  fail 'the overlay could not be mounted'

cd /root || fail 'there is no root'
mkdir -p proc sys dev run tmp lib/modules vm-output
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs shm dev/shm
mount -t tmpfs run run
mkdir -p run/lock
mount -t bpf bpf sys/fs/bpf
mount -t tracefs tracefs sys/kernel/tracing
mount -t debugfs debugfs sys/kernel/debug
mount -t cgroup2 cgroup2 sys/fs/cgroup
share rw,cache=none output vm-output
# uname(1) is not in here.
read -r release </proc/sys/kernel/osrelease
mkdir -p "lib/modules/$release"
mount --bind "/root$PENSTOCK_VM_MODULES" "lib/modules/$release" || fail "no modules at $PENSTOCK_VM_MODULES"
# What udev would do.
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
exec switch_root /root /bin/bash "$PENSTOCK_VM_DIRECTORY/start.sh"
