// Random declarations, and where they can be knocked at.
import type { Message } from '../../src/wire/client.ts';
import { addressOf, all, type Family, tcp, udp } from '../e2e/support/declare.ts';
import { backend } from '../lab/topology.ts';
import type { End } from '../packets/frame/packet.ts';
import type { Random } from './random.ts';
import { machineCount } from './rig.ts';

export type Transport = 'tcp' | 'udp';

/** Where a client may begin a conversation. */
export interface Door {
  readonly family: Family;
  readonly transport: Transport;
  readonly end: End;
  /** And open to everybody: the member can be told. */
  readonly balanced: boolean;
}

export interface World {
  readonly loadBalancers: readonly Message<'LoadBalancer'>[];
  readonly doors: readonly Door[];
}

/**
 * Two load balancers for each family, with every kind of rule. With `leaving`, some of them are such that XDP leaves their
 * flows to nftables: idle timeouts longer than any conversation, and limits that refuse everybody or nobody.
 */
export function randomWorld(random: Random, { leaving }: { readonly leaving: boolean }): World {
  const parts = ([4, 6] as const).flatMap((family) =>
    [0, 1].map((number) => randomLoadBalancer(random, family, number, leaving)),
  );
  return {
    loadBalancers: parts.map(({ loadBalancer }) => loadBalancer),
    doors: parts.flatMap(({ doors }) => doors),
  };
}

interface Part {
  readonly loadBalancer: Message<'LoadBalancer'>;
  readonly doors: readonly Door[];
}

function randomLoadBalancer(random: Random, family: Family, number: number, leaving: boolean): Part {
  const patience = () => (leaving && random.once(3) ? { idleTimeout: { seconds: 3_600 } } : {});
  const limited = () => (leaving ? allowing(random, family) : {});
  const frontends = ['one', 'other', 'whole', 'spread'].map((name, index) => ({
    name,
    address: frontendAddress(family, 10 + number * 4 + index),
    addressOwnership: random.pick([1, 2]),
  }));
  const pools = ['a', 'b'].map((name) => ({ name, members: randomMembers(random, family) }));
  const doors: Door[] = [];
  const addressAt = (name: string): string => frontends.find((one) => one.name === name)?.address ?? '';
  const open = (frontend: string, protocol: number, port: number, balanced: boolean): void => {
    for (const [transport, bit] of [
      ['tcp', tcp],
      ['udp', udp],
    ] as const) {
      if (protocol === bit || protocol === all)
        doors.push({ family, transport, end: [addressAt(frontend), port], balanced });
    }
  };

  const natRules = ['one', 'other'].map((frontend, index) => {
    // The same port of the machines by both, now and then: the way back is then not clear from the port alone.
    const backendPort = index === 0 || random.once(2) ? 22 : 2200;
    const protocol = random.pick([tcp, udp, all]);
    const pool = random.pick(pools);
    const portsPerMember = random.pick([1, 1, 2]);
    const start = 500 + index * 100;
    for (let at = 0; at < pool.members.length * portsPerMember; at += 1)
      open(frontend, protocol, start + at, false);
    return {
      name: `nat-${frontend}`,
      frontend,
      protocol,
      backendPort,
      pool: { backendPool: pool.name, frontendPortRangeStart: start, maximumMachines: 20, portsPerMember },
      flow: patience(),
    };
  });
  const target = backend(random.between(1, machineCount));
  const single = {
    name: 'single',
    frontend: 'one',
    protocol: all,
    backendPort: random.pick([22, 8080]),
    single: { frontendPort: 2222, address: addressOf(target, family) },
    flow: { sourceNat: random.pick([1, 1, 1, 2]), ...patience() },
    ...limited(),
  };
  open('one', all, 2222, false);
  const whole = {
    name: 'whole',
    frontend: 'whole',
    protocol: all,
    single: { address: addressOf(backend(random.between(1, machineCount)), family) },
  };
  for (const port of [22, 443, 5000]) open('whole', all, port, false);

  const balancedRules = [80, 81, 82].map((frontendPort, index) => {
    const protocol = random.pick([tcp, udp, all]);
    const limits = limited();
    open('one', protocol, frontendPort, !refusesAll(limits));
    return {
      name: `lb-${frontendPort}`,
      frontend: 'one',
      protocol,
      frontendPort,
      backendPort: random.pick([80, 8080]),
      backendPool: random.pick(pools).name,
      sessionPersistence: index + 1,
      flow: { sourceNat: random.pick([1, 1, 1, 2]), ...patience() },
      ...limits,
    };
  });
  const everyPort = {
    name: 'every-port',
    frontend: 'spread',
    protocol: all,
    backendPool: random.pick(pools).name,
  };
  for (const port of [22, 80, 9000]) open('spread', all, port, true);

  return {
    loadBalancer: {
      name: `lb${number}-${family}`,
      frontends,
      backendPools: pools,
      inboundNatRules: [...natRules, single, whole],
      loadBalancingRules: [...balancedRules, everyPort],
    },
    doors,
  };
}

interface Limited {
  readonly limits?: Message<'Limits'>;
}

const nobodyOf = { 4: '192.0.2.0/25', 6: '2001:db8:dead::/48' } as const;

/** Now and then a rule that serves everybody but the clients, or everybody; what is limited by time differs by chance. */
function allowing(random: Random, family: Family): Limited {
  if (!random.once(4)) return {};
  const nobody = nobodyOf[family];
  const everybody = family === 4 ? '0.0.0.0/0' : '::/0';
  return { limits: { allowedClients: [random.pick([nobody, everybody])], concurrentFlows: 50_000 } };
}

function refusesAll({ limits }: Limited): boolean {
  return Object.values(nobodyOf).some((range) => limits?.allowedClients?.includes(range));
}

function randomMembers(random: Random, family: Family): Message<'Member'>[] {
  const numbers = Array.from({ length: machineCount }, (_, index) => index + 1);
  const count = random.between(2, 6);
  return Array.from({ length: count }, () => {
    const [number = 1] = numbers.splice(random.number(numbers.length), 1);
    return {
      id: `b${number}`,
      address: addressOf(backend(number), family),
      weight: random.between(1, 3),
      adminState: random.pick([1, 1, 1, 1, 3, 4]),
    };
  });
}

export function frontendAddress(family: Family, number: number): string {
  return family === 4 ? `203.0.113.${number}` : `2001:db8:f::${number.toString(16)}`;
}
