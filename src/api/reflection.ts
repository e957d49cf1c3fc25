// Server reflection, so that grpcurl and its like need no .proto files.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { protoPath as healthProto } from 'grpc-health-check';

const entry = 'penstock/v1/gateway.proto';

/** Adds reflection, versions v1 and v1alpha. Returns false where the .proto files are not installed. */
export function addReflection(server: Server): boolean {
  const folder = protoFolder(import.meta.dirname);
  if (folder === undefined) return false;
  const services = loadSync(
    [entry, 'google/rpc/status.proto', 'google/rpc/error_details.proto', healthProto],
    {
      includeDirs: [folder],
    },
  );
  new ReflectionService(services).addToServer(server);
  return true;
}

/** `proto` lies at the package's root: two folders up from the sources, three from the compiled program. */
function protoFolder(from: string): string | undefined {
  const candidate = join(from, 'proto');
  if (existsSync(join(candidate, entry))) return candidate;
  const parent = dirname(from);
  return parent === from ? undefined : protoFolder(parent);
}
