// Sends whole IP packets, whatever source they name. Node has no such sockets, so libc is called through koffi.
import { NetlinkError } from '../netlink/socket.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
/** Its packets bring their own IP header (raw(7), and net/ipv6/raw.c for IPv6). */
const IPPROTO_RAW = 255;
const MSG_DONTWAIT = 0x40;

export interface RawSocket {
  /** False where it could not be sent, for want of a route perhaps. */
  send(packet: Buffer, to: Buffer): boolean;
  close(): void;
}

/** In the network namespace of the calling thread. Throws `NetlinkError` where the kernel refuses. */
export async function openRawSocket(family: 4 | 6): Promise<RawSocket> {
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int, int, int)');
  const sendTo = libc.func('long sendto(int, const void *, size_t, int, const void *, unsigned int)');
  const closeDescriptor = libc.func('int close(int)');
  const descriptor: number = socket(family === 4 ? AF_INET : AF_INET6, SOCK_RAW_CLOEXEC, IPPROTO_RAW);
  if (descriptor < 0) throw new NetlinkError('cannot open a raw socket', koffi.errno());
  return {
    send(packet, to) {
      const address = family === 4 ? ipv4Address(to) : ipv6Address(to);
      return sendTo(descriptor, packet, packet.length, MSG_DONTWAIT, address, address.length) >= 0;
    },
    close() {
      closeDescriptor(descriptor);
    },
  };
}

/** `struct sockaddr_in`, without a port. */
function ipv4Address(to: Buffer): Buffer {
  const address = Buffer.alloc(16);
  new DataView(address.buffer, address.byteOffset).setUint16(0, AF_INET, true);
  to.copy(address, 4);
  return address;
}

/** `struct sockaddr_in6`, without a port. */
function ipv6Address(to: Buffer): Buffer {
  const address = Buffer.alloc(28);
  new DataView(address.buffer, address.byteOffset).setUint16(0, AF_INET6, true);
  to.copy(address, 8);
  return address;
}
