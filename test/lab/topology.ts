// The lab's names and addresses: which node is where follows from its number alone.

/** Where a command can run. `switch` is the wire between the gateway and the machines. */
export type Node = 'client' | 'gateway' | 'switch' | `b${number}`;

export interface Backend {
  readonly node: `b${number}`;
  /** From 1. */
  readonly number: number;
  readonly address: string;
  readonly address6: string;
  readonly mac: string;
}

export const client = { address: '198.51.100.10', address6: '2001:db8:c::10' } as const;

/** The gateway's interfaces: `wan0` towards the client, `lan0` towards the machines. */
export const gateway = {
  wan: { address: '198.51.100.1', address6: '2001:db8:c::1' },
  lan: { address: '10.0.0.1', address6: 'fd00:10::1', mac: '02:00:00:00:00:01' },
} as const;

/** Routed by the client to the gateway; free for frontends. */
export const frontends = { network: '203.0.113.0/24', network6: '2001:db8:f::/64' } as const;

/** A bridge carries at most 1,024 ports, and one leads to the gateway. */
export const maximumBackends = 1000;

/** Machine b1 has 10.0.0.4 and fd00:10::4, as in a cloud's subnet, where the first three are taken. */
export function backend(number: number): Backend {
  const host = number + 3;
  const [high, low] = [host >> 8, host & 0xff];
  const byte = (value: number): string => value.toString(16).padStart(2, '0');
  return {
    node: `b${number}`,
    number,
    address: `10.0.${high}.${low}`,
    address6: `fd00:10::${host.toString(16)}`,
    mac: `02:00:0a:00:${byte(high)}:${byte(low)}`,
  };
}

export function isNode(text: string): text is Node {
  return /^(client|gateway|switch|b[1-9]\d{0,3})$/.test(text);
}

export function namespaceOf(lab: string, node: Node): string {
  return `${lab}-${node}`;
}

export function namespacePath(namespace: string): string {
  return `/run/netns/${namespace}`;
}
