import { describe, expect, it } from 'vitest';
import { penstock } from '../wire/generated/proto.js';
import { replaceAllChunks } from './chunks.ts';

const gRpcLimit = 4 * 1024 * 1024;

describe('replaceAllChunks', () => {
  it('sends no message that gRPC refuses, however many clients rules allow', () => {
    const allowedClients = Array.from({ length: 1_000 }, (_, at) => `2001:db8:${at.toString(16)}:ffff::/64`);
    const rule = (kind: string, at: number) => ({ name: `${kind}-${at}`, limits: { allowedClients } });
    const loadBalancer = {
      name: 'shop',
      inboundNatRules: Array.from({ length: 150 }, (_, at) => rule('nat', at)),
      loadBalancingRules: Array.from({ length: 150 }, (_, at) => rule('lb', at)),
    };
    const chunks = [...replaceAllChunks([loadBalancer], {})];
    for (const chunk of chunks) {
      expect(penstock.v1.ReplaceAllRequest.encode(chunk).finish().length).toBeLessThan(gRpcLimit);
    }
    const parts = chunks.flatMap(({ loadBalancers }) => loadBalancers ?? []);
    for (const list of ['inboundNatRules', 'loadBalancingRules'] as const) {
      const sent = parts.flatMap((part) => (part[list] ?? []).map(({ name }) => name));
      expect(sent).toEqual(loadBalancer[list].map(({ name }) => name));
    }
  });
});
