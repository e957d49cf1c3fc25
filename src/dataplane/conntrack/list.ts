// Reads the flows of ours that the kernel tracks, for people: by the marks, in one pass, no further than asked for.
import ipaddr from 'ipaddr.js';
import type { IpAddress } from '../../resources/address.ts';
import { FlowCollector, type FlowList, type FlowQuery, type FlowState, type LiveFlow } from '../live-flow.ts';
import { type Attributes, attributes, flags, messageType, request } from '../netlink/netlink.ts';
import { NetlinkError, openNetlinkSocket } from '../netlink/socket.ts';
import { allFlows, type FlowMarks, isAnyPort, isOurs, isOutbound, outboundFlows } from './selection.ts';
import {
  conntrackAttribute,
  conntrackMessage,
  conntrackSubsystem,
  readTuple,
  statusDestinationNat,
  statusSeenReply,
  statusSourceNat,
} from './tuple.ts';

/** TCP_CONNTRACK_*, in include/uapi/linux/netfilter/nf_conntrack_tcp.h. */
const tcpState = { established: 3, finWait: 4, timeWait: 7, close: 8 } as const;
const transports = { 6: 'tcp', 17: 'udp' } as const;

/** A flow that the kernel keeps for a while although it is over is not live. */
export async function listTracked(marks: FlowMarks, query: FlowQuery): Promise<FlowList> {
  const found = new FlowCollector(query);
  const keepsOver = query.only === 'outbound';
  const { attributes: content } = keepsOver ? outboundFlows(marks) : allFlows(marks);
  // Of its own, because a listing ends early only so.
  const socket = await openNetlinkSocket();
  try {
    const sequence = socket.nextSequence();
    const type = conntrackSubsystem | conntrackMessage.get;
    const asked = request(type, 0, flags.dump, sequence, ...content);
    let errno = 0;
    await socket.exchangeAsync(asked, sequence, (answer) => {
      errno ||= answer.errno ?? 0;
      if (answer.type === messageType.error || answer.type === messageType.done) return;
      const flow = liveFlow(attributes(answer.body), marks, keepsOver);
      if (flow !== undefined && !found.add(flow)) throw new Enough();
    });
    if (errno !== 0) throw new NetlinkError('cannot list flows', errno);
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  } finally {
    socket.close();
  }
  return found.list;
}

class Enough extends Error {}

function liveFlow(found: Attributes, marks: FlowMarks, keepsOver: boolean): LiveFlow | undefined {
  const original = readTuple(found.get(conntrackAttribute.original));
  const reply = readTuple(found.get(conntrackAttribute.reply));
  const mark = found.get(conntrackAttribute.mark)?.readUInt32BE() ?? 0;
  const status = found.get(conntrackAttribute.status)?.readUInt32BE() ?? 0;
  const transport = transports[original.protocol as keyof typeof transports];
  const state = stateOf(found, status) ?? (keepsOver ? 'closing' : undefined);
  if (transport === undefined || state === undefined || !isOurs(mark, marks)) return undefined;
  const common = { transport, state, keptBy: 'conntrack', ...traffic(found) } as const;
  const [source, destination] = [
    { address: addressOf(original.source), port: original.sourcePort },
    { address: addressOf(original.destination), port: original.destinationPort },
  ];
  if (isOutbound(mark, marks)) {
    if ((status & statusSourceNat) === 0) return undefined;
    const frontend = { address: addressOf(reply.destination), port: reply.destinationPort };
    return {
      ...common,
      direction: 'outbound',
      peer: destination,
      frontend,
      machine: source,
      anyPort: false,
    };
  }
  if ((status & statusDestinationNat) === 0) return undefined;
  return {
    ...common,
    direction: 'inbound',
    peer: source,
    frontend: destination,
    machine: { address: addressOf(reply.source), port: reply.sourcePort },
    anyPort: isAnyPort(mark, marks),
  };
}

/** Undefined where it is over. */
function stateOf(found: Attributes, status: number): FlowState | undefined {
  const tcp = attributes(attributes(found.get(conntrackAttribute.protocolInfo)).get(1)).get(1)?.[0];
  if (tcp === undefined) return (status & statusSeenReply) === 0 ? 'new' : 'established';
  if (tcp === tcpState.timeWait || tcp === tcpState.close) return undefined;
  if (tcp < tcpState.established || tcp > tcpState.close) return 'new';
  return tcp === tcpState.established ? 'established' : 'closing';
}

/** Nothing where `net.netfilter.nf_conntrack_acct` is off. */
function traffic(found: Attributes): { readonly packets: number; readonly bytes: number } {
  const sides = [conntrackAttribute.countersOriginal, conntrackAttribute.countersReply].map((side) =>
    attributes(found.get(side)),
  );
  const sum = (field: number) =>
    sides.reduce((total, side) => total + Number(side.get(field)?.readBigUInt64BE() ?? 0), 0);
  return { packets: sum(1), bytes: sum(2) };
}

/** From the hexadecimal text of its bytes. */
function addressOf(hex: string): IpAddress {
  const parsed = ipaddr.fromByteArray([...Buffer.from(hex, 'hex')]);
  return (
    parsed.kind() === 'ipv6' ? (parsed as ipaddr.IPv6).toRFC5952String() : parsed.toString()
  ) as IpAddress;
}
