import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import {
  annotationQueries,
  committedBoards,
  observability,
  panelsOf,
  queriesOf,
  rowsOf,
  runbookQueries,
} from '../support/boards.ts'

const root = join(import.meta.dirname, '../..')
const boards = committedBoards()

/** Metrics of other programs that boards and rules may use. */
const external = new Set([
  ...['up', 'ALERTS', 'process_start_time_seconds'],
  // prom-client's default metrics
  ...['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_open_fds', 'process_max_fds'],
  'nodejs_gc_duration_seconds_sum',
  // nginx-prometheus-exporter
  ...['nginx_up', 'nginx_http_requests_total', 'nginx_connections_active', 'nginx_connections_reading'],
  ...['nginx_connections_writing', 'nginx_connections_waiting', 'nginx_connections_accepted'],
  'nginx_connections_handled',
  ...['k6_vus', ...metricsOfTheExtension()],
])

interface Rule {
  record?: string
  expr: string
}
const rules = ['recorded', 'service-levels', 'causes'].flatMap((name) => {
  const text = readFileSync(join(observability, `prometheus/rules/${name}.yaml`), 'utf8')
  return (parse(text) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules)
})
const recorded = new Set(rules.flatMap(({ record }) => record ?? []))
const ours = metricsOfTheCode()

function metricsOfTheCode(): Set<string> {
  const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8')
  const names = new Set<string>()
  for (const [, name, type] of page.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)) {
    if (type === 'histogram') for (const part of ['bucket', 'sum', 'count']) names.add(`${name}_${part}`)
    else names.add(name as string)
  }
  return names
}

/** Series of the k6 extension, as k6 writes them to Prometheus. A panel of its board may be empty, so no query tells. */
function metricsOfTheExtension(): string[] {
  const source = readFileSync(join(root, 'loadtest/extension/sse/metrics.go'), 'utf8')
  // The quantiles that loadtest/run.ts asks for.
  const suffixes: Record<string, string[]> = {
    ...{ Counter: ['_total'], Gauge: [''], Rate: ['_rate'] },
    Trend: ['_p50', '_p90', '_p99'],
  }
  const made = [...source.matchAll(/MustNewMetric\("(\w+)", metrics\.(\w+)/g)]
  return made.flatMap(([, name, type = '']) => suffixes[type]?.map((suffix) => `k6_${name}${suffix}`) ?? [])
}

/** Names of metrics in a query: words that are neither functions, labels, strings nor words of the language. */
function metricsIn(expression: string): string[] {
  const words = expression
    .replace(/"[^"]*"/g, '""')
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)/g, '')
    .match(/[A-Za-z_][\w:]*(?!\w*\s*\()/g)
  const language = new Set(['and', 'or', 'unless', 'bool', 'offset'])
  return (words ?? []).filter((word) => !language.has(word))
}

const unknown = (expression: string) =>
  metricsIn(expression).filter((name) => !ours.has(name) && !recorded.has(name) && !external.has(name))

test('there are the boards that an operator needs, first the overview', () => {
  expect(boards.map(({ board }) => board.title).sort()).toEqual([
    'SSE · Connections and storms',
    'SSE · Delivery',
    'SSE · Load test (k6)',
    'SSE · Log and replay',
    'SSE · NATS',
    'SSE · Nginx',
    'SSE · Overview',
  ])
  expect(new Set(boards.map(({ board }) => board.uid)).size).toBe(boards.length)
})

test('the names of metrics are read from a query', () => {
  const query =
    'sum by (le) (rate(a_bucket{x="b_total"}[5m])) / on (job) group_left (v) c:d:e5m > 2 or vector(0)'
  expect(metricsIn(query)).toEqual(['a_bucket', 'c:d:e5m'])
  expect(unknown('rate(sse_no_such_metric_total[1m])')).toEqual(['sse_no_such_metric_total'])
})

test('rules use only metrics that exist', () => {
  expect(rules.length).toBeGreaterThan(40)
  expect(rules.flatMap(({ expr }) => unknown(expr))).toEqual([])
})

test('runbooks ask only for metrics that exist', () => {
  const queries = runbookQueries()
  expect(queries.length).toBeGreaterThan(60)
  expect(queries.flatMap(unknown)).toEqual([])
})

describe.each(boards)('$file', ({ board }) => {
  const panels = panelsOf(board)

  test('each panel says what it shows and what to do, in a unit, with a source', () => {
    for (const panel of panels) {
      expect.soft(panel.title, `${panel.id}`).toBeTruthy()
      expect.soft(panel.description?.length ?? 0, `help of ${panel.title}`).toBeGreaterThan(30)
      if (panel.type === 'text') continue
      expect.soft(panel.fieldConfig?.defaults.unit, `unit of ${panel.title}`).toBeTruthy()
      expect.soft(panel.fieldConfig?.defaults.thresholds, `thresholds of ${panel.title}`).toBeTruthy()
      expect
        .soft(panel.datasource, `source of ${panel.title}`)
        .toEqual({ type: 'prometheus', uid: '$datasource' })
      expect.soft(queriesOf(panel).length, `queries of ${panel.title}`).toBeGreaterThan(0)
    }
  })

  test('each title and each id is there once', () => {
    const all = [...panels, ...rowsOf(board)]
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length)
  })

  test('panels lie within the grid and never on each other', () => {
    const taken = new Map<string, string>()
    const overlaps: string[] = []
    for (const { title = '', gridPos } of [...panels, ...rowsOf(board)]) {
      if (!gridPos) throw new Error(`${title} has no place`)
      const { x, y, w, h } = gridPos
      expect(x + w, title).toBeLessThanOrEqual(24)
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          const other = taken.get(`${column},${line}`)
          if (other) overlaps.push(`${title} on ${other}`)
          taken.set(`${column},${line}`, title)
        }
      }
    }
    expect(overlaps).toEqual([])
  })

  test('each query names only metrics that exist', () => {
    expect(panels.flatMap(queriesOf).flatMap(unknown)).toEqual([])
  })

  test('each query uses only variables that the board has', () => {
    const names = new Set(board.templating.list?.map(({ name }) => name))
    expect(names).toContain('datasource')
    for (const query of panels.flatMap(queriesOf)) {
      for (const [, name] of query.matchAll(/\$(?!__)\{?(\w+)/g)) expect(names, query).toContain(name)
    }
    for (const name of names) {
      if (name === 'datasource') continue
      expect(
        panels.flatMap(queriesOf).some((query) => query.includes(`$${name}`)),
        name,
      ).toBe(true)
    }
  })

  test('it leads to the other boards, and shows starts and pages', () => {
    expect(board.links).toMatchObject([
      { type: 'dashboards', tags: ['sse-cluster'], keepTime: true, includeVars: true },
    ])
    expect(board.tags).toContain('sse-cluster')
    expect(board.annotations.list?.map(({ name }) => name)).toEqual(['Starts', 'Pages'])
    expect(annotationQueries(board).flatMap(unknown)).toEqual([])
  })
})

// @grafana/schema is published with each Grafana; its enums become the words that they stand for in JSON.
const grafanaTypes = `import type { Dashboard } from '@grafana/schema'
type Plain<T> = T extends string ? \`\${T}\`
  : T extends number ? (\`\${T}\` extends \`\${infer N extends number}\` ? N : number)
  : T extends boolean | null | undefined ? T
  : T extends readonly (infer U)[] ? readonly Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> }
  : T
`

test('the JSON holds against the types of the Grafana that Compose runs, and a wrong word does not', async () => {
  const types = JSON.parse(readFileSync(join(root, 'node_modules/@grafana/schema/package.json'), 'utf8'))
  const compose = readFileSync(join(root, 'deploy/compose/compose.yaml'), 'utf8')
  expect(compose).toContain(`image: grafana/grafana:${types.version}\n`)
  // Below node_modules, so that the package is found.
  const folder = join(root, 'node_modules/.cache/grafana-types')
  mkdirSync(folder, { recursive: true })
  const faultsOf = async (name: string, json: string[]) => {
    // Through a value of its own: what data sources add, such as an annotation's `expr`, is no fault.
    const values = json.map(
      (text, i) => `const value${i} = ${text} as const\nexport const board${i}: Plain<Dashboard> = value${i}`,
    )
    const file = join(folder, `${name}-${process.pid}.ts`)
    writeFileSync(file, `${grafanaTypes}${values.join('\n')}`)
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'esnext', '--module', 'nodenext']
    const script = join(root, 'node_modules/typescript/bin/tsc')
    const { all } = await execa(process.execPath, [script, ...options, '--ignoreConfig', file], {
      reject: false,
      all: true,
    })
    rmSync(file)
    return all
  }
  const texts = boards.map(({ board }) => JSON.stringify(board))
  expect(await faultsOf('boards', texts)).toBe('')
  const wrong = texts[0]?.replace('"type":"dashboards"', '"type":"dashbords"') as string
  expect(await faultsOf('wrong', [wrong])).toContain('dashbords')
})

test('the committed JSON is what the code makes', async () => {
  const script = join(observability, 'grafana/generate.ts')
  const check = await execa(process.execPath, [script, '--check'], { reject: false, all: true })
  expect([check.exitCode, check.all]).toEqual([0, 'dashboards fit the code'])
})

test('Grafana’s provisioning names the folder and the source that Compose mounts', () => {
  const read = (path: string) => readFileSync(join(root, path), 'utf8')
  const compose = parse(read('deploy/compose/compose.yaml')) as {
    services: Record<string, { profiles?: string[]; volumes?: string[] }>
  }
  const { grafana, prometheus, 'nginx-exporter': exporter } = compose.services
  for (const service of [grafana, prometheus, exporter]) expect(service?.profiles).toEqual(['monitoring'])
  const mounts = [...(grafana?.volumes ?? []), ...(prometheus?.volumes ?? [])].filter((mount) =>
    mount.startsWith('..'),
  )
  expect(mounts.length).toBeGreaterThanOrEqual(4)
  for (const mount of mounts) {
    const [source = ''] = mount.split(':')
    expect(existsSync(join(root, 'deploy/compose', source)), source).toBe(true)
  }
  const provider = read('deploy/observability/grafana/provisioning/dashboards/sse-cluster.yaml')
  const path = /path: (\S+)/.exec(provider)?.[1]
  expect(grafana?.volumes?.some((mount) => mount.includes(`:${path}:`))).toBe(true)
})
