// The fast path: a flowtable takes the packets of established flows where they come in, before any rule and any routing.
// So the guard does not see them, and no change may cut flows while it stands: it is taken away first, and comes back
// soon after. See README.md.
import type { Logger } from 'pino';
import { CommitFailed } from '../dataplane.ts';
import { type LinkSummary, linkGroup, readLinks } from '../netlink/links.ts';
import { type NetlinkSocket, openNetlinkSocket } from '../netlink/socket.ts';
import { runNft } from './bulk.ts';
import { fastTableName, fastTableText, removalText } from './fast-table.ts';
import { readFastTable } from './kernel.ts';
import type { Outcome } from './session.ts';

/** How long flows take the way through all rules at least, after a change that ended some, in ms. */
const pauseAfterEndings = 1_000;
/** How long until the kernel is asked again for what it has refused, in ms. */
const pauseAfterRefusal = 60_000;

/** Virtual devices that take no packets in, or hand them on as those of another device. */
const idleKinds: readonly string[] = ['dummy', 'ifb', 'vrf'];

const noDevice = 'there is no interface that flows could come in by';

export interface FastPathOptions {
  /** Without it, one that is found is taken away. */
  readonly wanted: boolean;
  /** For questions that the kernel answers at once. */
  readonly questions: NetlinkSocket;
  /** Runs one line of commands in text as one transaction. */
  run(line: string): Promise<Outcome>;
  readonly logger: Logger;
}

export interface FastPath {
  /** Takes the fast path away, so that the guard sees every packet from now on. Throws `CommitFailed` where it stays. */
  pause(): Promise<void>;
  /**
   * Brings it back when it is time, on the interfaces that there are now. Cheap where nothing has to be done. Says what
   * somebody else had done to it. `look` where somebody may have.
   */
  tend(look: boolean): Promise<string | undefined>;
  /** What `status` says about it. */
  notes(): readonly string[];
  close(): void;
}

/** Those that flows come in by: Ethernet, and of bridges and bonds the whole instead of the ports. */
export function fastDevices(links: readonly LinkSummary[]): readonly string[] {
  return links
    .filter(({ ethernet, enslaved, kind }) => ethernet && !enslaved && !idleKinds.includes(kind))
    .map(({ name }) => name)
    .sort();
}

/** Why the kernel would take no flowtable on these interfaces, in its words; undefined where it would. */
export async function refusedFastPath(devices: readonly string[]): Promise<string | undefined> {
  if (devices.length === 0) return noDevice;
  const outcome = await runNft(['-c', '-f', '-'], fastTableText(devices));
  return outcome.kind === 'done' ? undefined : wordsOf(outcome.log);
}

/** The interfaces of this network namespace that the fast path would be on. */
export async function presentDevices(): Promise<readonly string[]> {
  const socket = await openNetlinkSocket('route');
  try {
    return fastDevices(await readLinks(socket));
  } finally {
    socket.close();
  }
}

export async function openFastPath({ wanted, questions, run, logger }: FastPathOptions): Promise<FastPath> {
  /** The kernel may have our table; true also where an agent before left it. */
  let standing = readFastTable(questions) !== undefined;
  let devices: readonly string[] = [];
  let refusal: string | undefined;
  /** Something may have changed that the table depends on. */
  let due = true;
  /** Known to be as it was left; false after a start. */
  let known = false;
  let notBefore = 0;
  const events = wanted ? await openNetlinkSocket('route') : undefined;
  events?.join(linkGroup);
  const links = wanted ? await openNetlinkSocket('route') : undefined;

  const remove = async (): Promise<void> => {
    const outcome = await run(removalText);
    if (outcome.kind !== 'done' && readFastTable(questions) !== undefined) {
      throw new CommitFailed('the fast path could not be taken away', outcome.log);
    }
    standing = false;
  };

  const refuse = (words: string): void => {
    if (refusal !== words) logger.info({ log: words }, 'no flowtable fast path: flows take the rules');
    refusal = words;
    notBefore = performance.now() + pauseAfterRefusal;
  };

  const install = async (now: readonly string[]): Promise<void> => {
    const outcome = await run(fastTableText(now));
    const found = readFastTable(questions);
    standing = found !== undefined;
    if (outcome.kind !== 'done' && !sameNames(found?.devices, now)) return refuse(wordsOf(outcome.log));
    if (!sameNames(devices, now)) logger.info({ interfaces: now }, 'established flows take the fast path');
    devices = now;
    refusal = undefined;
    known = true;
  };

  return {
    async pause() {
      if (!standing) return;
      await remove();
      notBefore = performance.now() + pauseAfterEndings;
    },
    async tend(look) {
      if (links === undefined || events === undefined) {
        if (standing) await remove();
        return undefined;
      }
      if (!events.drain(() => (due = true))) due = true;
      const time = performance.now() >= notBefore;
      // A refusal may have been about an interface, a pause is not.
      if (standing ? !due && !look : !time && !(due && refusal !== undefined)) return undefined;
      const [now, found] = [fastDevices(await readLinks(links)), readFastTable(questions)];
      due = false;
      const touched = standing && known && !found?.whole;
      if (found?.whole && sameNames(found.devices, now)) {
        devices = now;
        known = true;
      } else if (now.length === 0) {
        if (found !== undefined) await remove();
        refuse(noDevice);
      } else {
        await install(now);
      }
      return touched ? `the table inet ${fastTableName} was removed or changed` : undefined;
    },
    notes() {
      if (!wanted) return [];
      if (refusal !== undefined) return [`no flowtable fast path: ${refusal}`];
      const where = devices.join(', ');
      if (standing) {
        return [
          `established flows take the flowtable fast path on ${where}; counters of packets and bytes leave it out`,
        ];
      }
      return [
        'the flowtable fast path comes back within two seconds: flows were ended, or the agent has just started',
      ];
    },
    close() {
      events?.close();
      links?.close();
    },
  };
}

function sameNames(some: readonly string[] | undefined, others: readonly string[]): boolean {
  return some !== undefined && [...some].sort().join('/') === [...others].sort().join('/');
}

/** `/dev/stdin:1:9-12: Error: Could not process rule: No such file or directory` → what comes after the `Error: `. */
function wordsOf(log: string): string {
  const line =
    log.split('\n').find((candidate) => candidate.includes('Error: ')) ?? log.split('\n', 1)[0] ?? '';
  return `the kernel or nft refuses a flowtable (${line.replace(/^.*Error: /, '')})`;
}
