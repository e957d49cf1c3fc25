// The rest of what the host tells: settings, conntrack, the BPF file system, libbpf, the clock.
import { readFile, stat, statfs } from 'node:fs/promises';
import { readSysctl } from '../../host/sysctl.ts';
import { asRoot, type Reading, read, unread } from '../check.ts';
import type { ClockFacts } from '../judge/clock.ts';
import type { ConntrackFacts } from '../judge/conntrack.ts';
import type { Settings } from '../judge/settings.ts';
import type { Libc } from './libc.ts';

const BPF_FS_MAGIC = 0xcafe4a11;
const TIME_ERROR = 5;

export async function readSettings(names: readonly string[]): Promise<Settings> {
  const values = await Promise.all(names.map((name) => readSysctl(name).catch(() => undefined)));
  return new Map(
    names.flatMap((name, index) => (values[index] === undefined ? [] : [[name, values[index]]])),
  );
}

export async function readConntrack(): Promise<Reading<ConntrackFacts>> {
  const prefix = 'net.netfilter.nf_conntrack';
  const number = async (name: string): Promise<number | undefined> => {
    const value = await readSysctl(`${prefix}_${name}`).catch(() => undefined);
    return value === undefined ? undefined : Number(value);
  };
  const [count, most, buckets, loose, liberal] = await Promise.all(
    ['count', 'max', 'buckets', 'tcp_loose', 'tcp_be_liberal'].map(number),
  );
  if (count === undefined || most === undefined) {
    return unread('conntrack is not loaded yet: the agent’s ruleset loads it', 'modprobe nf_conntrack');
  }
  return read({
    count,
    most,
    buckets: buckets ?? 0,
    ...(loose === undefined ? {} : { loose }),
    ...(liberal === undefined ? {} : { liberal }),
    elsewhere: await isNamespace(),
  });
}

/** The kernel lets the size be changed in the host's first network alone, and shows it read-only in others. */
async function isNamespace(): Promise<boolean> {
  const { mode } = await stat('/proc/sys/net/netfilter/nf_conntrack_max');
  return (mode & 0o200) === 0;
}

export async function readBpffs(): Promise<Reading<boolean>> {
  try {
    return read((await statfs('/sys/fs/bpf')).type === BPF_FS_MAGIC);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return read(false);
    return unread(error instanceof Error ? error.message : String(error), asRoot);
  }
}

export async function readLibbpf(): Promise<Reading<{ readonly version?: string; readonly words?: string }>> {
  try {
    const { default: koffi } = await import('koffi');
    try {
      const version: unknown = koffi.load('libbpf.so.1').func('const char *libbpf_version_string(void)')();
      return read({ version: String(version) });
    } catch (error) {
      return read({ words: error instanceof Error ? error.message : String(error) });
    }
  } catch (error) {
    return unread(`koffi cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export async function readClock(libc: Libc | undefined): Promise<ClockFacts> {
  const folder = '/sys/devices/system/clocksource/clocksource0';
  const [source, sources] = await Promise.all(
    ['current', 'available'].map((name) =>
      readFile(`${folder}/${name}_clocksource`, 'utf8').then(
        (text) => text.trim(),
        () => undefined,
      ),
    ),
  );
  const state = libc?.clockState() ?? -1;
  return {
    ...(state < 0 ? {} : { synchronised: state !== TIME_ERROR }),
    ...(source === undefined ? {} : { source }),
    sources: sources?.split(/\s+/) ?? [],
  };
}

/** By family; absent in a network namespace, where the host's counts. */
export async function readNeighbourLimits(): Promise<{ readonly ipv4?: number; readonly ipv6?: number }> {
  const limit = async (family: string): Promise<number | undefined> => {
    const value = await readSysctl(`net.${family}.neigh.default.gc_thresh3`).catch(() => undefined);
    return value === undefined ? undefined : Number(value);
  };
  const [ipv4, ipv6] = await Promise.all([limit('ipv4'), limit('ipv6')]);
  return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
}
