// Labs with the data plane that the tests run on this time: the same files are two projects in vitest.config.ts.
import { inject } from 'vitest';
import { Lab, type LabOptions } from '../../lab/lab.ts';
import type { DataPlane } from '../../lab/record.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly dataplane: DataPlane;
    /** Default `off`. */
    readonly flowtable?: 'auto' | 'off';
  }
}

export const dataplane: DataPlane = inject('dataplane');

export async function upLab(options: Omit<LabOptions, 'dataplane' | 'flowtable'>): Promise<Lab> {
  return await Lab.up({ ...options, dataplane, flowtable: inject('flowtable') ?? 'off' });
}
