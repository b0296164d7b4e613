import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ComposeProject, whyNoContainers } from '../support/compose-project.ts'
import { expectNothingLost } from '../support/nothing-lost.ts'
import { SteadyPublisher } from '../support/steady-publisher.ts'
import { Swarm } from '../support/swarm.ts'
import { waitUntil } from '../support/wait.ts'

const makeCertificate = join(import.meta.dirname, '../../nginx/development-certificate.sh')
const clients = 200

const obstacle = await whyNoContainers()
if (obstacle) console.log(`compose-upgrade.test.ts: upgrades in containers are not tested here: ${obstacle}`)

describe.skipIf(obstacle)('upgrades of the cluster in containers', () => {
  let project: ComposeProject
  let tlsFolder: string

  beforeAll(async () => {
    tlsFolder = await mkdtemp(join(tmpdir(), 'sse-cluster-tls-'))
    await chmod(tlsFolder, 0o755)
    await provideCertificate()
    project = await ComposeProject.create({ DEMO: '0', PROBER: '0', TLS_FOLDER: tlsFolder })
    expect((await project.make('up')).all).toContain('Events come through.')
  })
  afterAll(async () => {
    await project?.remove()
    await rm(tlsFolder, { recursive: true })
  })

  /** A new one each time, readable for Nginx's user in the container. */
  async function provideCertificate(): Promise<void> {
    const [certificate, key] = [join(tlsFolder, 'cert.pem'), join(tlsFolder, 'key.pem')]
    await rm(certificate, { force: true })
    const env = { NGINX_TLS_CERTIFICATE: certificate, NGINX_TLS_KEY: key }
    await execa(makeCertificate, { env })
    for (const file of [certificate, key, `${certificate}.development`]) await chmod(file, 0o644)
  }

  /** Fingerprint of the certificate that Nginx serves. */
  function servedCertificate(): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: project.tlsPort, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256)
        socket.destroy()
      })
      socket.on('error', reject)
    })
  }

  async function crowd(topic: string) {
    const swarm = new Swarm(project.port, `${topic}.%3E`, clients)
    await swarm.open()
    const publishing = new SteadyPublisher(project.url, (n) => `${topic}.${n % 7}`, 50)
    await publishing.more(50)
    return { swarm, publishing }
  }

  async function expectDone(running: ReturnType<ComposeProject['compose']>): Promise<void> {
    const { exitCode, all } = await running
    expect([exitCode, all]).toEqual([0, expect.any(String)])
  }

  test('clients lose nothing while a new image is rolled out and back again', async () => {
    const imageOf = async (id: string) =>
      (await project.run('docker', ['inspect', '--format', '{{.Image}}', id])).stdout
    const running = async () => new Set(await Promise.all((await project.containers('gateway')).map(imageOf)))
    const [old] = await running()
    const next = { SERVICES_IMAGE: project.servicesImage.replace(/1$/, '2') }
    await expectDone(project.composeWith(next, 'build', '--build-arg', 'VERSION=0.2.0', 'publisher'))

    const { swarm, publishing } = await crowd('rolled')
    const up = ['up', '--detach', '--wait', '--no-build', '--no-deps', 'gateway', 'publisher']
    for (const settings of [next, {}]) {
      await expectDone(project.composeWith(settings, ...up))
      expect((await running()).has(old as string)).toBe(settings !== next)
      expect((await running()).size).toBe(1)
      await publishing.more(50)
      await project.untilAllServe(2)
    }
    await expectNothingLost(swarm, publishing, clients)
  })

  test('a rollback to an image that is not there changes nothing', async () => {
    const before = await project.containers()
    const missing = { SERVICES_IMAGE: project.servicesImage.replace(/1$/, '0') }
    const up = ['up', '--detach', '--wait', '--no-build', '--no-deps', 'gateway', 'publisher']
    const { failed, all } = await project.composeWith(missing, ...up)
    expect([failed, all]).toEqual([true, expect.stringContaining(missing.SERVICES_IMAGE)])
    expect(await project.containers()).toEqual(before)
  })

  test('a new certificate is served after a reload of Nginx, which cuts no stream', async () => {
    const { swarm, publishing } = await crowd('reloaded')
    await provideCertificate()
    const before = await servedCertificate()
    await expectDone(project.compose('kill', '--signal', 'HUP', 'nginx'))
    await waitUntil(async () => (await servedCertificate()) !== before, { what: 'the new certificate' })
    await publishing.more(50)
    expect(swarm.ledger().reconnects).toBe(0)
    await expectNothingLost(swarm, publishing)
  })

  test('clients lose nothing while Nginx is replaced, though all of them have to come back', async () => {
    const before = await project.containers('nginx')
    const { swarm, publishing } = await crowd('replaced')
    const up = ['up', '--detach', '--wait', '--no-build', '--no-deps', '--force-recreate', 'nginx']
    await expectDone(project.compose(...up))
    expect(await project.containers('nginx')).not.toEqual(before)
    await publishing.more(50)
    await expectNothingLost(swarm, publishing, clients)
  })
})
