import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { scaleRules } from '../../deploy/observability/prometheus/scale.ts'
import { observability } from '../support/boards.ts'
import { findPromtool } from '../support/prometheus.ts'

const root = join(import.meta.dirname, '../..')
const rulesFolder = join(observability, 'prometheus/rules')
const testsFolder = join(observability, 'prometheus/tests')
const runbooks = join(root, 'docs/runbooks')

interface Rule {
  alert?: string
  record?: string
  expr: string
  for?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

const rules = readdirSync(rulesFolder).flatMap((file) => {
  const text = readFileSync(join(rulesFolder, file), 'utf8')
  return (parse(text) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules)
})
const alerts = rules.filter((rule): rule is Rule & { alert: string } => rule.alert !== undefined)
const names = [...new Set(alerts.map(({ alert }) => alert))].sort()

test('each alert says how bad it is, what is wrong, and where its runbook is', () => {
  expect(names.length).toBeGreaterThan(20)
  for (const { alert, labels, annotations } of alerts) {
    expect.soft(['page', 'ticket'], alert).toContain(labels?.severity)
    expect.soft(annotations?.summary?.length ?? 0, alert).toBeGreaterThan(15)
    expect.soft(annotations?.description?.length ?? 0, alert).toBeGreaterThan(40)
    expect.soft(annotations?.runbook_url).toBe(`docs/runbooks/${alert}.md`)
  }
})

test('each alert has a runbook and each runbook an alert, and the index lists them with their severities', () => {
  const files = readdirSync(runbooks).filter((file) => file !== 'README.md')
  expect(files.map((file) => file.replace(/\.md$/, '')).sort()).toEqual(names)
  const index = readFileSync(join(runbooks, 'README.md'), 'utf8')
  const listed = [...index.matchAll(/^\| \[(\w+)\]\((\w+)\.md\) \| ([a-z, ]+) \|/gm)]
  expect(listed.map(([, name]) => name).sort()).toEqual(names)
  for (const [, name, file, severities = ''] of listed) {
    expect(file).toBe(name)
    const wanted = new Set(alerts.filter(({ alert }) => alert === name).map(({ labels }) => labels?.severity))
    expect(new Set(severities.split(', ')), name).toEqual(wanted)
  }
})

test('each runbook gives symptoms, queries and actions', () => {
  for (const name of names) {
    const text = readFileSync(join(runbooks, `${name}.md`), 'utf8')
    for (const part of [`# ${name}`, '## Symptoms\n\n- ', '```promql\n', '## Actions\n\n1. '])
      expect.soft(text, name).toContain(part)
  }
})

test('each alert and each recorded series has a case, and each alert one in which it is silent', () => {
  const cases = readdirSync(testsFolder).map((file) => readFileSync(join(testsFolder, file), 'utf8'))
  const text = cases.join('\n')
  for (const { alert, labels } of alerts)
    expect.soft(text).toContain(`{alertname="${alert}", severity="${labels?.severity}"}`)
  for (const { record } of rules) if (record) expect.soft(text).toContain(record)
  // A case asks for the whole set of alerts, so each that names others shows that this one is silent.
  expect(text.match(/exp_samples: \[\]/g)?.length).toBeGreaterThan(30)
})

test('rules that run faster keep everything but their times', () => {
  const text = 'groups: [{ name: a, rules: [{ record: x:y:rate5m, expr: "rate(z[5m]) > 5", for: 1h }] }]'
  expect(parse(scaleRules(text, 30))).toEqual({
    groups: [{ name: 'a', rules: [{ record: 'x:y:rate5m', expr: 'rate(z[10000ms]) > 5', for: '120000ms' }] }],
  })
  expect(scaleRules(text, 1)).toBe(text)
  expect(() => scaleRules(text.replace('1h', '1w'), 30)).toThrow('1w')
})

const promtool = await findPromtool()
const skipped = promtool ? '' : ' (skipped: no promtool here)'

test.skipIf(!promtool)(
  `promtool: the rules are valid and every case holds${skipped}`,
  { timeout: 300_000 },
  async () => {
    const files = (folder: string) => readdirSync(folder).map((file) => join(folder, file))
    const run = (...args: string[]) => execa(promtool as string, args, { reject: false, all: true })
    const checked = await run('check', 'rules', ...files(rulesFolder))
    expect([checked.exitCode, checked.all]).toEqual([0, expect.stringContaining('SUCCESS')])
    const tested = await run('test', 'rules', ...files(testsFolder))
    expect([tested.exitCode, tested.all]).toEqual([0, expect.stringContaining('SUCCESS')])
    const config = await run(
      'check',
      'config',
      '--syntax-only',
      join(observability, 'prometheus/prometheus.yaml'),
    )
    expect([config.exitCode, config.all]).toEqual([0, expect.stringContaining('SUCCESS')])
  },
)
