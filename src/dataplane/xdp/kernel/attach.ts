// Puts a program on an interface, or in the place of one that is there, without a packet lost between them.
import { closeSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DataPlaneUnavailable } from '../../dataplane.ts';
import { describeProgram } from './describe.ts';
import { detach } from './detach.ts';
import { isHere } from './detach-moved.ts';
import { memory } from './foreign.ts';
import { driverOf, interfaceName, type QueuePairs, queuePairsOf, xdpState } from './interface.ts';
import { checked, errnos, errnoText, KernelError } from './kernel-error.ts';
import { libbpf } from './library.ts';
import { withLog } from './log.ts';
import type { PinDirectory } from './pin-directory.ts';
import { type PinnedLink, pinnedLinks, withPin } from './pinned-links.ts';
import type { LoadedProgram } from './program.ts';

/** The two programs of the object; the second one for frames of several buffers, which jumbo frames need. */
export const plain = 'penstock';
const frags = 'penstock_frags';

/** XDP_FLAGS_* of linux/if_link.h. */
const flags = { ifNotThere: 1, generic: 2, native: 4 } as const;
/** BPF_XDP of enum bpf_attach_type. */
const attachTypeXdp = 37;
const replaceExpected = 4;

/**
 * Native mode if the driver has it, else the same with the program for jumbo frames, else generic mode; `attachments`
 * tells which, and why. An interface that has a program of ours gets this one in its place, in the mode it has.
 *
 * Runs on the calling thread, whose network namespace is meant. A driver may take its time (its rings are set up anew),
 * up to a second. Throws `DataPlaneUnavailable`: XDP_FOREIGN_PROGRAM if another program is there, which stays;
 * XDP_ATTACH_REFUSED; XDP_CHECKSUMS_UNFINISHED and XDP_QUEUES_EXCEEDED, where nftables had better do it;
 * XDP_INTERFACE_MISSING.
 */
export function attach(directory: PinDirectory, program: LoadedProgram, ifindex: number): void {
  const link = pinnedLinks(directory).find((each) => each.ifindex === ifindex);
  if (link !== undefined && isHere(link)) {
    replace(link, program);
    return;
  }
  // The interface was moved to another namespace, and this one has come to its number.
  if (link !== undefined) detach(directory, ifindex);
  create(directory, program, ifindex);
}

/**
 * Throws what `attach` would throw for an interface that is not there or has another's program. Changes nothing. In the
 * network namespace of the calling thread.
 */
export function mustBeAttachable(directory: PinDirectory, ifindex: number): void {
  const link = pinnedLinks(directory).find((each) => each.ifindex === ifindex);
  if (link !== undefined && isHere(link)) return;
  mustBeFree(mustBeNamed(ifindex), ifindex);
}

/**
 * For an interface whose MTU has grown: drivers refuse the plain program above a page when it is attached, but some let the
 * MTU grow later, and drop the frames. Puts the program for frames of several pages in its place. Returns whether that runs
 * now; the driver may refuse it. In the network namespace of the calling thread.
 */
export function takeLargeFrames(directory: PinDirectory, program: LoadedProgram, ifindex: number): boolean {
  const link = pinnedLinks(directory).find((each) => each.ifindex === ifindex);
  if (link === undefined || !program.programs.has(frags)) return false;
  try {
    replace(link, program, frags);
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

/**
 * Compare and swap: had somebody else changed the link, this would fail instead of undoing it. Default: the program of the
 * same name.
 */
function replace(link: PinnedLink, program: LoadedProgram, wanted?: string): void {
  const old = checked(libbpf().programById(link.program), `cannot open program ${link.program}`);
  try {
    const name = wanted ?? describeProgram(old).name;
    const next = program.programs.has(name) ? name : plain;
    if (program.programs.get(next)?.id === link.program) return;
    // struct bpf_link_update_opts (bpf/bpf.h).
    const options = memory(16);
    options.writeBigUInt64LE(16n);
    options.writeUInt32LE(replaceExpected, 8);
    options.writeInt32LE(old, 12);
    withPin(link.path, (file) =>
      checked(
        libbpf().linkUpdate(file, program.programFile(next), options),
        `cannot replace the program on interface ${link.ifindex}`,
      ),
    );
  } finally {
    closeSync(old);
  }
}

function create({ links, reasons }: PinDirectory, program: LoadedProgram, ifindex: number): void {
  const name = mustBeNamed(ifindex);
  mustBeFree(name, ifindex);
  mustHaveSendQueues(name);
  const attempts = [
    { program: plain, mode: flags.native },
    ...(program.programs.has(frags) ? [{ program: frags, mode: flags.native }] : []),
    { program: plain, mode: flags.generic },
  ];
  const refusals: string[] = [];
  for (const attempt of attempts) {
    if (attempt.mode === flags.generic && leavesChecksums(refusals)) throw unfinished(name, refusals);
    const file = program.programFile(attempt.program);
    const link = linkCreate(file, ifindex, attempt.mode);
    if (link >= 0) {
      pin(link, join(links, String(ifindex)));
      // A symbolic link keeps a text in this file system, where there are no files.
      const reason = join(reasons, String(ifindex));
      rmSync(reason, { force: true });
      if (attempt.mode === flags.generic) symlinkSync(refusals.at(0) ?? '', reason);
      return;
    }
    mustBeFree(name, ifindex);
    refusals.push(whyNot(-link, file, ifindex, attempt.mode));
  }
  throw unavailable(
    'XDP_ATTACH_REFUSED',
    `no XDP program can run on ${name}: ${refusals.at(-1)}; in native mode: ${refusals.at(0)}`,
    'leave this interface out of those that XDP runs on',
  );
}

/**
 * virtio_net takes a queue for each CPU behind those in use, or shares them where there are not so many. Where more are in use
 * than there are CPUs it forgets the latter, sends by queues that it does not have, and the kernel crashes (Linux 6.1, 6.12).
 */
function mustHaveSendQueues(name: string): void {
  const pairs = driverOf(name) === 'virtio_net' ? queuePairsOf(name) : undefined;
  const cpus = libbpf().possibleCpus();
  if (pairs === undefined || !exceedsQueues(pairs, cpus)) return;
  const { now, most } = pairs;
  throw unavailable(
    'XDP_QUEUES_EXCEEDED',
    `${now} queue pairs in use are more than ${cpus} CPUs, and both together more than its ${most}: virtio_net would send by queues that it does not have, so nftables alone forwards what comes in by ${name}`,
    `ethtool -L ${name} combined ${most - cpus}`,
  );
}

export function exceedsQueues({ now, most }: QueuePairs, cpus: number): boolean {
  return now > cpus && now + cpus > most;
}

/**
 * virtio_net gives up what its host finishes for it before it takes a program; where it cannot, it says GRO_HW/CSUM. Then
 * other machines of that host leave their checksums to somebody else, and the program would spoil them: to it they are
 * sums over the whole packet, which it corrects.
 */
function leavesChecksums(refusals: readonly string[]): boolean {
  return refusals.some((words) => words.includes('CSUM'));
}

function unfinished(name: string, refusals: readonly string[]): DataPlaneUnavailable {
  return unavailable(
    'XDP_CHECKSUMS_UNFINISHED',
    `${refusals.at(0)}; generic mode would spoil checksums that other machines leave to this card, so nftables alone forwards what comes in by ${name}`,
    'penstock doctor tells how to make the card without these offloads',
  );
}

function linkCreate(program: number, ifindex: number, mode: number): number {
  // struct bpf_link_create_opts (bpf/bpf.h), of which only the first two fields are used.
  const options = memory(16);
  options.writeBigUInt64LE(16n);
  options.writeUInt32LE(mode, 8);
  return libbpf().linkCreate(program, ifindex, attachTypeXdp, options);
}

function pin(link: number, path: string): void {
  try {
    checked(libbpf().pin(link, path), `cannot pin ${path}`);
  } finally {
    // Unless it is pinned, the link ends with its last descriptor.
    closeSync(link);
  }
}

/**
 * The driver's own words. BPF_LINK_CREATE keeps them to itself (they go to a tracepoint), rtnetlink passes them on, so
 * the same is tried that way.
 */
function whyNot(errno: number, program: number, ifindex: number, mode: number): string {
  return withLog((log) => {
    const result = libbpf().xdpAttach(ifindex, program, mode | flags.ifNotThere, null);
    if (result === 0) libbpf().xdpAttach(ifindex, -1, mode, null);
    // Some kernels end their words with a full stop, others do not.
    const words = /Kernel error message: (.+?)\.?$/m.exec(log())?.[1];
    return words ?? errnoText(errno);
  });
}

function mustBeNamed(ifindex: number): string {
  const name = interfaceName(ifindex);
  if (name !== undefined) return name;
  throw unavailable('XDP_INTERFACE_MISSING', `there is no interface ${ifindex}`, noSuch);
}

function mustBeFree(name: string, ifindex: number): void {
  const { native, generic, hardware } = stateOf(name, ifindex);
  const id = native || generic || hardware;
  if (id === 0) return;
  throw unavailable(
    'XDP_FOREIGN_PROGRAM',
    `${name} has an XDP program already, which is not Penstock's (id ${id})`,
    `take it off with the tool that put it there, or: ip link set dev ${name} xdp off`,
  );
}

function stateOf(name: string, ifindex: number): ReturnType<typeof xdpState> {
  try {
    return xdpState(ifindex);
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === errnos.noDevice)) throw error;
    throw unavailable('XDP_INTERFACE_MISSING', `the interface ${name} is gone`, noSuch);
  }
}

const noSuch = 'name interfaces that exist, or none, to have them chosen';

function unavailable(code: string, message: string, remedy: string): DataPlaneUnavailable {
  return new DataPlaneUnavailable([{ code, message, remedy }]);
}
