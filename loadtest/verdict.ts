import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { execa } from 'execa'
import { addSwarms, judge, readSummary, type Summary, summaryInLog } from './summaries.ts'

/**
 * The verdict of a load test over all of its processes. The exit code is 0 when every bound holds.
 *
 *     node loadtest/verdict.ts report-1.json report-2.json …
 *     node loadtest/verdict.ts --testrun load-test --namespace sse-cluster   waits for the runners, and reads their logs
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    testrun: { type: 'string' },
    namespace: { type: 'string', short: 'n', default: 'sse-cluster' },
    timeout: { type: 'string', default: '3600' },
  },
})

interface Pod {
  metadata: { name: string }
  status: { phase: string }
}

const kubectl = async (...args: string[]) =>
  (await execa('kubectl', ['--namespace', values.namespace, ...args])).stdout

/** Summaries of the TestRun's runners, once all have ended. @throws when one is missing or left none. */
async function summariesOf(testRun: string): Promise<Summary[]> {
  const runners = Number(await kubectl('get', 'testrun', testRun, '--output=jsonpath={.spec.parallelism}'))
  const pods = await endedRunners(testRun, runners)
  return await Promise.all(
    pods.map(async ({ metadata: { name } }) => {
      const summary = summaryInLog(await kubectl('logs', name))
      if (!summary)
        throw new Error(
          `${name} did not come to its end, or has no REPORT=log: kubectl --namespace ${values.namespace} logs ${name}`,
        )
      return summary
    }),
  )
}

async function endedRunners(testRun: string, runners: number): Promise<Pod[]> {
  const selector = `--selector=k6_cr=${testRun},runner=true`
  for (const endsAt = Date.now() + Number(values.timeout) * 1000; ; ) {
    const stage = await kubectl('get', 'testrun', testRun, '--output=jsonpath={.status.stage}')
    if (stage === 'error') throw new Error(`The k6-operator gave up: kubectl describe testrun ${testRun}`)
    const { items } = JSON.parse(await kubectl('get', 'pods', selector, '--output=json')) as { items: Pod[] }
    const ended = items.filter(({ status }) => status.phase === 'Succeeded' || status.phase === 'Failed')
    if (ended.length >= runners) return ended
    if (Date.now() > endsAt) throw new Error(`${ended.length} of ${runners} runners have ended`)
    await sleep(2_000)
  }
}

async function run(): Promise<number> {
  const summaries = values.testrun
    ? await summariesOf(values.testrun)
    : await Promise.all(positionals.map(readSummary))
  if (summaries.length === 0) throw new Error('Name the runners’ JSON reports, or --testrun')
  const verdicts = judge(summaries)
  const passed = verdicts.every(({ ok }) => ok)
  const names = [...new Set(summaries.map(({ scenario }) => scenario))].join(', ')
  console.log(`${passed ? 'PASSED' : 'FAILED'}  ${names}, ${summaries.length} runners together`)
  for (const { ok, metric, bound, value } of verdicts)
    console.log(`  ${ok ? '✓' : '✗'} ${metric} ${bound} (${value})`)
  console.table(
    addSwarms(summaries).map(({ latencyMs: { p50, p99, max }, ...swarm }) => ({ ...swarm, p50, p99, max })),
  )
  return passed ? 0 : 1
}

process.exitCode = await run().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 2
})
