import { defineConfig } from 'vitest/config';

// unit: anywhere, no privileges. kernel: root and nf_tables, in namespaces of its own. e2e: the real agent in a lab.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/architecture/**/*.test.ts', 'test/invalid/**/*.test.ts'],
          exclude: ['src/**/*.kernel.test.ts'],
        },
      },
      {
        test: {
          name: 'kernel',
          include: ['src/**/*.kernel.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
