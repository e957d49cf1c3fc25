// Which machines the rules of the agent lead to, for those who look whether they can be reached.
import type { AgentFacts } from '../doctor/doctor.ts';
import type { Answer } from '../wire/client.ts';
import type { Gateway } from './connection.ts';

type Machine = AgentFacts['machines'][number];

/** The numbers of AdminState. */
const down = 3;

export async function readDeclared({ client, reading }: Gateway): Promise<{
  readonly status: Answer<'GetStatusResponse'>;
  readonly agent: AgentFacts;
}> {
  const status = await client.getStatus(reading);
  const machines = new Map<string, Machine>();
  for await (const { loadBalancers } of client.listLoadBalancers({}, reading)) {
    for (const loadBalancer of loadBalancers) {
      for (const machine of machinesOf(loadBalancer)) {
        const before = machines.get(machine.address);
        // One that is wanted anywhere has to answer.
        if (before === undefined || (before.down && !machine.down)) machines.set(machine.address, machine);
      }
    }
  }
  return {
    status,
    agent: {
      machines: [...machines.values()],
      targets: status.portMappings + status.members,
      interfaces: status.interfaces.map(({ name, xdpMode, reason }) => ({ name, mode: xdpMode, reason })),
    },
  };
}

function machinesOf({ name, backendPools, inboundNatRules }: Answer<'LoadBalancer'>): readonly Machine[] {
  const members = backendPools.flatMap((pool) =>
    pool.members.map((member) => ({
      address: member.address,
      member: { loadBalancer: name, pool: pool.name, id: member.id || member.address },
      down: member.adminState === down,
    })),
  );
  const singles = inboundNatRules.flatMap(({ single }) => {
    const address = single?.address ?? '';
    return address === '' ? [] : [{ address, down: false }];
  });
  return [...members, ...singles];
}
