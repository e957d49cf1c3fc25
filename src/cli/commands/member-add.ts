// `penstock member add`: puts machines into a pool, or changes those that are there.
import { isIP } from 'node:net';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Answer, Message } from '../../wire/client.ts';
import { type Context, globalsOf, type OutputFormat, outputOption, wholeNumber } from '../context.ts';
import { usageError } from '../exit.ts';
import { writeApplyAnswer } from '../output/answer.ts';

const adminStates = { NONE: 1, UP: 2, DOWN: 3, DRAIN: 4 } as const;

interface Options {
  readonly weight?: number;
  readonly pin?: Readonly<Record<string, number>>;
  readonly adminState?: keyof typeof adminStates;
  readonly allowRemap?: boolean;
  readonly dryRun?: boolean;
  readonly output: OutputFormat;
}

export function addMemberAdd(member: Command, context: Context): void {
  member
    .command('add')
    .description('put machines into a pool, or change those that are there; each gets its ports at once')
    .argument('<lb>', 'load balancer')
    .argument('<pool>', 'backend pool')
    .argument('<machine...>', '[ID=]ADDRESS; the id defaults to the address')
    .addOption(
      new Option('--weight <n>', 'share of new flows, 1 to 1000 (default: 1)').argParser(
        wholeNumber(1, 1000),
      ),
    )
    .addOption(
      new Option(
        '--pin <rule=port>',
        'ask for this frontend port of an inbound NAT rule (repeatable)',
      ).argParser(pin),
    )
    .addOption(
      new Option('--admin-state <state>', 'who gets new flows (default: NONE, as probed)')
        .choices(Object.keys(adminStates))
        .argParser(adminState),
    )
    .option('--allow-remap', 'other machines may get other ports, where there is no room else')
    .option('--dry-run', 'print what would change; change nothing')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
A machine that is there already (by its id) keeps its ports; options that are not given
keep the values it has. Machines that are not named stay as they are.

Examples:
  $ penstock member add web machines vm-3=10.0.0.6 vm-4=10.0.0.7
  $ penstock member add web machines vm-3=10.0.0.6 --pin ssh=522
  $ penstock member add web machines vm-3=10.0.0.6 --admin-state DRAIN`,
    )
    .action(
      async (lb: string, pool: string, machines: readonly string[], options: Options, command: Command) => {
        const members = machines.map(machine);
        if (options.pin !== undefined && members.length > 1)
          throw usageError('--pin goes with one machine only');
        const { withGateway } = await import('../connection.ts');
        const answer = await withGateway(globalsOf(command), ({ client, reading, changing }) =>
          retryStale(async () => {
            const present = await presentMembers(client.listLoadBalancers({ name: lb }, reading), lb, pool);
            const merged = members.map((one) => merge(present.members.get(one.id), one, options));
            return await client.apply(
              {
                changes: { putMembers: [{ loadBalancer: lb, backendPool: pool, members: merged }] },
                expectedRevision: present.revision,
                allowRemap: options.allowRemap ?? false,
                validateOnly: options.dryRun ?? false,
              },
              changing,
            );
          }),
        );
        await writeApplyAnswer(context.terminal.out, answer, {
          dryRun: options.dryRun ?? false,
          format: options.output,
        });
      },
    );
}

interface Machine {
  readonly id: string;
  readonly address: string;
}

function machine(text: string): Machine {
  const split = text.lastIndexOf('=');
  const address = text.slice(split + 1);
  if (isIP(address) === 0 || split === 0) {
    throw usageError(`${text}: give a machine as ADDRESS or ID=ADDRESS, with an IPv4 or IPv6 address`);
  }
  return { id: split === -1 ? address : text.slice(0, split), address };
}

function pin(
  text: string,
  before: Readonly<Record<string, number>> | undefined,
): Readonly<Record<string, number>> {
  const match = /^(?<rule>.+)=(?<port>\d{1,5})$/.exec(text);
  const { rule, port } = match?.groups ?? {};
  if (rule === undefined || port === undefined) throw new InvalidArgumentError('It must be RULE=PORT.');
  return { ...before, [rule]: Number(port) };
}

function adminState(text: string): string {
  const state = text.toUpperCase();
  if (!(state in adminStates)) {
    throw new InvalidArgumentError(`Allowed choices are ${Object.keys(adminStates).join(', ')}.`);
  }
  return state;
}

interface Present {
  readonly revision: number;
  readonly members: ReadonlyMap<string, Answer<'Member'>>;
}

/** The members of the pool now. Whether load balancer and pool exist, the agent says. */
async function presentMembers(
  chunks: AsyncIterable<Answer<'ListLoadBalancersResponse'>>,
  name: string,
  poolName: string,
): Promise<Present> {
  const members = new Map<string, Answer<'Member'>>();
  let revision = 0;
  for await (const chunk of chunks) {
    revision = chunk.revision;
    for (const loadBalancer of chunk.loadBalancers) {
      if (loadBalancer.name !== name) continue;
      for (const pool of loadBalancer.backendPools) {
        if (pool.name !== poolName) continue;
        for (const one of pool.members) members.set(one.id === '' ? one.address : one.id, one);
      }
    }
  }
  return { revision, members };
}

function merge(present: Answer<'Member'> | undefined, one: Machine, options: Options): Message<'Member'> {
  return {
    id: one.id,
    address: one.address,
    weight: options.weight ?? present?.weight ?? 0,
    adminState:
      options.adminState === undefined ? (present?.adminState ?? 0) : adminStates[options.adminState],
    pins: { ...present?.pins, ...options.pin },
  };
}

/** Others may change the gateway between the look and the change; then look again. */
async function retryStale<T>(change: () => Promise<T>): Promise<T> {
  const attempts = 8;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await change();
    } catch (error) {
      const stale = error instanceof Error && 'reason' in error && error.reason === 'STALE_REVISION';
      if (!stale || attempt === attempts) throw error;
    }
  }
}
