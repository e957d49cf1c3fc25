// The lab's command line: scripts/lab.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { execa } from 'execa';
import { firstPort, frontend, webYaml } from './example.ts';
import { Lab } from './lab.ts';
import { enter } from './namespaces.ts';
import { type DataPlane, names } from './record.ts';
import { client, gateway, isNode, maximumBackends, type Node } from './topology.ts';

const picture = `
  client 198.51.100.10 ──▶ gateway ──▶ switch ──▶ b1 10.0.0.4, b2 10.0.0.5, ...
         2001:db8:c::10    (agent)                   fd00:10::4, ...

The client sends 203.0.113.0/24 and 2001:db8:f::/64 to the gateway: take frontends from there. Every machine serves HTTP
on 80 and 8080, TLS on 443 and UDP on 5300 and 5301, and says which machine it is. The host's own network is not touched.

Try:
  scripts/lab up --backends 4
  scripts/lab exec gateway -- penstock apply -f /run/penstock-lab/lab/web.yaml
  scripts/lab exec client -- curl -sk https://203.0.113.10:500
  scripts/lab exec gateway -- penstock status
  scripts/lab exec gateway -- nft list ruleset
  scripts/lab exec b1 -- tcpdump -ni eth0
  scripts/lab down
`;

interface Named {
  readonly name: string;
}

const program = new Command('lab')
  .description('A gateway, a client and machines in network namespaces of this host.')
  .addHelpText('after', picture)
  .showHelpAfterError('(see scripts/lab --help)')
  .enablePositionalOptions();

program
  .command('up')
  .description('raise a lab; it stays until it is taken down')
  .option('--backends <n>', `machines, at most ${maximumBackends}`, count, 4)
  .addOption(dataplaneOption())
  .addOption(nameOption())
  .option('--no-agent', 'leave the agent to you')
  .action(async (options: Named & { backends: number; dataplane: DataPlane; agent: boolean }) => {
    const lab = await Lab.up({ ...options, stay: true });
    const example = join(lab.directory, 'web.yaml');
    await writeFile(example, webYaml(lab.backends));
    print(introduction(lab, options.agent, example));
  });

program
  .command('down')
  .description('take a lab down, with all that runs in it')
  .addOption(nameOption())
  .option('--all', 'every lab of this host')
  .action(async (options: Named & { all?: true }) => {
    for (const name of options.all === true ? await names() : [options.name]) {
      print((await Lab.remove(name)) ? `Lab "${name}" is down.` : `There is no lab "${name}".`);
    }
  });

program
  .command('exec')
  .description('run a command on client, gateway, switch, b1, b2, ...')
  .addOption(nameOption())
  .argument('<node>', 'where', node)
  .argument('<command...>')
  .passThroughOptions()
  .action(async (where: Node, command: readonly string[], options: Named) => {
    const lab = await find(options.name);
    if (!lab.backends.some((backend) => backend.node === where) && /^b/.test(where)) {
      throw new Error(`Lab "${lab.name}" has no machine ${where}; scripts/lab status lists them.`);
    }
    const [file, args] = enter(lab.namespace(where), command[0] === '--' ? command.slice(1) : command);
    const scripts = new URL('../../scripts', import.meta.url).pathname;
    const env = { PENSTOCK_ADDRESS: lab.address, PATH: `${scripts}:${process.env.PATH ?? ''}` };
    const { exitCode } = await execa(file, args, { env, stdio: 'inherit', reject: false });
    process.exitCode = exitCode ?? 1;
  });

program
  .command('status')
  .description('the labs of this host, with their machines')
  .action(async () => {
    const labs = await names();
    if (labs.length === 0) print('No lab is up. scripts/lab up raises one.');
    for (const name of labs) {
      const lab = await Lab.attach(name);
      if (lab === undefined) print(`${name}: half made; scripts/lab down --name ${name} clears it away`);
      else print(await description(lab));
    }
  });

function nameOption(): Option {
  return new Option('--name <prefix>', 'several labs stand side by side').default('lab');
}

function dataplaneOption(): Option {
  return new Option('--dataplane <plane>', 'what forwards').choices(['nftables', 'xdp']).default('nftables');
}

function count(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) > maximumBackends) {
    throw new InvalidArgumentError(`It is a number from 0 to ${maximumBackends}.`);
  }
  return Number(text);
}

function node(text: string): Node {
  if (!isNode(text)) throw new InvalidArgumentError('It is client, gateway, switch, b1, b2, ...');
  return text;
}

async function find(name: string): Promise<Lab> {
  const lab = await Lab.attach(name);
  if (lab === undefined) {
    process.stderr.write(`There is no lab "${name}"; scripts/lab up --name ${name} raises it.\n`);
    process.exit(1);
  }
  return lab;
}

function introduction(lab: Lab, agent: boolean, example: string): string {
  const name = lab.name === 'lab' ? '' : ` --name ${lab.name}`;
  const exec = `scripts/lab exec${name}`;
  return [
    `Lab "${lab.name}" is up: a client, a gateway and ${lab.backends.length} machines.`,
    '',
    ...machines(lab),
    '',
    ...(agent
      ? []
      : [
          'The agent does not run. To start it, in a terminal of its own:',
          '',
          `  ${exec} gateway -- penstock agent --dataplane ${lab.dataplane} --state-directory ${lab.stateDirectory} \\`,
          `    --listen ${lab.address}`,
          '',
        ]),
    'Try:',
    '',
    `  export PENSTOCK_ADDRESS=${lab.address}`,
    `  scripts/penstock apply -f ${example}`,
    '  scripts/penstock get mappings',
    `  ${exec} client -- curl -s http://${frontend}/`,
    `  ${exec} client -- curl -sk https://${frontend}:${firstPort}/`,
    `  ${exec} gateway -- nft list ruleset`,
    `  scripts/lab down${name}`,
  ].join('\n');
}

async function description(lab: Lab): Promise<string> {
  const agent = (await lab.agentRuns()) ? `agent at ${lab.address}` : 'no agent';
  return [`${lab.name}: ${lab.backends.length} machines, ${lab.dataplane}, ${agent}`, ...machines(lab)].join(
    '\n',
  );
}

function machines(lab: Lab): readonly string[] {
  const lines = [
    ['client', client.address, client.address6],
    ['gateway', gateway.lan.address, gateway.lan.address6],
    ...lab.backends.map(({ node: name, address, address6 }) => [name, address, address6]),
  ].map(([name = '', address = '', address6 = '']) => `  ${name.padEnd(8)}${address.padEnd(15)}${address6}`);
  const shown = 10;
  return lines.length > shown + 1 ? [...lines.slice(0, shown), `  and ${lines.length - shown} more`] : lines;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
