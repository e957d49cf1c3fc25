// The frontend and backend port of a rule, where 0 to 0 may mean every port.
import type { Port, RuleProtocol } from './address.ts';
import type { Field } from './field.ts';
import { lastBackendPort, lastFrontendPort, parseInteger } from './numbers.ts';
import type { Report } from './report.ts';

export interface PortField {
  readonly value: number;
  readonly field: Field;
}

export interface PortPair {
  readonly frontendPort: Port | 0;
  readonly backendPort: Port | 0;
}

/** Two ports, or 0 and 0 with protocol `all`. Undefined, and reported, otherwise. */
export function parsePortPair(
  frontend: PortField,
  backend: PortField,
  protocol: RuleProtocol | undefined,
  report: Report,
): PortPair | undefined {
  const mayBeAny = protocol === 'all' || protocol === undefined;
  if (mayBeAny && frontend.value === 0 && backend.value === 0) return { frontendPort: 0, backendPort: 0 };
  if (mayBeAny && frontend.value === 0) {
    const remedy = 'must be 0 where frontend_port is 0: every port is forwarded to itself';
    report(backend.field, 'FIELDS_CONFLICT', `port ${backend.value}: ${remedy}`);
    return undefined;
  }
  if (mayBeAny && backend.value === 0) {
    const remedy = 'must be 0 where backend_port is 0; otherwise give backend_port a port';
    report(frontend.field, 'FIELDS_CONFLICT', `port ${frontend.value}: ${remedy}`);
    return undefined;
  }
  const frontendPort = parseInteger(frontend.value, 'port', 1, lastFrontendPort, frontend.field, report);
  const backendPort = parseInteger(backend.value, 'port', 1, lastBackendPort, backend.field, report);
  return frontendPort === undefined || backendPort === undefined ? undefined : { frontendPort, backendPort };
}
