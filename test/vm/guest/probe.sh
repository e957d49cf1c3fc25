#!/bin/sh
# Process 1 of the machine that tells whether virtualisation works: says that it came so far, and ends.
export PATH=/bin
mount -t devtmpfs dev /dev
echo '<2>penstock-vm: alive' >/dev/kmsg
sleep 0.2
poweroff -f
