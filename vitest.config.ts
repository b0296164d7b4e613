import { defineConfig } from 'vitest/config'

/** Real servers on two busy cores: time limits only end what hangs, no test is about speed. */
const project = (name: string, options: { testTimeout?: number; maxWorkers?: number } = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    ...options,
  },
})

export default defineConfig({
  test: {
    reporters: ['default', './test/support/skipped-reporter.ts'],
    projects: [
      project('unit'),
      project('simulation', { testTimeout: 300_000 }),
      project('integration', { maxWorkers: 2 }),
      project('cluster', { testTimeout: 300_000, maxWorkers: 1 }),
      project('browser', { testTimeout: 120_000, maxWorkers: 1 }),
      // On whatever cluster kubectl's current context names, so only when asked for: `make test-kubernetes`.
      ...(process.env.KUBERNETES ? [project('kubernetes', { testTimeout: 1_200_000, maxWorkers: 1 })] : []),
    ],
  },
})
