// A gateway with a client and machines in network namespaces of their own; the test process itself is the gateway.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import koffi from 'koffi';

const CLONE_NEWNET = 0x40000000;
const program = new URL('host.py', import.meta.url).pathname;

/** One machine. Every command rejects with the machine's own words where it fails. */
export interface Host {
  listen(transport: 'tcp' | 'udp', address: string, port: number): Promise<void>;
  connect(key: string, transport: 'tcp' | 'udp', address: string, port: number, from?: number): Promise<void>;
  /**
   * Sends `size` bytes (100) through a connection; gives the machine that answers, whom it saw, and the answer's length,
   * which is `size` as well for datagrams of more than 1,000.
   */
  ask(
    key: string,
    size?: number,
  ): Promise<{ readonly name: string; readonly peer: string; readonly length: number }>;
  /** What has become of a connection, at most some tenths of a second later. */
  fate(key: string): Promise<'open' | 'closed' | 'reset'>;
  /** What has become of the connections to this machine that listens, in all. */
  fates(): Promise<{ readonly open: number; readonly closed: number; readonly reset: number }>;
  close(key: string): Promise<void>;
  /** Closes with a reset, after which the port can be used again at once. */
  abort(key: string): Promise<void>;
  /** Opens `count` flows; gives each one's own address and port, and the machine that answered. */
  spread(
    transport: 'tcp' | 'udp',
    address: string,
    port: number,
    count: number,
  ): Promise<readonly (readonly [address: string, port: number, name: string])[]>;
  /** Starts to send datagrams without a pause. */
  send(key: string, address: string, port: number): Promise<void>;
  /** Ends what `send` began. */
  hush(key: string): Promise<void>;
  /** Ends all that `send` began. */
  rest(): Promise<void>;
  /** How many datagrams were sent, and who answered how many, since the last time. */
  heard(key: string): Promise<{ readonly sent: number; readonly answers: Readonly<Record<string, number>> }>;
  /** Opens so many UDP flows to one address that nobody answers. */
  flood(address: string, count: number): Promise<void>;
  /** Listens for TCP, and answers any question by `text`. */
  recite(address: string, port: number, text: string): Promise<void>;
  /** Asks `text` through a connection; gives the answer. */
  question(key: string, text: string): Promise<string>;
  /** Listens for transfers. */
  offer(address: string, port: number): Promise<void>;
  /** Sends so many bytes by TCP to one that offers, and receives so many; rejects unless all arrive. */
  transfer(address: string, port: number, up: number, down: number): Promise<void>;
  /** Notes the ICMP errors that arrive from now on. */
  watch(version: 4 | 6): Promise<void>;
  /** Those since the last time: who sent each, its type and code, and where the packet that it is about went. */
  noted(): Promise<readonly (readonly [from: string, type: number, code: number, about: string])[]>;
  /** Forgets the path MTUs that were learnt. */
  forgetPaths(): Promise<void>;
  ping(address: string): Promise<boolean>;
}

/**
 * Client 10.0.0.2 and fd00::2 behind the gateway's 10.0.0.1; machines m1, m2, ... 10.1.0.1, 10.1.0.2, ... and
 * fd01::1, ... on one link with the gateway's 10.1.0.254. The frontends 203.0.113.1, .2 and 2001:db8:f::1 are the
 * gateway's own. Behind 10.1.0.200 and fd01::c8, a hop that passes at most 1,400 bytes on, 10.2.0.1 and fd02::1 is far.
 */
export interface Lab {
  readonly client: Host;
  readonly machines: readonly Host[];
  readonly far: Host;
  /** A host that is the gateway itself. */
  readonly gateway: Host;
  close(): Promise<void>;
}

/** Moves this thread, and all programs that it starts from now on, to a network of its own. Needs root. */
export function ownNetwork(): void {
  const unshare = koffi.load('libc.so.6').func('int unshare(int)');
  if (unshare(CLONE_NEWNET) !== 0)
    throw new Error(`no network namespace: errno ${koffi.errno()}; root is needed`);
}

let labs = 0;

/** Builds the lab; call `ownNetwork` first. */
export async function buildLab(machineCount: number): Promise<Lab> {
  labs += 1;
  const name = (host: string): string => `pskn-${process.pid}-${labs}-${host}`;
  const hosts: StartedHost[] = [];
  const namespaces: string[] = [];
  const close = async (): Promise<void> => {
    for (const host of hosts) await host.end();
    for (const namespace of namespaces) await execa('ip', ['netns', 'delete', namespace], { reject: false });
  };
  const attach = async (host: string, setUp: string): Promise<StartedHost> => {
    const namespace = name(host);
    await execa('ip', ['netns', 'add', namespace]);
    namespaces.push(namespace);
    await execa('sh', ['-ec', setUp.replaceAll('NS', namespace)]);
    const started = await startHost(['ip', 'netns', 'exec', namespace, 'python3', program]);
    hosts.push(started);
    return started;
  };
  try {
    await execa('sh', ['-ec', gatewaySetUp]);
    const client = await attach(
      'client',
      `ip link add toclient type veth peer name eth0 netns NS
       ip addr add 10.0.0.1/24 dev toclient; ip addr add fd00::1/64 dev toclient nodad; ip link set toclient up
       ip -n NS link set lo up; ip -n NS addr add 10.0.0.2/24 dev eth0
       ip -n NS addr add fd00::2/64 dev eth0 nodad; ip -n NS link set eth0 up
       ip -n NS route add default via 10.0.0.1; ip -n NS route add default via fd00::1`,
    );
    const machines: Host[] = [];
    for (let number = 1; number <= machineCount; number += 1) {
      const machine = await attach(
        `m${number}`,
        `ip link add tom${number} type veth peer name eth0 netns NS
         ip link set tom${number} master machines; ip link set tom${number} up
         ip -n NS link set lo up; ip -n NS addr add 10.1.0.${number}/24 dev eth0
         ip -n NS addr add fd01::${number}/64 dev eth0 nodad; ip -n NS link set eth0 up
         ip -n NS route add default via 10.1.0.254; ip -n NS route add default via fd01::fe`,
      );
      for (const transport of ['tcp', 'udp'] as const) {
        for (const port of [8080, 9090]) {
          await machine.command('listen', transport, '0.0.0.0', port, `m${number}:${port}`);
          await machine.command('listen', transport, `fd01::${number}`, port, `m${number}:${port}`);
        }
      }
      machines.push(machine.host);
    }
    const hop = name('hop');
    await execa('ip', ['netns', 'add', hop]);
    namespaces.push(hop);
    const far = await attach(
      'far',
      `ip link add tohop type veth peer name eth0 netns ${hop}
       ip link set tohop master machines; ip link set tohop up
       ip -n ${hop} link add tofar type veth peer name eth0 netns NS
       ip -n ${hop} addr add 10.1.0.200/24 dev eth0; ip -n ${hop} addr add fd01::c8/64 dev eth0 nodad
       ip -n ${hop} addr add 10.2.0.254/24 dev tofar; ip -n ${hop} addr add fd02::fe/64 dev tofar nodad
       ip -n ${hop} link set tofar mtu 1400; ip -n ${hop} link set tofar up; ip -n ${hop} link set eth0 up
       ip netns exec ${hop} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
       ip -n ${hop} route add default via 10.1.0.254; ip -n ${hop} route add default via fd01::fe
       ip -n NS link set lo up; ip -n NS addr add 10.2.0.1/24 dev eth0
       ip -n NS addr add fd02::1/64 dev eth0 nodad; ip -n NS link set eth0 up
       ip -n NS route add default via 10.2.0.254; ip -n NS route add default via fd02::fe
       ip route add 10.2.0.0/24 via 10.1.0.200; ip route add fd02::/64 via fd01::c8`,
    );
    const gateway = await startHost(['python3', program]);
    hosts.push(gateway);
    for (let number = 1; number <= machineCount; number += 1) {
      for (const machine of [`10.1.0.${number}`, `fd01::${number}`]) {
        await retry(() => gateway.command('connect', 'ready', 'tcp', machine, 8080));
      }
    }
    for (const frontDoor of ['10.0.0.1', 'fd00::1']) {
      await retry(async () => {
        await client.command('connect', 'ready', 'udp', frontDoor, 9);
        // Nobody listens: refusal is the answer of a link that works.
        await client.command('ask', 'ready').catch((error) => {
          if (!/refused/.test(String(error))) throw error;
        });
      });
    }
    for (const farAway of ['10.2.0.1', 'fd02::1']) {
      await retry(async () => {
        if (!(await gateway.host.ping(farAway))) throw new Error(`${farAway} does not answer`);
      });
    }
    return { client: client.host, machines, far: far.host, gateway: gateway.host, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Links and IPv6 addresses take a moment to come up. */
async function retry(work: () => Promise<unknown>): Promise<void> {
  for (let left = 20; ; left -= 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}

const gatewaySetUp = `
  ip link set lo up
  ip addr add 203.0.113.1/32 dev lo; ip addr add 203.0.113.2/32 dev lo; ip addr add 2001:db8:f::1/128 dev lo nodad
  sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  ip link add machines type bridge; ip link set machines up
  sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null || true
  ip addr add 10.1.0.254/24 dev machines; ip addr add fd01::fe/64 dev machines nodad
`;

interface StartedHost {
  readonly host: Host;
  command(name: string, ...args: readonly (string | number)[]): Promise<unknown>;
  end(): Promise<void>;
}

async function startHost([file = '', ...args]: readonly string[]): Promise<StartedHost> {
  const subprocess = execa(file, args, {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
    buffer: false,
    reject: false,
  });
  const lines = createInterface({ input: subprocess.stdout });
  await once(lines, 'line');
  let turn: Promise<unknown> = Promise.resolve();
  const command = (name: string, ...rest: readonly (string | number)[]): Promise<unknown> => {
    const result = turn.then(async () => {
      const answered = once(lines, 'line');
      subprocess.stdin.write(`${JSON.stringify([name, ...rest])}\n`);
      const [line] = await answered;
      const { answer, error } = JSON.parse(String(line));
      if (error !== undefined) throw new Error(error);
      return answer;
    });
    turn = result.catch(() => {});
    return result;
  };
  return {
    command,
    async end() {
      subprocess.stdin.end();
      subprocess.kill();
      await subprocess;
    },
    host: {
      async listen(transport, address, port) {
        await command('listen', transport, address, port, `${address}:${port}`);
      },
      async connect(key, transport, address, port, from = 0) {
        await command('connect', key, transport, address, port, from);
      },
      async ask(key, size = 100) {
        const [name, peer, length] = (await command('ask', key, size)) as [string, string, number];
        return { name, peer, length };
      },
      async fate(key) {
        return (await command('fate', key)) as 'open' | 'closed' | 'reset';
      },
      async fates() {
        return (await command('fates')) as { open: number; closed: number; reset: number };
      },
      async close(key) {
        await command('close', key);
      },
      async spread(transport, address, port, count) {
        return (await command('spread', transport, address, port, count)) as [string, number, string][];
      },
      async send(key, address, port) {
        await command('send', key, address, port);
      },
      async hush(key) {
        await command('hush', key);
      },
      async rest() {
        await command('rest');
      },
      async heard(key) {
        return (await command('heard', key)) as { sent: number; answers: Record<string, number> };
      },
      async flood(address, count) {
        await command('flood', address, count);
      },
      async recite(address, port, text) {
        await command('recite', address, port, text);
      },
      async question(key, text) {
        return String(await command('question', key, text));
      },
      async offer(address, port) {
        await command('offer', address, port);
      },
      async transfer(address, port, up, down) {
        await command('transfer', address, port, up, down);
      },
      async watch(version) {
        await command('watch', version);
      },
      async noted() {
        return (await command('noted')) as [string, number, number, string][];
      },
      async forgetPaths() {
        await command('forget_paths');
      },
      async abort(key) {
        await command('abort', key);
      },
      async ping(address) {
        return (await command('ping', address)) === true;
      },
    },
  };
}
