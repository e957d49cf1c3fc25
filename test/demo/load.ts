// The demo's steady load: every mapped port over TLS, port 80, and one lasting connection to each machine.

import { frontend } from '../lab/example.ts';
import type { Request, Stream } from '../lab/traffic/message.ts';
import type { Mapping } from './gateway.ts';

/** New TLS connections a second, over all mapped ports. */
const tlsPerSecond = 90;
const httpPerSecond = 90;

export const port80: Request = { scheme: 'http', address: frontend, port: 80 };

export function throughPort({ frontendAddress, frontendPort }: Mapping): Request {
  return { scheme: 'https', address: frontendAddress, port: frontendPort };
}

/** `behind` are the machines that may answer on port 80. Slow machines get less to do. */
export function steadyLoad(
  mappings: readonly Mapping[],
  behind: readonly string[],
  slowness: number,
): readonly Stream[] {
  const share = 1 / mappings.length / slowness;
  return [
    {
      name: 'port 80',
      request: port80,
      perSecond: httpPerSecond / slowness,
      expect: behind,
    },
    ...mappings.flatMap((mapping): readonly Stream[] => {
      const request = throughPort(mapping);
      const expect = [mapping.member];
      return [
        { name: `port ${mapping.frontendPort}`, request, perSecond: tlsPerSecond * share, expect },
        {
          name: `lasting connection to ${mapping.member}`,
          request,
          perSecond: Math.min(5, 60 * share),
          expect,
          held: true,
        },
      ];
    }),
  ];
}
