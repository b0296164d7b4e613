import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeToken } from '../../deploy/local/tokens.ts'
import { ComposeProject, whyNoContainers } from '../support/compose-project.ts'
import { post } from '../support/publish.ts'
import { SseClient } from '../support/sse-client.ts'

const obstacle = await whyNoContainers()
if (obstacle) console.log(`compose-tokens.test.ts: tokens in containers are not tested here: ${obstacle}`)

describe.skipIf(obstacle)('the cluster in containers with tokens and a secret in a file', () => {
  const jwt = { AUTH_MODE: 'jwt', JWT_SECRET: randomBytes(32).toString('hex') }
  let project: ComposeProject

  beforeAll(async () => {
    project = await ComposeProject.create({ AUTH_MODE: 'jwt', JWT_SECRET: '/run/secrets/jwt-secret' })
    await writeFile(join(project.secrets, 'jwt-secret'), `${jwt.JWT_SECRET}\n`)
  })
  afterAll(() => project?.remove())

  test('make up tries it with a token, and gives the demo and the prober theirs', async () => {
    const { exitCode, all } = await project.make('up')
    expect([exitCode, all]).toEqual([0, expect.stringContaining('Events come through.')])
    const token = await makeToken(jwt, ['demo.>', 'probe.>'], '5m')
    const headers = { authorization: `Bearer ${token}` }
    for (const topic of ['demo.>', 'probe.>']) {
      const client = await SseClient.connect(project.url, { topics: [topic], headers })
      await client.untilCount(1)
      client.close()
    }
  })

  test('who has no token, or one of another secret, is refused', async () => {
    const event = { topic: 'orders.1', data: {} }
    expect((await post(project.url, event)).status).toBe(401)
    const forged = await makeToken({ ...jwt, JWT_SECRET: randomBytes(32).toString('hex') }, ['>'], '5m')
    expect((await post(project.url, event, { headers: { authorization: `Bearer ${forged}` } })).status).toBe(
      401,
    )
    expect((await fetch(`${project.url}/v1/events?topic=orders.1`)).status).toBe(401)
  })

  test('docker inspect does not show the secret', async () => {
    const { stdout } = await project.run('docker', ['inspect', ...(await project.containers())])
    expect(stdout).toContain('/run/secrets/jwt-secret')
    expect(stdout).not.toContain(jwt.JWT_SECRET)
  })
})
