// The demo's command line: scripts/demo.
import { Command, InvalidArgumentError, Option } from 'commander';
import { Lab } from '../lab/lab.ts';
import type { DataPlane } from '../lab/record.ts';
import { demoInGuest } from './guest.ts';
import { demoOnMachines } from './machines.ts';
import { choose, look, type Place } from './place.ts';
import { line } from './screen.ts';
import { LabSite } from './site.ts';
import { invitation, Story } from './story.ts';

const most = 990;
const explanation = `
With --vm alone, Vagrant's machines are used where Vagrant has libvirt with KVM or VirtualBox: a gateway, a client and
two backends, brought up when they are not (vagrant up) and left up. Elsewhere one guest boots with Debian's kernel and
shows the namespaces demo; without KVM it is emulated, and takes some minutes.`;

const { keep, dataplane, machines, name, vm } = new Command('demo')
  .description(
    'Penstock at work on real traffic: ports for machines, load balancing, scaling while requests run.',
  )
  .option('--keep', 'leave the lab up, to try things')
  .addOption(
    new Option('--dataplane <plane>', 'what forwards').choices(['nftables', 'xdp']).default('nftables'),
  )
  .option('--machines <n>', `machines to begin with, 2 to ${most}`, count, 6)
  .option('--name <prefix>', 'name of the lab; several stand side by side', 'demo')
  .addOption(
    new Option('--vm [place]', 'in virtual machines: those of vagrant, or one guest of scripts/vm')
      .choices(['vagrant', 'guest'])
      .conflicts('keep'),
  )
  .addHelpText('after', explanation)
  .parse()
  .opts<{ keep?: true; dataplane: DataPlane; machines: number; name: string; vm?: true | Place }>();

function count(text: string): number {
  const value = Number(text);
  if (!/^\d{1,3}$/.test(text) || value < 2 || value > most) {
    throw new InvalidArgumentError(`It is a number from 2 to ${most}.`);
  }
  return value;
}

/** Ctrl-C and the like in the forms with machines: what holds them is cleared away first. A lab has its own way. */
const interrupted = new AbortController();
const statuses = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

async function demo(): Promise<boolean> {
  if (vm === undefined) return await demoInNamespaces();
  for (const [name, status] of Object.entries(statuses)) {
    process.on(name, () => {
      process.exitCode = status;
      interrupted.abort();
    });
  }
  const { signal } = interrupted;
  const { place, reason } = vm === true ? choose(await look(signal)) : { place: vm, reason: 'as asked for' };
  line(`Playing ${place === 'vagrant' ? "on Vagrant's machines" : 'in a guest of scripts/vm'}: ${reason}.`);
  return place === 'vagrant'
    ? await demoOnMachines(dataplane, machines, signal)
    : await demoInGuest(dataplane, machines, signal);
}

async function demoInNamespaces(): Promise<boolean> {
  line(`Penstock demo: a client, a gateway (${dataplane}) and ${machines} machines, in network namespaces`);
  await using held = new AsyncDisposableStack();
  const lab = await Lab.up({ name, backends: machines, dataplane, agent: true });
  let kept = false;
  held.defer(async () => {
    if (!kept) await lab.down();
  });
  const traffic = held.use(await lab.traffic());
  const clean = await new Story(new LabSite(lab), traffic).tell();
  if (keep === true) {
    await lab.stay();
    kept = true;
    line(invitation(lab));
  }
  return clean;
}

try {
  const clean = await demo();
  if (!interrupted.signal.aborted) process.exitCode = clean ? 0 : 1;
} catch (error) {
  if (!interrupted.signal.aborted) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
