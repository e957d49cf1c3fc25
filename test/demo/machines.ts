// The demo on Vagrant's machines.
import { execa } from 'execa';
import type { DataPlane } from '../lab/record.ts';
import { askMore } from '../vagrant/more.ts';
import { Machines, virtualization } from '../vagrant/site.ts';
import { type Machine, root, Ssh } from '../vagrant/ssh.ts';
import { block, line } from './screen.ts';
import { Story } from './story.ts';

const machines: readonly Machine[] = ['gateway', 'client', 'backend1', 'backend2'];

/**
 * Brings the machines up where they are not, and leaves them up. Returns whether all went well. When the signal comes it
 * rejects, with the connections to the machines closed.
 */
export async function demoOnMachines(
  dataplane: DataPlane,
  count: number,
  signal: AbortSignal,
): Promise<boolean> {
  line(`Penstock demo: a client, a gateway (${dataplane}) and ${count} machines on two backends, by Vagrant`);
  await raise(signal);
  await using ssh = await Ssh.open(machines, signal);
  await describeMachines(ssh);
  const site = await Machines.prepare(ssh, dataplane, count);
  await using traffic = await site.traffic();
  const clean = await new Story(site, traffic).tell();
  const more = await askMore(site, traffic);
  line(`
The machines stay up. Try:

  vagrant ssh gateway -c 'sudo penstock status'
  vagrant ssh client -c 'curl -s http://203.0.113.10/'
  vagrant destroy --force`);
  return clean && more;
}

async function raise(signal: AbortSignal): Promise<void> {
  const options = { cwd: root, cancelSignal: signal } as const;
  const { stdout } = await execa('vagrant', ['status', '--machine-readable', ...machines], options);
  if (machines.every((machine) => stdout.includes(`,${machine},state,running`))) return;
  line('Bringing the machines up (vagrant up); the first time this takes some minutes.');
  await execa('vagrant', ['up', ...machines], {
    ...options,
    stdio: 'inherit',
    // Ctrl-C in a terminal is for us alone. Vagrant then hears it once, and clears up; twice, and it would not.
    detached: true,
    killSignal: 'SIGINT',
    forceKillAfterDelay: false,
  });
}

async function describeMachines(ssh: Ssh): Promise<void> {
  const script = 'echo $(uname -r), $(. /etc/os-release; echo $PRETTY_NAME)';
  const drivers =
    'for d in wan0 lan0; do echo $d: $(basename $(readlink /sys/class/net/$d/device/driver)), $(ls -d /sys/class/net/$d/queues/rx-* | wc -l) queues; done';
  block(
    `gateway: ${await ssh.run('gateway', ['sh', '-c', script])}, ${await virtualization(ssh, 'gateway')}`,
  );
  block(await ssh.run('gateway', ['sh', '-c', drivers]));
}
