/**
 * Writes what the documentation repeats of the code, and checks what it says of it.
 *
 *   node docs/generate.ts          writes docs/settings.md, docs/metrics.md and the tables of docs/capacity.md
 *   node docs/generate.ts --check  fails when they, or the README’s statements, no longer fit the code
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Registry } from 'prom-client'
import type { TObject } from 'typebox'
import { demoSettings } from '../services/demo/config.ts'
import { createDemoMetrics } from '../services/demo/metrics.ts'
import { gatewaySettings } from '../services/gateway/config.ts'
import { createMetrics } from '../services/gateway/metrics.ts'
import { gatewayNodeOptions } from '../services/gateway/node-options.ts'
import { proberSettings } from '../services/prober/config.ts'
import { createProbeMetrics } from '../services/prober/metrics.ts'
import { publisherSettings } from '../services/publisher/config.ts'
import { PublishMetrics } from '../services/publisher/metrics.ts'
import { capacityPage } from './capacity.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const note = '<!-- Made by `npm run docs` from the code. Change it there. -->\n'

interface Field {
  type?: string
  enum?: string[]
  default?: unknown
  minimum?: number
  maximum?: number
  description?: string
}

function settingsTable(title: string, table: TObject): string {
  const rows = Object.entries(table.properties as Record<string, Field>).map(([name, field]) => {
    const bounds = field.enum
      ? field.enum.join(', ')
      : field.minimum === undefined
        ? ''
        : `${field.minimum} to ${field.maximum}`
    const initial = field.default === '' ? '' : `\`${String(field.default)}\``
    return `| \`${name}\` | ${initial} | ${bounds} | ${field.description ?? ''} |`
  })
  return `## ${title}\n\n| setting | default | allowed | what it is for |\n|---|---|---|---|\n${rows.join('\n')}\n`
}

function settingsPage(): string {
  return [
    `# Settings\n\n${note}\nSettings are environment variables. A bad value stops the start and is named; an empty one counts as not set. Times are in milliseconds, sizes in bytes.\n`,
    settingsTable('Gateway', gatewaySettings),
    settingsTable('Publisher', publisherSettings),
    settingsTable('Prober', proberSettings),
    settingsTable('Demo', demoSettings),
  ].join('\n')
}

interface MetricFields {
  name: string
  help: string
  type: string
  labelNames?: string[]
}

async function metricsTable(title: string, registry: Registry): Promise<string> {
  const metrics = ((await registry.getMetricsAsJSON()) as MetricFields[]).filter((metric) =>
    /^(sse|demo)_/.test(metric.name),
  )
  const rows = metrics.map(({ name, type, help }) => {
    const labels = (registry.getSingleMetric(name) as { labelNames?: string[] } | undefined)?.labelNames
    return `| \`${name}\` | ${type} | ${labels?.map((label) => `\`${label}\``).join(', ') ?? ''} | ${help} |`
  })
  return `## ${title}\n\n| metric | type | labels | what it says |\n|---|---|---|---|\n${rows.join('\n')}\n`
}

async function metricsPage(): Promise<string> {
  const gateway = createMetrics(
    {
      ...{ connections: { live: 0, behind: 0, blocked: 0, early: 0, replaying: 0, closed: 0 } },
      ...{ counters: { flushes: 0, joins: 0, writes: 0, deliveredEvents: 0, deliveredBytes: 0 } },
      ...{ behindEvents: 0, groups: 0, unsentBytes: 0, replayWaiting: 0, draining: false, drainRemaining: 0 },
      ...{ tailLag: 0, tailLagSeconds: 0, tailPosition: 0, tailReopened: 0 },
      ...{ recentLogBytes: 0, recentLogAgeSeconds: 0, recentLogEvents: 0 },
    },
    { MAX_CONNECTIONS: 0, RECENT_LOG_BYTES: 0, MAX_UNSENT_BYTES: 0 },
  )
  const prober = createProbeMetrics(() => false)
  prober.certificateExpiry()
  return [
    `# Metrics\n\n${note}
Each service serves these on its metrics port at \`/metrics\`, with prom-client’s default metrics of the process beside them (CPU, memory, descriptors against their limit, event-loop delay, garbage collection). Times are in seconds, sizes in bytes. No label takes a value from a request: \`server\` is the name of a NATS server that holds a copy of the log, all others have a fixed set of values.

Histograms are classic ones; [decision 10](decisions/0010-classic-histograms.md) says why.
`,
    await metricsTable('Gateway', gateway.registry),
    await metricsTable('Publisher', new PublishMetrics().registry),
    await metricsTable('Prober', prober.registry),
    await metricsTable('Demo', createDemoMetrics().registry),
  ].join('\n')
}

/** Statements of the README that can rot: paths of its map, documents it links, tests it names. */
function readmeFaults(): string[] {
  const readme = read('README.md')
  const faults: string[] = []
  const map = /## Layout\n[\s\S]*?```\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const paths = map.split('\n').map((line) => line.split(/\s{2,}/)[0]?.trim() ?? '')
  for (const path of paths.filter(Boolean))
    if (!existsSync(join(root, path))) faults.push(`the map names ${path}`)
  if (map === '') faults.push('there is no layout map')
  for (const [, target] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
    if (!existsSync(join(root, target as string))) faults.push(`a link leads to ${target}`)
  }
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => read(join('test', path)))
    .join('\n')
  for (const [, name] of readme.matchAll(/“([^”]+)”/g)) {
    if (!tests.includes(name as string)) faults.push(`it names the test “${name}”`)
  }
  return faults.map((fault) => `README.md: ${fault}, and that is not there`)
}

/** Files that can't import the gateway's Node options must repeat them. */
function nodeOptionFaults(): string[] {
  const wanted = {
    'package.json': `node ${gatewayNodeOptions.join(' ')} services/gateway/main.ts`,
    'deploy/compose/compose.yaml': `command: [${[...gatewayNodeOptions, 'services/gateway/main.ts'].join(', ')}]`,
  }
  return Object.entries(wanted)
    .filter(([path, text]) => !read(path).includes(text))
    .map(([path, text]) => `${path} must start the gateway with \`${text}\``)
}

const pages = {
  'docs/settings.md': settingsPage(),
  'docs/metrics.md': await metricsPage(),
  'docs/capacity.md': capacityPage(read('docs/capacity.md')),
}
if (process.argv.includes('--check')) {
  const stale = Object.entries(pages)
    .filter(([path, text]) => !existsSync(join(root, path)) || read(path) !== text)
    .map(([path]) => `${path} is out of date: run \`npm run docs\``)
  const faults = [...stale, ...readmeFaults(), ...nodeOptionFaults()]
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) process.exit(1)
  console.log('documentation fits the code')
} else {
  for (const [path, text] of Object.entries(pages)) writeFileSync(join(root, path), text)
}
process.exit(0)
