import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { newestNatsServer } from '../../deploy/local/tools.ts'
import { readObjects } from '../support/chart.ts'

const server = await newestNatsServer()
if (!server)
  console.log('nats-configuration.test.ts: skipped, since nats-server is missing (`npm run tools`)')
const values = join(import.meta.dirname, '../../deploy/helm/nats-values.yaml')

describe.skipIf(!server)('a NATS server takes the configuration', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sse-cluster-nats-configuration-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** What the server says to a configuration. */
  async function verdict(configuration: string): Promise<string> {
    const file = join(folder, 'nats.conf')
    // Only a server that is root could make /data.
    await writeFile(file, configuration.replace('/data', join(folder, 'data')))
    const { all } = await execa(server?.path ?? '', ['-t', '-c', file], {
      env: { POD_NAME: 'nats-0' },
      reject: false,
      all: true,
    })
    return all
  }

  test('of nats.yaml', async () => {
    const map = readObjects('deploy/kubernetes/nats.yaml').find(({ kind }) => kind === 'ConfigMap')
    expect(await verdict(map?.data?.['nats.conf'] ?? '')).toMatch(/ is valid/)
  })

  test('that NATS’s chart makes of nats-values.yaml, in which numbers with units stand in << >>', async () => {
    const { merge } = parse(await readFile(values, 'utf8')).config
    expect(await verdict(asTheChartWrites(merge))).toMatch(/ is valid/)
    expect(await verdict(asTheChartWrites({ ...merge, max_payload: '1MB' }))).not.toMatch(/ is valid/)
  })
})

/** The chart's rule for config.merge (its values.yaml): JSON, in which what stands in << >> loses its quotes. */
function asTheChartWrites(merge: object): string {
  return JSON.stringify(merge).replaceAll(/"<<\s*(.*?)\s*>>"/g, '$1')
}
