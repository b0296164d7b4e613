import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { gatewaySettings } from '../../services/gateway/config.ts'
import { gatewayNodeOptions } from '../../services/gateway/node-options.ts'
import { publisherSettings } from '../../services/publisher/config.ts'
import { ComposeProject, whyNoContainers } from '../support/compose-project.ts'
import { expectNothingLost } from '../support/nothing-lost.ts'
import { post } from '../support/publish.ts'
import { SseClient } from '../support/sse-client.ts'
import { SteadyPublisher } from '../support/steady-publisher.ts'
import { Swarm } from '../support/swarm.ts'

const root = join(import.meta.dirname, '../..')
const files = join(root, 'deploy')
const composeFile = readFileSync(join(files, 'compose/compose.yaml'), 'utf8')
const clients = 200

const obstacle = await whyNoContainers()
if (obstacle) console.log(`compose.test.ts: the cluster in containers is not tested here: ${obstacle}`)

test('every setting of the services can be given to Compose', () => {
  const fixed = ['HOST', 'NATS_CREDENTIALS_FILE', 'NATS_USER', 'NATS_PASSWORD', 'NATS_CA_FILE']
  const inImage = ['METRICS_PORT']
  const names = new Set(
    [gatewaySettings, publisherSettings].flatMap(({ properties }) => Object.keys(properties)),
  )
  const missing = [...names].filter((name) => !new RegExp(`^ +${name}:`, 'm').test(composeFile))
  expect(missing.sort()).toEqual([...fixed, ...inImage].sort())
})

describe.skipIf(obstacle)('the cluster in containers', () => {
  let project: ComposeProject
  let url: string
  let port: number

  beforeAll(async () => {
    project = await ComposeProject.create()
    ;({ url, port } = project)
  })
  afterAll(() => project?.remove())

  const run = (command: string, args: string[]) => project.run(command, args)
  const make = (target: string, settings = {}) => project.make(target, settings)
  const compose = (...args: string[]) => project.compose(...args)
  const containers = (service = '') => project.containers(service)

  test('a busy port is named, and nothing is started', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(project.tlsPort, '127.0.0.1', resolve))
    const { exitCode, all } = await make('up')
    await new Promise((resolve) => holder.close(resolve))
    expect(all).toContain(`${project.tlsPort} (nginx, TLS)`)
    expect(exitCode).not.toBe(0)
    expect(await containers()).toEqual([])
  })

  test('a grace period that would cut the drain is named, and nothing is started', async () => {
    const { exitCode, all } = await make('up', { DRAIN_WINDOW_MS: '30000' })
    expect(all).toContain('GATEWAY_GRACE_PERIOD: "40s" is too short')
    expect(exitCode).not.toBe(0)
    expect(await containers()).toEqual([])
  })

  test('make up brings the cluster up and an event published is read through Nginx', async () => {
    const { exitCode, all } = await make('up')
    expect([exitCode, all]).toEqual([0, expect.stringContaining('Events come through.')])
    expect(all).toContain(`http://localhost:${port}/`)
    expect((await make('status')).exitCode).toBe(0)

    const client = await SseClient.connect(url, { topics: ['compose.>'] })
    await client.untilFirstBlock()
    const answer = await post(url, { topic: 'compose.hello', data: { n: 1 } })
    expect(answer.status).toBe(201)
    await client.untilCount(1)
    client.close()
    expect(client.events[0]).toMatchObject({ id: answer.json.id, topic: 'compose.hello' })
  })

  test('a second make up is harmless', async () => {
    const before = await containers()
    expect((await make('up')).all).toContain('Events come through.')
    expect(await containers()).toEqual(before)
  })

  test('another number of NATS servers is refused, since it would begin an empty log', async () => {
    const before = await containers()
    const { exitCode, all } = await make('up', { NATS_NODES: '3' })
    expect(all).toContain('NATS_NODES=3 would begin an empty log')
    expect(exitCode).not.toBe(0)
    expect(await containers()).toEqual(before)
  })

  test('the demo shows each gateway by itself', async () => {
    const client = await SseClient.connect(url, { topics: ['demo.cluster'] })
    await client.untilEvent(({ data }) => (data as { gateways: unknown[] }).gateways.length === 2)
    client.close()
  })

  test('containers may do no more than they need', async () => {
    const { stdout } = await run('docker', ['inspect', ...(await containers())])
    for (const { Name, Config, HostConfig } of JSON.parse(stdout) as Inspected[]) {
      expect({ Name, ...HostConfig }).toMatchObject({
        Name,
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges:true'],
        Privileged: false,
      })
      if (!Name.includes('nats')) expect([Name, Config.User]).toEqual([Name, expect.stringMatching(/^[1-9]/)])
    }
    const gateway = (await containers('gateway'))[0] as string
    expect((await run('docker', ['exec', gateway, 'sh', '-c', 'true'])).failed).toBe(true)
    const { stdout: first } = await run('docker', ['exec', gateway, ...readFile('/proc/1/cmdline')])
    expect(first.split('\0').slice(0, -1)).toEqual([
      'node',
      ...gatewayNodeOptions,
      'services/gateway/main.ts',
    ])
    expect(
      (await run('docker', ['exec', gateway, ...readFile('node_modules/node/package.json')])).failed,
    ).toBe(true)
  })

  test('clients lose nothing while a gateway container is killed and one is stopped gracefully', async () => {
    const [first, second] = (await containers('gateway')) as [string, string]
    const swarm = new Swarm(port, 'killed.%3E', clients)
    await swarm.open()
    const publishing = new SteadyPublisher(url, (n) => `killed.${n % 7}`, 50)
    await publishing.more(50)

    await run('docker', ['kill', first])
    await publishing.more(50)
    await swarm.untilOpen()
    expect((await make('up')).exitCode).toBe(0)
    await project.untilAllServe(2)

    await run('docker', ['stop', '--time', '40', second])
    const { stdout: exitCode } = await run('docker', ['inspect', '--format', '{{.State.ExitCode}}', second])
    expect(exitCode).toBe('0')
    await publishing.more(50)
    expect((await make('up')).exitCode).toBe(0)
    await project.untilAllServe(2)
    await expectNothingLost(swarm, publishing, clients / 4)
  })

  test('clients lose nothing while gateways are scaled from 2 to 4 and back, and Nginx follows', async () => {
    const nginx = await containers('nginx')
    const scale = async (count: number) => {
      const size = ['--scale', `gateway=${count}`]
      const scaled = await compose('up', '--detach', '--wait', '--no-recreate', ...size)
      expect([scaled.exitCode, scaled.all]).toEqual([0, expect.any(String)])
      await project.untilAllServe(count)
    }
    const swarm = new Swarm(port, 'up.%3E', clients)
    await swarm.open()
    const publishing = new SteadyPublisher(url, (n) => `up.${n % 7}`, 50)
    await scale(4)

    // These begin on the emptiest gateways, the new ones, which will be the ones to go.
    const late = new Swarm(port, 'down.%3E', clients)
    await late.open()
    const latePublishing = new SteadyPublisher(url, (n) => `down.${n % 7}`, 50)
    await latePublishing.more(50)
    await scale(2)
    await latePublishing.more(50)

    expect(await containers('nginx')).toEqual(nginx)
    await expectNothingLost(swarm, publishing)
    await expectNothingLost(late, latePublishing, clients / 2)
  })

  test('make down ends all containers and keeps the data', async () => {
    const { json } = await post(url, { topic: 'kept.one', data: { n: 1 } })
    expect((await make('down')).exitCode).toBe(0)
    expect(await containers()).toEqual([])
    expect((await make('status')).exitCode).not.toBe(0)
    expect((await make('down')).exitCode).toBe(0)

    expect((await make('up')).exitCode).toBe(0)
    const client = await SseClient.connect(url, { topics: ['kept.>'], query: { since: 'all' } })
    await client.untilEvent(({ id }) => id === json.id)
    client.close()
  })
})

interface Inspected {
  Name: string
  Config: { User: string }
  HostConfig: Record<string, unknown>
}

function readFile(path: string): string[] {
  return ['node', '-e', `console.log(require('fs').readFileSync('${path}', 'utf8'))`]
}
