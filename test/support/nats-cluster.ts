import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { newestNatsServer } from '../../deploy/local/tools.ts'
import { freePort } from './ports.ts'
import { waitUntil } from './wait.ts'

export interface NatsMember {
  /** Its name in the cluster, `n1`, `n2`, … */
  name: string
  url: string
  /** SIGKILL. */
  kill(): Promise<void>
  /** Starts it (again); does not wait until it is healthy. */
  start(): void
}

export interface NatsCluster {
  /** All addresses, comma-separated. */
  url: string
  members: readonly NatsMember[]
  /** Waits until every member that runs is healthy. */
  untilHealthy(): Promise<void>
  stop(): Promise<void>
}

/** Why no cluster can be started here: always processes, since containers would not find each other. */
export async function whyNoNatsCluster(): Promise<string | undefined> {
  return (await newestNatsServer()) ? undefined : 'no nats-server on PATH or in Go’s bin folder'
}

/** Starts `size` real nats-servers that form a JetStream cluster, and returns when all are healthy. */
export async function startNatsCluster(size = 3): Promise<NatsCluster> {
  const found = await newestNatsServer()
  if (!found) throw new Error('No nats-server')
  const folder = await mkdtemp(join(tmpdir(), 'sse-cluster-nats-cluster-'))
  const ports = await Promise.all(
    Array.from({ length: size }, async () => [await freePort(), await freePort(), await freePort()] as const),
  )
  const routes = ports.map(([, , route]) => `"nats://127.0.0.1:${route}"`).join(', ')
  const running = new Set<number>()
  const healthy = (monitor: number) => fetch(`http://127.0.0.1:${monitor}/healthz`).then(({ ok }) => ok)
  const members = await Promise.all(
    ports.map(async ([port, monitor, route], index): Promise<NatsMember> => {
      const name = `n${index + 1}`
      const file = join(folder, `${name}.conf`)
      await writeFile(
        file,
        `server_name: ${name}\nlisten: "127.0.0.1:${port}"\nhttp: "127.0.0.1:${monitor}"\n` +
          `jetstream { store_dir: "${join(folder, name)}" }\n` +
          `cluster { name: test, listen: "127.0.0.1:${route}", routes: [${routes}] }\n`,
      )
      // execa ends it when the test process ends, however a test fails.
      const launch = () => execa(found.path, ['-c', file], { reject: false, stdio: 'ignore' })
      let server: ReturnType<typeof launch> | undefined
      return {
        name,
        url: `nats://127.0.0.1:${port}`,
        start() {
          server = launch()
          running.add(monitor)
        },
        async kill() {
          running.delete(monitor)
          server?.kill('SIGKILL')
          await server
          server = undefined
        },
      }
    }),
  )
  const cluster: NatsCluster = {
    url: members.map(({ url }) => url).join(','),
    members,
    untilHealthy: async () => {
      await waitUntil(async () => (await Promise.all([...running].map(healthy))).every(Boolean), {
        what: 'the NATS cluster to be healthy',
        timeoutMs: 60_000,
      })
    },
    async stop() {
      await Promise.all(members.map((member) => member.kill()))
      await rm(folder, { recursive: true, force: true })
    },
  }
  for (const member of members) member.start()
  await cluster.untilHealthy()
  return cluster
}
