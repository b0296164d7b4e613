import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import Schema from 'typebox/schema'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { onPath } from '../../deploy/local/tools.ts'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'loadtest/kubernetes')
const operator = 'github.com/grafana/k6-operator@v1.6.0'

type Node = Record<string, unknown>

/** The k6-operator's own definition of a TestRun, or why it can't be had. K6_OPERATOR_CRD names a file with it. */
async function definition(): Promise<{ schema: Node } | string> {
  const file = process.env.K6_OPERATOR_CRD || (await downloaded())
  if (!file)
    return `${operator} can’t be had here: Go downloads it, or K6_OPERATOR_CRD names its k6.io_testruns.yaml`
  const crd = parse(readFileSync(file, 'utf8'))
  return { schema: closed(crd.spec.versions[0].schema.openAPIV3Schema) as Node }
}

/** Outside of any module, so that only what is named comes, without what it needs. */
async function downloaded(): Promise<string | undefined> {
  const go = onPath('go', ['/usr/local/go/bin'])
  if (!go) return undefined
  const { stdout, failed } = await execa(go, ['mod', 'download', '-json', operator], {
    ...{ cwd: tmpdir(), reject: false, timeout: 60_000 },
  })
  const { Dir } = failed ? {} : (JSON.parse(stdout) as { Dir?: string })
  return Dir && join(Dir, 'config/crd/bases/k6.io_testruns.yaml')
}

/** Fields that the schema does not name are dropped by the API server, so here they are faults. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed)
  if (typeof value !== 'object' || value === null) return value
  const node = Object.fromEntries(Object.entries(value).map(([key, child]) => [key, closed(child)])) as Node
  const isOpen =
    node['x-kubernetes-preserve-unknown-fields'] === true || node.additionalProperties !== undefined
  const named = typeof node.properties === 'object' && node.type === 'object'
  return named && !isOpen ? { ...node, additionalProperties: false } : node
}

/** Names of the settings that have an effect in a scenario. */
function settingsRead(script: string): string[] {
  const common = ['settings', 'options', 'report', 'crowd'].map((name) =>
    readFileSync(join(root, 'loadtest/scenarios/lib', `${name}.ts`), 'utf8'),
  )
  const names = [script, ...common].flatMap((text) => [
    ...text.matchAll(/(?:number|share|text|duration)\('([A-Z0-9_]+)'|__ENV\.([A-Z0-9_]+)/g),
  ])
  return (
    names
      .map((match) => (match[1] ?? match[2]) as string)
      // A bound that a scenario has only when its script says so.
      .filter((name) => name !== 'MIN_RESUME_OK' || script.includes('resumeOk'))
  )
}

const found = await definition()
const obstacle = typeof found === 'string' ? ` (skipped: ${found})` : ''

describe('manifests of a load test on a cluster', () => {
  const testRun = parse(readFileSync(join(folder, 'testrun.yaml'), 'utf8'), { merge: true })

  it.skipIf(obstacle !== '')(`the TestRun is one that the k6-operator knows${obstacle}`, () => {
    const { schema } = found as { schema: Node }
    const { metadata: _, ...meaningful } = testRun
    expect(Schema.Errors(schema, meaningful)[1]).toEqual([])
    // The check itself: a slip in a name is noticed.
    expect(Schema.Check(schema, { ...meaningful, spec: { ...testRun.spec, paralelism: 1 } })).toBe(false)
  })

  it('every runner has a virtual user, and leaves a summary in its log', () => {
    const { parallelism, initializer, runner } = testRun.spec
    const runners = (env: { name: string; value: string }[]) =>
      env.find(({ name }) => name === 'RUNNERS')?.value
    expect([runners(initializer.env), runners(runner.env)]).toEqual([`${parallelism}`, `${parallelism}`])
    const settings = readFileSync(join(folder, 'settings.env'), 'utf8')
    expect(settings).toMatch(/^REPORT=log$/m)
  })

  it('the script is in the image, and reads each of the settings, those of the plan for a million too', () => {
    const dockerfile = readFileSync(join(root, 'deploy/images/k6.Dockerfile'), 'utf8')
    expect(dockerfile).toContain('/load/loadtest/scenarios')
    const script = String(testRun.spec.script.localFile).replace('/load/', '')
    expect(existsSync(join(root, script))).toBe(true)
    const known = settingsRead(readFileSync(join(root, script), 'utf8'))
    const names = (text: string) => [...text.matchAll(/^([A-Z0-9_]+)=/gm)].map((match) => match[1] as string)
    const plan = readFileSync(join(root, 'docs/load-testing.md'), 'utf8').split('## A plan for a million')[1]
    const given = [
      ...names(readFileSync(join(folder, 'settings.env'), 'utf8')),
      ...names(plan?.split('```')[1] ?? ''),
    ]
    expect(given.length).toBeGreaterThan(10)
    expect(given.filter((name) => !known.includes(name))).toEqual([])
  })

  const kubectl = onPath('kubectl')
  it.skipIf(!kubectl)(
    `kubectl puts them together${kubectl ? '' : ' (skipped: there is no kubectl)'}`,
    async () => {
      const { stdout } = await execa('kubectl', ['kustomize', folder])
      const objects = stdout.split(/^---$/m).map((text) => parse(text))
      expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual([
        'ConfigMap load-test-settings',
        'TestRun load-test',
      ])
      const image = 'registry.example.com/sse-cluster-k6:0.1.0'
      const { spec } = objects.find(({ kind }) => kind === 'TestRun')
      expect([spec.runner.image, spec.initializer.image]).toEqual([image, image])
    },
  )
})
