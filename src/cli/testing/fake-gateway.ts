// An agent made of canned answers, behind a real gRPC server on a real socket; for tests of the commands.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { Message } from '../../wire/client.ts';
import { encodeError } from '../../wire/errors.ts';
import type { penstock } from '../../wire/generated/proto.js';
import { type GatewayHandlers, gatewayService, type Received } from '../../wire/service.ts';

/** A refusal that the next change meets. */
export interface CannedRefusal {
  readonly code: status;
  readonly reason: string;
  readonly message: string;
  readonly violations: readonly { readonly field: string; readonly description: string }[];
}

export class FakeGateway {
  /** What the fake was asked. */
  readonly applied: penstock.v1.ApplyRequest[] = [];
  readonly replaced: penstock.v1.ReplaceAllRequest[][] = [];
  readonly mappingFilters: penstock.v1.ListPortMappingsRequest[] = [];
  readonly healthFilters: penstock.v1.ListMemberHealthRequest[] = [];
  readonly flowFilters: penstock.v1.ListFlowsRequest[] = [];
  readonly outboundFilters: penstock.v1.ListOutboundPortsRequest[] = [];
  /** What it answers. */
  refusals: CannedRefusal[] = [];
  answer: Message<'ApplyResponse'> = { revision: 2, plan: {} };
  loadBalancerChunks: readonly Message<'ListLoadBalancersResponse'>[] = [{ revision: 1 }];
  mappingChunks: readonly Message<'ListPortMappingsResponse'>[] = [{ revision: 1 }];
  healthChunks: readonly Message<'ListMemberHealthResponse'>[] = [];
  flowChunks: readonly Message<'ListFlowsResponse'>[] = [];
  outboundChunks: readonly Message<'ListOutboundPortsResponse'>[] = [{ revision: 1 }];
  events: readonly Message<'Event'>[] = [];
  status: Message<'GetStatusResponse'> = {};
  readonly address: string;
  readonly #folder: string;
  readonly #server: Server;

  private constructor(folder: string, server: Server) {
    this.#folder = folder;
    this.#server = server;
    this.address = `unix:${join(folder, 'penstock.sock')}`;
  }

  static async start(): Promise<FakeGateway> {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-cli-'));
    const server = new Server();
    const fake = new FakeGateway(folder, server);
    server.addService(gatewayService, { ...fake.#handlers() });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(fake.address, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    return fake;
  }

  /** The folder of the socket, for files that a test needs. */
  get folder(): string {
    return this.#folder;
  }

  async stop(): Promise<void> {
    this.#server.forceShutdown();
    await rm(this.#folder, { recursive: true });
  }

  #handlers(): GatewayHandlers {
    return {
      apply: (call, respond) => {
        this.applied.push(received(call.request));
        this.#answerChange(respond);
      },
      replaceAll: (call, respond) => {
        const chunks: penstock.v1.ReplaceAllRequest[] = [];
        call.on('data', (chunk: Received<penstock.v1.ReplaceAllRequest>) => chunks.push(received(chunk)));
        call.on('end', () => {
          this.replaced.push(chunks);
          this.#answerChange(respond);
        });
      },
      sync: (call) => call.end(),
      getStatus: (_call, respond) => respond(null, this.status),
      listLoadBalancers: (call) => {
        for (const chunk of this.loadBalancerChunks) call.write(chunk);
        call.end();
      },
      listPortMappings: (call) => {
        this.mappingFilters.push(received(call.request));
        for (const chunk of this.mappingChunks) call.write(chunk);
        call.end();
      },
      listMemberHealth: (call) => {
        this.healthFilters.push(received(call.request));
        for (const chunk of this.healthChunks) call.write(chunk);
        call.end();
      },
      listFlows: (call) => {
        this.flowFilters.push(received(call.request));
        for (const chunk of this.flowChunks) call.write(chunk);
        call.end();
      },
      listOutboundPorts: (call) => {
        this.outboundFilters.push(received(call.request));
        for (const chunk of this.outboundChunks) call.write(chunk);
        call.end();
      },
      watch: (call) => {
        for (const event of this.events) call.write(event);
        call.end();
      },
    };
  }

  #answerChange(respond: (error: object | null, answer?: Message<'ApplyResponse'>) => void): void {
    const refusal = this.refusals.shift();
    if (refusal === undefined) {
      respond(null, this.answer);
      return;
    }
    const { code, reason, message, violations } = refusal;
    respond(
      encodeError(code, {
        message,
        reason,
        metadata: {},
        violations: violations.map((one) => ({ ...one, reason })),
      }),
    );
  }
}

function received<T>(request: Received<T>): T {
  if (request.kind === 'unreadable') throw new Error(request.detail);
  return request.message;
}

/** A change that the rules refuse. */
export function refusal(
  reason: string,
  message: string,
  violations: CannedRefusal['violations'] = [],
): CannedRefusal {
  return { code: status.FAILED_PRECONDITION, reason, message, violations };
}
