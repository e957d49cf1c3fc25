// What is probed: one machine in one way, whatever the number of rules that want to know.
import type { IpAddress } from '../resources/address.ts';
import type { Probe } from '../resources/model.ts';

/** All that a probe of a machine depends on. */
export interface ProbeTarget extends Omit<Probe, 'name'> {
  readonly address: IpAddress;
}

export function targetOf(address: IpAddress, { name: _, ...probe }: Probe): ProbeTarget {
  return { address, ...probe };
}

/** Equal for targets that are probed alike; stored beside verdicts, so what it is made of never changes. */
export function targetKey({ address }: Pick<ProbeTarget, 'address'>, probe: Omit<Probe, 'name'>): string {
  const { protocol, port, interval, timeout, threshold, verifyCertificate, path } = probe;
  const verified = verifyCertificate ? 'verified' : '-';
  // The path may hold anything but a space: it stands last, and no key is the beginning of another.
  return `${address} ${protocol} ${port} ${interval} ${timeout} ${threshold} ${verified} ${path}`;
}
