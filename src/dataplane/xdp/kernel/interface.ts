// What the kernel says about a network interface: its name, its driver, and the XDP program on it.
import { closeSync } from 'node:fs';
import { koffi, memory } from './foreign.ts';
import { checked } from './kernel-error.ts';
import { libc } from './libc.ts';
import { libbpf } from './library.ts';

/** The program on an interface, whoever put it there. */
export interface XdpState {
  /** Program ids; 0: none. */
  readonly native: number;
  readonly generic: number;
  readonly hardware: number;
}

/** Of the calling thread's network namespace, as everything here. Undefined if there is no such interface. */
export function interfaceName(ifindex: number): string | undefined {
  const name = memory(16);
  if (libc().interfaceName(ifindex, name) === null) return undefined;
  return name.toString('utf8', 0, name.indexOf(0));
}

/** Such as `veth` or `ixgbe`; undefined for devices that have none, such as `lo`. */
export function driverOf(name: string): string | undefined {
  const [inet, datagram] = [2, 2];
  const [siocEthtool, getDriverInfo] = [0x8946, 3];
  // struct ethtool_drvinfo (linux/ethtool.h): the command, then the driver's name of 32 bytes. struct ifreq: the name of
  // 16 bytes, then a pointer to it.
  const info = memory(196);
  info.writeUInt32LE(getDriverInfo);
  const request = memory(40);
  request.write(name, 0, 15);
  request.writeBigUInt64LE(koffi().address(info), 16);
  const socket = libc().socket(inet, datagram, 0);
  if (socket < 0) return undefined;
  const result = libc().ioctl(socket, siocEthtool, request);
  closeSync(socket);
  if (result < 0) return undefined;
  const driver = info.toString('utf8', 4, info.indexOf(0, 4));
  return driver === '' ? undefined : driver;
}

/** Throws `KernelError`, ENODEV where there is no such interface. */
export function xdpState(ifindex: number): XdpState {
  // struct bpf_xdp_query_opts (bpf/libbpf.h): its size, then prog_id, drv_prog_id, hw_prog_id, skb_prog_id, attach_mode.
  const options = memory(32);
  options.writeBigUInt64LE(32n);
  checked(libbpf().xdpQuery(ifindex, 0, options), `cannot ask about XDP on interface ${ifindex}`);
  const modes = { native: 1, generic: 2, hardware: 3, several: 4 } as const;
  const [any, mode] = [options.readUInt32LE(8), options.readUInt8(24)];
  const several = mode === modes.several;
  return {
    native: several ? options.readUInt32LE(12) : mode === modes.native ? any : 0,
    hardware: several ? options.readUInt32LE(16) : mode === modes.hardware ? any : 0,
    generic: several ? options.readUInt32LE(20) : mode === modes.generic ? any : 0,
  };
}
