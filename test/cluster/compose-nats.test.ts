import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ComposeProject, whyNoContainers } from '../support/compose-project.ts'
import { expectNothingLost } from '../support/nothing-lost.ts'
import { SteadyPublisher } from '../support/steady-publisher.ts'
import { Swarm } from '../support/swarm.ts'
import { waitUntil } from '../support/wait.ts'

const obstacle = await whyNoContainers()
if (obstacle) console.log(`compose-nats.test.ts: three NATS servers are not tested here: ${obstacle}`)

describe.skipIf(obstacle)('three NATS servers in containers', () => {
  let project: ComposeProject

  beforeAll(async () => {
    const settings = { NATS_NODES: '3', DEMO: '0', PROBER: '0' }
    project = await ComposeProject.create(settings, ['compose.yaml', 'nats-cluster.yaml'])
  })
  afterAll(() => project?.remove())

  /** The publisher's view of the log. */
  async function metric(name: string): Promise<number> {
    const [publisher] = await project.containers('publisher')
    const script = "fetch('http://127.0.0.1:9100/metrics').then((a) => a.text()).then(console.log)"
    const { stdout } = await project.run('docker', ['exec', publisher as string, 'node', '-e', script])
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(stdout)?.[1])
  }

  const untilCopies = (count: number) =>
    waitUntil(async () => (await metric('sse_log_replicas_current')) === count, {
      what: `${count} current copies of the log`,
      timeoutMs: 60_000,
    })

  test('NATS_NODES=3 make up gives a log of three copies', async () => {
    const { exitCode, all } = await project.make('up')
    expect([exitCode, all]).toEqual([0, expect.stringContaining('Events come through.')])
    expect(await metric('sse_log_replicas')).toBe(3)
    await untilCopies(3)
  })

  test('clients lose nothing while each NATS server in turn is killed and comes back', async () => {
    const swarm = new Swarm(project.port, 'survives.%3E', 100)
    await swarm.open()
    const publishing = new SteadyPublisher(project.url, (n) => `survives.${n % 7}`, 50)
    await publishing.more(50)
    for (const server of ['nats', 'nats-2', 'nats-3']) {
      const [container] = await project.containers(server)
      await project.run('docker', ['kill', container as string])
      await untilCopies(2)
      await publishing.more(50)
      await project.run('docker', ['start', container as string])
      await untilCopies(3)
    }
    await expectNothingLost(swarm, publishing)
  })
})
