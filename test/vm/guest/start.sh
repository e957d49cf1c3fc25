#!/bin/bash
# Process 1 of a guest, on the host's files: readies devices and network, runs the command, tells its exit status.
directory=$PENSTOCK_VM_DIRECTORY
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Warnings of the kernel from here on go to its log on the host.
echo 6 >/proc/sys/kernel/printk
hostname "penstock-vm"
ip link set lo up
# No udev is here to load the drivers of network cards: of those on the PCI bus, and of virtio's (its device type 1).
for device in /sys/bus/pci/devices/*; do
  [[ $(<"$device/class") != 0x02* ]] || modprobe --quiet "$(<"$device/modalias")"
done
for device in /sys/bus/virtio/devices/*; do
  [[ $(<"$device/modalias") != virtio:d00000001* ]] || modprobe "$(<"$device/modalias")"
done

# The ports appear when the driver and QEMU have agreed on them; how they are called depends on the other devices.
until compgen -G '/dev/vport*p1' && compgen -G '/dev/vport*p2'; do sleep 0.05; done >/dev/null
# Through pipes: a port has one opener, and a command may open /dev/stderr again.
exec </dev/null > >(exec cat >/dev/vport*p1) 2> >(exec cat >/dev/vport*p2)

echo '<3>penstock-vm: the command starts' >/dev/kmsg
bash "$directory/command.sh"
status=$?
sync --file-system /vm-output
# Behind all that the command wrote, on the same way.
printf '\0%s %d\n' "${directory##*/}" "$status"
printf '\0%s %d\n' "${directory##*/}" "$status" >&2
# The host ends us when it has read that.
exec sleep infinity
