// The gRPC service `penstock.v1.Gateway` as grpc-js wants it, typed from the generated messages.
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
} from '@grpc/grpc-js';
import { penstock } from './generated/proto.js';

const v1 = penstock.v1;

/** What a generated message class offers: `In` may leave fields out, `Out` has been read from bytes. */
interface MessageType<In, Out> {
  encode(message: In): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Out;
}

/**
 * A request as a server gets it. Reading never throws, because grpc-js would answer a throw with INTERNAL and no
 * details: bytes that are no such message reach the handler, which can say so.
 */
export type Received<T> =
  | { readonly kind: 'message'; readonly message: T; readonly bytes: number }
  | { readonly kind: 'unreadable'; readonly detail: string };

/** One method, with both ends' ways to and from bytes. */
export interface MethodDefinition<RequestIn, RequestOut, ResponseIn, ResponseOut> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (message: RequestIn) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Received<RequestOut>;
  readonly responseSerialize: (message: ResponseIn) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => ResponseOut;
}

function method<RequestIn, RequestOut, ResponseIn, ResponseOut>(
  name: string,
  request: MessageType<RequestIn, RequestOut>,
  response: MessageType<ResponseIn, ResponseOut>,
  streams: { readonly request?: true; readonly response?: true } = {},
): MethodDefinition<RequestIn, RequestOut, ResponseIn, ResponseOut> {
  return {
    path: `/${serviceName}/${name}`,
    requestStream: streams.request ?? false,
    responseStream: streams.response ?? false,
    requestSerialize: (message) => toBuffer(request.encode(message).finish()),
    requestDeserialize: (bytes) => receive(request, bytes),
    responseSerialize: (message) => toBuffer(response.encode(message).finish()),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}

function receive<Out>(type: MessageType<never, Out>, bytes: Uint8Array): Received<Out> {
  try {
    return { kind: 'message', message: type.decode(bytes), bytes: bytes.length };
  } catch (error) {
    return { kind: 'unreadable', detail: error instanceof Error ? error.message : String(error) };
  }
}

/** A view, not a copy. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The full name of the service, as in health checks and reflection. */
export const serviceName = 'penstock.v1.Gateway';

/** Every method of the service, by its name in JavaScript. */
export const gatewayService = {
  apply: method('Apply', v1.ApplyRequest, v1.ApplyResponse),
  replaceAll: method('ReplaceAll', v1.ReplaceAllRequest, v1.ApplyResponse, { request: true }),
  sync: method('Sync', v1.SyncRequest, v1.SyncResponse, { request: true, response: true }),
  getStatus: method('GetStatus', v1.GetStatusRequest, v1.GetStatusResponse),
  listLoadBalancers: method('ListLoadBalancers', v1.ListLoadBalancersRequest, v1.ListLoadBalancersResponse, {
    response: true,
  }),
  listPortMappings: method('ListPortMappings', v1.ListPortMappingsRequest, v1.ListPortMappingsResponse, {
    response: true,
  }),
  listMemberHealth: method('ListMemberHealth', v1.ListMemberHealthRequest, v1.ListMemberHealthResponse, {
    response: true,
  }),
  listFlows: method('ListFlows', v1.ListFlowsRequest, v1.ListFlowsResponse, { response: true }),
  listOutboundPorts: method('ListOutboundPorts', v1.ListOutboundPortsRequest, v1.ListOutboundPortsResponse, {
    response: true,
  }),
  watch: method('Watch', v1.WatchRequest, v1.Event, { response: true }),
} as const;

export type GatewayMethod = keyof typeof gatewayService;

type RequestTo<M extends GatewayMethod> = ReturnType<(typeof gatewayService)[M]['requestDeserialize']>;
type ResponseFrom<M extends GatewayMethod> = Parameters<(typeof gatewayService)[M]['responseSerialize']>[0];

/** What a server implements: a handler for each method. */
export type GatewayHandlers = {
  readonly apply: handleUnaryCall<RequestTo<'apply'>, ResponseFrom<'apply'>>;
  readonly replaceAll: handleClientStreamingCall<RequestTo<'replaceAll'>, ResponseFrom<'replaceAll'>>;
  readonly sync: handleBidiStreamingCall<RequestTo<'sync'>, ResponseFrom<'sync'>>;
  readonly getStatus: handleUnaryCall<RequestTo<'getStatus'>, ResponseFrom<'getStatus'>>;
  readonly listLoadBalancers: handleServerStreamingCall<
    RequestTo<'listLoadBalancers'>,
    ResponseFrom<'listLoadBalancers'>
  >;
  readonly listPortMappings: handleServerStreamingCall<
    RequestTo<'listPortMappings'>,
    ResponseFrom<'listPortMappings'>
  >;
  readonly listMemberHealth: handleServerStreamingCall<
    RequestTo<'listMemberHealth'>,
    ResponseFrom<'listMemberHealth'>
  >;
  readonly listFlows: handleServerStreamingCall<RequestTo<'listFlows'>, ResponseFrom<'listFlows'>>;
  readonly listOutboundPorts: handleServerStreamingCall<
    RequestTo<'listOutboundPorts'>,
    ResponseFrom<'listOutboundPorts'>
  >;
  readonly watch: handleServerStreamingCall<RequestTo<'watch'>, ResponseFrom<'watch'>>;
};
