// A host for the doctor: two network namespaces joined by a veth, in which troubles are made and mended for real.
import { execa } from 'execa';
import type { Check } from '../../../src/doctor/check.ts';

const penstock = new URL('../../../scripts/penstock', import.meta.url).pathname;

export interface Diagnosed {
  readonly exitCode: number | undefined;
  readonly dataPlane: string;
  readonly agentRunning: boolean;
  readonly interfaces: readonly string[];
  readonly summary: Readonly<Record<string, number>>;
  readonly checks: readonly Check[];
}

/** The host has `v0`, whose peer `p0` is in the namespace `peer`, and the bridge `br0`. */
export class SickHost implements AsyncDisposable {
  readonly #name = `penstock-doctor-${process.pid}`;

  static async up(): Promise<SickHost> {
    const host = new SickHost();
    try {
      await execa('sh', ['-ec', setUp.replaceAll('HOST', host.namespace).replaceAll('PEER', host.peer)]);
      return host;
    } catch (error) {
      await host.down();
      throw error;
    }
  }

  get namespace(): string {
    return `${this.#name}-host`;
  }

  get peer(): string {
    return `${this.#name}-peer`;
  }

  get path(): string {
    return `/run/netns/${this.namespace}`;
  }

  /** Runs a shell command on the host, without ip(8)'s own mounts, which would hide the BPF file system. */
  async sh(command: string): Promise<string> {
    const { stdout } = await execa('nsenter', [`--net=${this.path}`, '--', 'sh', '-ec', command]);
    return stdout;
  }

  /** What `penstock doctor` finds; `before` comes in front of its command line, such as `env` or `setpriv`. */
  async diagnose(args: readonly string[] = [], before: readonly string[] = []): Promise<Diagnosed> {
    const { stdout, stderr, exitCode } = await execa(
      'nsenter',
      [`--net=${this.path}`, '--', ...before, penstock, 'doctor', '-o', 'json', ...args],
      { reject: false, env: { PENSTOCK_ADDRESS: `unix:/nowhere/${this.#name}.sock` } },
    );
    if (stdout === '') throw new Error(`the doctor is silent (${exitCode}): ${stderr}`);
    return { exitCode, ...JSON.parse(stdout) };
  }

  async down(): Promise<void> {
    for (const namespace of [this.namespace, this.peer]) {
      await execa('ip', ['netns', 'delete', namespace], { reject: false });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}

/** The check of a code and subject that is in trouble; undefined where there is none. */
export function troubleOf({ checks }: Diagnosed, code: string, subject: string): Check | undefined {
  return checks.find((check) => check.code === code && check.subject === subject && check.status !== 'ok');
}

const setUp = `
  ip netns add HOST; ip netns add PEER
  ip -n HOST link add v0 type veth peer name p0 netns PEER
  ip -n HOST link add br0 type bridge; ip -n HOST link set br0 up
  for end in "HOST v0 1" "PEER p0 2"; do
    set -- $end
    ip -n $1 link set lo up; ip -n $1 addr add 10.9.0.$3/24 dev $2; ip -n $1 link set $2 up
  done
  nsenter --net=/run/netns/PEER ethtool -K p0 gro on tx off >/dev/null
  nsenter --net=/run/netns/HOST sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  nsenter --net=/run/netns/HOST sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1
  nsenter --net=/run/netns/HOST sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.v0.rp_filter=0
  nsenter --net=/run/netns/HOST sysctl -eqw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
`;
