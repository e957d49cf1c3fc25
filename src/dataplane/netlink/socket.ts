// A netlink socket. Node has none, so libc is called through koffi.
import { getSystemErrorMap } from 'node:util';
import type { LibraryHandle } from 'koffi';
import { type Message, messages, messageType } from './netlink.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
/** NETLINK_*, and the length of the header which this kind's messages begin with and callers do not see. */
const kinds = {
  netfilter: { protocol: 12, header: 4 },
  route: { protocol: 0, header: 0 },
  generic: { protocol: 16, header: 0 },
} as const;
/** EAGAIN: no message is waiting. ENOBUFS: messages were lost, because they were not read in time. */
const EAGAIN = 11;
const ENOBUFS = 105;
const MSG_DONTWAIT = 0x40;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const receiveBuffer = 4 * 1024 * 1024;
/** The kernel fills at most 32 KiB per datagram of a dump (NLMSG_GOODSIZE and netlink_dump). */
const datagramLimit = 64 * 1024;
const answerSeconds = 10;
/** Datagrams read in one go, so that a storm of events leaves time for other work. */
const drainLimit = 1024;

/** The kernel refused a request. `errno` is positive, as in errno(3). */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  readonly errno: number;

  constructor(what: string, errno: number) {
    super(`${what}: ${errnoText(errno)}`);
    this.errno = errno;
  }
}

export interface NetlinkSocket {
  nextSequence(): number;
  /** Sends requests and hands over the answers until the one numbered `last` is answered. Blocks: for what takes microseconds. */
  exchange(requests: Buffer, last: number, onMessage: (message: Message) => void): void;
  /** The same without blocking the event loop; `onMessage` must copy what it keeps. Calls must not overlap. */
  exchangeAsync(requests: Buffer, last: number, onMessage: (message: Message) => void): Promise<void>;
  /** Hears from now on what the kernel tells this multicast group. Such a socket is for listening only. */
  join(group: number): void;
  /**
   * What has arrived since the last time, without waiting; `onMessage` must copy what it keeps. False when the kernel had
   * to leave something out.
   */
  drain(onMessage: (message: Message) => void): boolean;
  close(): void;
}

/** Opens a socket in the network namespace of the calling thread. Throws where libc or netlink is out of reach. */
export async function openNetlinkSocket(kind: keyof typeof kinds = 'netfilter'): Promise<NetlinkSocket> {
  // Only now, so that where koffi has no build for the platform the caller can say so.
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int, int, int)');
  const bind = libc.func('int bind(int, const void *, unsigned int)');
  const setsockopt = libc.func('int setsockopt(int, int, int, const void *, unsigned int)');
  const send = libc.func('long send(int, const void *, size_t, int)');
  const receive = libc.func('long recv(int, _Out_ void *, size_t, int)');
  const closeDescriptor = libc.func('int close(int)');

  const descriptor: number = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, kinds[kind].protocol);
  if (descriptor < 0) throw new NetlinkError('cannot open a netlink socket', koffi.errno());
  const address = Buffer.alloc(12);
  new DataView(address.buffer, address.byteOffset).setUint16(0, AF_NETLINK, true);
  if (bind(descriptor, address, address.length) < 0) {
    const errno = koffi.errno();
    closeDescriptor(descriptor);
    throw new NetlinkError('cannot bind a netlink socket', errno);
  }
  const size = Buffer.alloc(4);
  size.writeInt32LE(receiveBuffer);
  // Refused without CAP_NET_ADMIN; then the default size stays, and so does every message small enough for it.
  setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(BigInt(answerSeconds));
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);

  const datagram = Buffer.alloc(datagramLimit);
  let sequence = 0;
  let open = true;

  /** True when the last answer has come. A dump ends with `done`, everything else with an `error` message. */
  const take = (length: number, last: number, onMessage: (message: Message) => void): boolean => {
    if (length < 0) throw new NetlinkError('no answer from the kernel', koffi.errno());
    let finished = false;
    for (const message of messages(datagram.subarray(0, length), kinds[kind].header)) {
      onMessage(message);
      if (message.sequence !== last) continue;
      if (message.type === messageType.error || message.type === messageType.done) finished = true;
    }
    return finished;
  };

  /** A closed descriptor's number may belong to another file by now. */
  const mustBeOpen = (): void => {
    if (!open) throw new Error('the netlink socket is closed');
  };

  return {
    nextSequence() {
      sequence = (sequence + 1) >>> 0;
      return sequence;
    },
    exchange(requests, last, onMessage) {
      mustBeOpen();
      if (send(descriptor, requests, requests.length, 0) < 0) {
        throw new NetlinkError('cannot ask the kernel', koffi.errno());
      }
      while (!take(Number(receive(descriptor, datagram, datagram.length, 0)), last, onMessage));
    },
    async exchangeAsync(requests, last, onMessage) {
      mustBeOpen();
      const sent = await callAsync(send, descriptor, requests, requests.length, 0);
      if (sent < 0) throw new NetlinkError('cannot ask the kernel', koffi.errno());
      let finished = false;
      while (!finished) {
        const length = await callAsync(receive, descriptor, datagram, datagram.length, 0);
        finished = take(length, last, onMessage);
      }
    },
    join(group) {
      mustBeOpen();
      const number = Buffer.alloc(4);
      number.writeInt32LE(group);
      if (setsockopt(descriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number, number.length) < 0) {
        throw new NetlinkError('cannot listen to the kernel', koffi.errno());
      }
    },
    drain(onMessage) {
      mustBeOpen();
      let complete = true;
      for (let left = drainLimit; left > 0; left -= 1) {
        const length = Number(receive(descriptor, datagram, datagram.length, MSG_DONTWAIT));
        if (length < 0) {
          const errno = koffi.errno();
          if (errno === EAGAIN) return complete;
          if (errno !== ENOBUFS) throw new NetlinkError('cannot listen to the kernel', errno);
          complete = false;
        } else {
          for (const message of messages(datagram.subarray(0, length), kinds[kind].header))
            onMessage(message);
        }
      }
      return complete;
    },
    close() {
      if (open) closeDescriptor(descriptor);
      open = false;
    },
  };
}

function callAsync(
  f: ReturnType<LibraryHandle['func']>,
  ...args: readonly (number | Buffer)[]
): Promise<number> {
  return new Promise((resolve, reject) => {
    f.async(...args, (error: Error | null, result: number | bigint) => {
      if (error) reject(error);
      else resolve(Number(result));
    });
  });
}

function errnoText(errno: number): string {
  const known = getSystemErrorMap().get(-errno);
  return known === undefined ? `error ${errno}` : `${known[1]} (${known[0]})`;
}
