import sse, { type SwarmResult } from 'k6/x/sse'
import { chart } from './chart.ts'
import { runners, text } from './settings.ts'
import { shown } from './words.ts'

/** What k6 gives to `handleSummary`, as far as it is used here. */
interface SummaryData {
  state: { testRunDurationMs: number }
  metrics: Record<
    string,
    { type: string; values: Record<string, number>; thresholds?: Record<string, { ok: boolean }> }
  >
  root_group: { checks: { name: string; passes: number; fails: number }[] }
}

interface Verdict {
  metric: string
  bound: string
  ok: boolean
  value: string
}

/**
 * `handleSummary` of a scenario: a self-contained page, a JSON file beside it, and a few lines on the terminal.
 * They go to REPORT_DIR (which must exist) as REPORT_NAME. With REPORT=log the summary goes to the terminal
 * instead, where `loadtest/verdict.ts` finds it in the logs of a cluster's runners.
 */
export function summaryOf(scenario: string, question: string): (data: SummaryData) => Record<string, string> {
  return (data) => {
    const verdicts = verdictsOf(data)
    const passed = verdicts.every((verdict) => verdict.ok)
    const summary = {
      scenario,
      question,
      passed,
      endedAt: new Date().toISOString(),
      seconds: data.state.testRunDurationMs / 1000,
      // Of so many runners, this process was so many: one each, unless one process has all.
      runners,
      ran: data.metrics.iterations?.values.count ?? 0,
      settings: settingsOf(),
      verdicts,
      swarms: sse.results(),
      metrics: Object.fromEntries(
        Object.entries(data.metrics)
          // Of several swarms k6 knows the last one's sse_connections only: each swarm says how many it has open.
          .filter(([name]) => /^(sse_|breakpoint_|checks$)/.test(name) && name !== 'sse_connections')
          .map(([name, metric]) => [name, metric.values]),
      ),
      timeline: sse.timeline(),
    }
    if (text('REPORT', 'files') === 'log') {
      const { timeline: _, ...rest } = summary
      return { stdout: `\n${[...lines(summary), '', ...logLines(JSON.stringify(rest))].join('\n')}\n` }
    }
    const base = `${text('REPORT_DIR', '.')}/${text('REPORT_NAME', scenario)}`
    return {
      [`${base}.json`]: `${JSON.stringify(summary, null, 1)}\n`,
      [`${base}.html`]: page(summary),
      stdout: `\n${lines(summary).join('\n')}\n\n  report   ${base}.html\n  summary  ${base}.json\n`,
    }
  }
}

/** Kubernetes cuts longer lines (16 KB), and puts others between the pieces. */
const logLineLength = 8_000

function logLines(json: string): string[] {
  const pieces = Array.from({ length: Math.ceil(json.length / logLineLength) }, (_, i) =>
    json.slice(i * logLineLength, (i + 1) * logLineLength),
  )
  return pieces.map((piece, i) => `k6-summary ${i + 1}/${pieces.length} ${piece}`)
}

type Summary = {
  scenario: string
  question: string
  passed: boolean
  endedAt: string
  seconds: number
  runners: number
  ran: number
  settings: Record<string, string>
  verdicts: Verdict[]
  swarms: SwarmResult[]
  metrics: Record<string, Record<string, number>>
  timeline: ReturnType<typeof sse.timeline>
}

function verdictsOf(data: SummaryData): Verdict[] {
  return Object.entries(data.metrics).flatMap(([metric, { values, thresholds }]) =>
    Object.entries(thresholds ?? {}).map(([bound, { ok }]) => {
      const aggregate = /^[a-z]+(\([\d.]+\))?/.exec(bound)?.[0] ?? ''
      return { metric, bound, ok, value: shown(values[aggregate]) }
    }),
  )
}

/** Settings that were given; tokens are not for reports. */
function settingsOf(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(__ENV)
      .filter(([name]) => /^[A-Z][A-Z0-9_]*$/.test(name) && __ENV.REPORT_SETTINGS?.split(',').includes(name))
      .map(([name, value]) => [name, /TOKEN|SECRET/.test(name) ? '…' : value]),
  )
}

function lines(summary: Summary): string[] {
  return [
    `  ${summary.passed ? 'PASSED' : 'FAILED'}  ${summary.scenario}: ${summary.question}`,
    ...summary.verdicts.map(
      ({ ok, metric, bound, value }) => `    ${ok ? '✓' : '✗'} ${metric} ${bound} (${value})`,
    ),
    ...summary.swarms.map(
      (swarm) =>
        `    ${swarm.name}: ${shown(swarm.connections)} clients, ${shown(swarm.events)} events, ` +
        `p50 ${shown(swarm.latencyMs.p50)} ms, p99 ${shown(swarm.latencyMs.p99)} ms, max ${shown(swarm.latencyMs.max)} ms`,
    ),
  ]
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (value: string) => value.replace(/[&<>"]/g, (character) => escapes[character] as string)

function table(head: string[], rows: string[][]): string {
  const row = (cells: string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`
  return `<table>${row(head, 'th')}${rows.map((cells) => row(cells, 'td')).join('')}</table>`
}

const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{display:block;overflow-x:auto;border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{border-bottom:1px solid #d8dee4;padding:.25rem .5rem .25rem 0;text-align:left}svg{width:100%;height:auto}
.passed{color:#1a7f37}.failed{color:#cf222e}@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}}`

function page(summary: Summary): string {
  const { timeline, swarms } = summary
  const seconds = timeline.map((point) => point.second)
  const draw = (title: string, unit: string, series: Record<string, number[]>) =>
    `<h2>${title}</h2>${chart(seconds, series, unit)}`
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${summary.scenario}: ${summary.passed ? 'passed' : 'failed'}</title><style>${style}</style>
<h1>${summary.scenario}: <span class="${summary.passed ? 'passed">passed' : 'failed">failed'}</span></h1>
<p>${escaped(summary.question)}</p><p>${summary.endedAt}, ${summary.seconds.toFixed(1)} s</p>
<h2>Bounds</h2>${table(
    ['', 'metric', 'bound', 'measured'],
    summary.verdicts.map(({ ok, metric, bound, value }) => [ok ? '✓' : '✗', metric, bound, value]),
  )}
<h2>Swarms</h2>${table(
    'name,clients,events,lost,duplicated,out of order,reconnects,resumed,p50 ms,p90 ms,p99 ms,p99.9 ms,max ms'.split(
      ',',
    ),
    swarms.map((swarm) => [
      swarm.name,
      ...[swarm.connections, swarm.events, swarm.lost, swarm.duplicated, swarm.outOfOrder].map(shown),
      ...[swarm.reconnects, swarm.resumed].map(shown),
      ...[swarm.latencyMs.p50, swarm.latencyMs.p90, swarm.latencyMs.p99, swarm.latencyMs.p999].map(shown),
      shown(swarm.latencyMs.max),
    ]),
  )}
${draw('Open streams', '', { open: timeline.map((point) => point.open) })}
${draw('Events per second', '', {
  delivered: timeline.map((point) => point.eventsPerSecond),
  published: timeline.map((point) => point.publishedPerSecond),
})}
${draw('Latency', 'ms', { p50: timeline.map((point) => point.p50), p99: timeline.map((point) => point.p99) })}
${draw('Reconnects', '', { reconnects: timeline.map((point) => point.reconnects) })}
${draw('Faults', '', {
  lost: timeline.map((point) => point.lost),
  duplicated: timeline.map((point) => point.duplicated),
  'out of order': timeline.map((point) => point.outOfOrder),
})}
<h2>Metrics</h2>${table(
    ['metric', 'values'],
    Object.entries(summary.metrics).map(([name, values]) => [
      name,
      Object.entries(values)
        .map(([key, value]) => `${key} ${shown(value)}`)
        .join(', '),
    ]),
  )}
<h2>Settings</h2>${table(['setting', 'value'], Object.entries(summary.settings))}
</html>
`
}
