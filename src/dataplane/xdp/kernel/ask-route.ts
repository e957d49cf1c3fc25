// One question over rtnetlink(7), for what takes microseconds.
import { closeSync } from 'node:fs';
import { messages } from '../../netlink/netlink.ts';
import { memory } from './foreign.ts';
import { KernelError } from './kernel-error.ts';
import { errno, libc } from './libc.ts';

/** In the network namespace of the calling thread. Gives the body of the answer; throws `KernelError`. */
export function askRoute(request: Buffer, what: string): Buffer {
  const [netlink, raw, route] = [16, 3, 0];
  const socket = libc().socket(netlink, raw, route);
  if (socket < 0) throw new KernelError(what, errno());
  try {
    const answer = memory(32 * 1024);
    const sent = libc().send(socket, request, request.length, 0);
    const length = sent < 0 ? sent : libc().receive(socket, answer, answer.length, 0);
    if (length < 0) throw new KernelError(what, errno());
    const [message] = messages(answer.subarray(0, Number(length)), 0);
    if (message === undefined || message.errno !== undefined)
      throw new KernelError(what, message?.errno ?? 0);
    return message.body;
  } finally {
    closeSync(socket);
  }
}
