// Kernel settings that let packets through the gateway, or quietly drop them.
import { type Check, fine, found } from '../check.ts';

/** Settings by name; absent ones are not there in this kernel. */
export type Settings = ReadonlyMap<string, string>;

export interface Role {
  readonly xdp: boolean;
  /** The agent owns some of them while it runs. */
  readonly agentRuns: boolean;
  /** Interfaces that the agent's XDP plane receives from; it has them accept local sources. */
  readonly receiving: readonly string[];
}

/** The name of an interface's setting; sysctl(8) wants a slash for a dot in the interface's name. */
export function ofInterface(family: 'ipv4' | 'ipv6', link: string, setting: string): string {
  return `net.${family}.conf.${link.replaceAll('.', '/')}.${setting}`;
}

/** All that `judgeSettings` asks for. */
export function settingNames(links: readonly string[]): readonly string[] {
  return [
    'net.ipv4.ip_forward',
    'net.ipv6.conf.all.forwarding',
    ...['all', ...links].flatMap((link) => [
      ofInterface('ipv4', link, 'rp_filter'),
      ofInterface('ipv4', link, 'accept_local'),
      ofInterface('ipv4', link, 'forwarding'),
      ofInterface('ipv6', link, 'forwarding'),
    ]),
    ...bridgeSettings,
  ];
}

export function judgeSettings(settings: Settings, links: readonly string[], role: Role): readonly Check[] {
  return [
    ...judgeForwarding(settings, links, role),
    ...links.flatMap((link) => judgeReversePath(settings, link, role)),
    ...(role.xdp ? links.flatMap((link) => judgeLocalSources(settings, link, role)) : []),
  ];
}

function judgeForwarding(
  settings: Settings,
  links: readonly string[],
  { agentRuns }: Role,
): readonly Check[] {
  const families = [
    ['IPv4', 'ipv4', 'net.ipv4.ip_forward'],
    ['IPv6', 'ipv6', 'net.ipv6.conf.all.forwarding'],
  ] as const;
  return families.flatMap(([subject, family, name]): readonly Check[] => {
    const code = 'FORWARDING_OFF';
    const value = settings.get(name);
    if (value === undefined) return [fine(code, subject, `this kernel has no ${subject}`)];
    if (value === '0') {
      // It is the first thing that the agent does.
      return agentRuns
        ? [found(code, subject, `${name} is 0`, `sysctl -w ${name}=1`)]
        : [
            found(
              code,
              subject,
              `${name} is 0; the agent sets it when it starts`,
              `sysctl -w ${name}=1`,
              'info',
            ),
          ];
    }
    // The kernel forwards by the setting of the interface that a packet comes in by.
    const closed = links.filter((link) => settings.get(ofInterface(family, link, 'forwarding')) === '0');
    if (closed.length === 0) return [fine(code, subject, `${name} is ${value}`)];
    return closed.map((link) => {
      const own = ofInterface(family, link, 'forwarding');
      return found(code, link, `${own} is 0`, `sysctl -w ${own}=1`);
    });
  });
}

function judgeReversePath(settings: Settings, link: string, { xdp, agentRuns }: Role): readonly Check[] {
  const code = 'RP_FILTER_STRICT';
  const own = ofInterface('ipv4', link, 'rp_filter');
  // The larger of the two counts (kernel: ip-sysctl, rp_filter).
  const value = Math.max(
    numberOf(settings, ofInterface('ipv4', 'all', 'rp_filter')),
    numberOf(settings, own),
  );
  if (value !== 1) return [fine(code, link, value === 0 ? 'off' : 'loose')];
  const message = xdp
    ? 'the reverse path filter is strict, and drops answers that XDP has translated and the kernel routes'
    : 'the reverse path filter is strict';
  return [found(code, link, message, `sysctl -w ${own}=2`, xdp && agentRuns ? 'error' : 'warning')];
}

function judgeLocalSources(settings: Settings, link: string, role: Role): readonly Check[] {
  const code = 'ACCEPT_LOCAL_OFF';
  const own = ofInterface('ipv4', link, 'accept_local');
  const value = Math.max(
    numberOf(settings, ofInterface('ipv4', 'all', 'accept_local')),
    numberOf(settings, own),
  );
  if (value === 1) return [fine(code, link, 'local sources are accepted')];
  if (!role.agentRuns) return [fine(code, link, 'the agent sets accept_local when it starts')];
  if (!role.receiving.includes(link)) return [];
  return [found(code, link, `${own} is 0`, `sysctl -w ${own}=1`)];
}

const bridgeSettings = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'];

/** Only where there is a bridge at all. */
export function judgeBridges(
  settings: Settings,
  bridges: readonly { readonly name: string; readonly bridgeNetfilter: boolean }[],
): readonly Check[] {
  if (bridges.length === 0) return [];
  const code = 'BRIDGE_NETFILTER_ON';
  const on = bridgeSettings.filter((name) => settings.get(name) === '1');
  const own = bridges.filter(({ bridgeNetfilter }) => bridgeNetfilter);
  const names = bridges.map(({ name }) => name).join(', ');
  if (on.length > 0) {
    const remedy = `sysctl -w ${on.map((name) => `${name}=0`).join(' ')}`;
    return [found(code, names, `${on.join(' and ')} ${on.length === 1 ? 'is' : 'are'} 1`, remedy)];
  }
  if (own.length === 0) return [fine(code, names, 'bridged packets pass by netfilter')];
  return own.map(({ name }) => {
    const remedy = `ip link set dev ${name} type bridge nf_call_iptables 0 nf_call_ip6tables 0`;
    return found(code, name, 'this bridge hands its packets to netfilter', remedy);
  });
}

function numberOf(settings: Settings, name: string): number {
  return Number(settings.get(name) ?? 0);
}
