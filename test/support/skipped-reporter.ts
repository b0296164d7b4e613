import type { Reporter, TestModule, Vitest } from 'vitest/node'

/** Names at the end of a run what was not proved: the tests that were skipped. */
export default class SkippedReporter implements Reporter {
  private filtered = false

  onInit(vitest: Vitest): void {
    // With `-t` most are left out on purpose.
    this.filtered = vitest.config.testNamePattern !== undefined
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    if (this.filtered) return
    for (const module of modules)
      for (const test of module.children.allTests('skipped')) console.log(`skipped: ${test.fullName}`)
  }
}
