// What Apply and the commit of ReplaceAll say about how to run a change; absent fields become absent.
import type { ChangeOptions } from '../gateway/contract.ts';

export function changeOptions(request: Required<ChangeOptions>): ChangeOptions {
  const { expectedRevision, validateOnly, requestId, allowRemap } = request;
  return {
    validateOnly,
    allowRemap,
    ...(expectedRevision !== 0 && { expectedRevision }),
    // An empty id is none: two requests without one are not repeats of each other.
    ...(requestId !== '' && { requestId }),
  };
}
