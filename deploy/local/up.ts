import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import {
  type ClusterSettings,
  clusterPorts,
  clusterProcesses,
  clusterSettings,
  nginxVariables,
} from './cluster.ts'
import { composePorts, composeSettings, composeUp, useCompose } from './compose.ts'
import { launch } from './launch.ts'
import { monitoringProcesses, prepareMonitoring } from './monitoring.ts'
import { writeNginxConfig } from './nginx-config.ts'
import { requireFreePorts } from './ports.ts'
import { eventArrives, isReady, readyTopic, TokenNeeded } from './readiness.ts'
import { isAlive, readState, removeState } from './state.ts'
import { stopInOrder } from './stop.ts'
import { makeToken, withTokens } from './tokens.ts'
import { provideTools } from './tools.ts'

const readyTimeoutMs = 60_000
/** After 3.5 s of pauses. */
const failingRestarts = 3
const say = (text: string) => console.log(text)

/** Nginx's ports on this machine. */
interface FrontDoor {
  http: number
  tls: number
}

/** Brings the cluster up and returns when an event can be read through the front door. @throws when it can't. */
export async function up(): Promise<void> {
  const begun = performance.now()
  const settings = await withTokens(clusterSettings(process.env))
  if (!readState(settings.runDir) && (await useCompose(process.env))) {
    return await upInContainers(begun)
  }
  const state = readState(settings.runDir)
  if (state && isAlive(state.supervisor)) {
    say('The cluster is already running; looking whether all of it is ready.')
  } else {
    if (state) {
      say('A cluster was left behind without its supervisor; ending what remains of it.')
      await stopInOrder(state.processes, say)
      removeState(settings.runDir)
    }
    await start(settings)
  }
  await waitForProcesses(settings)
  const ports = clusterPorts(settings)
  announce(settings, ports, 'local processes', await confirm(settings, ports), begun)
  if (monitoringProcesses(settings).length > 0)
    say(
      `  Prometheus  http://localhost:${ports.prometheus}/   (boards are for Grafana: deploy/observability)`,
    )
}

async function upInContainers(begun: number): Promise<void> {
  const settings = await withTokens(composeSettings(process.env))
  const ports = composePorts(settings)
  await composeUp(settings)
  announce(settings, ports, 'containers', await confirm(settings, ports), begun)
}

async function start(settings: ClusterSettings): Promise<void> {
  const { runDir, environment } = settings
  const tools = await provideTools(say)
  const processes = clusterProcesses(settings, tools)
  await prepareMonitoring(settings, processes, say)
  await requireFreePorts([...processes, ...monitoringProcesses(settings)])
  keepOldLogs(join(runDir, 'logs'))
  const config = await writeNginxConfig(join(runDir, 'nginx'), nginxVariables(settings))
  const check = await execa(tools.nginx, ['-t', '-e', 'stderr', '-c', config], { reject: false })
  if (check.failed) throw new Error(`Nginx refuses its configuration:\n${check.stderr}`)

  const script = join(import.meta.dirname, 'supervisor.ts')
  launch(process.execPath, [script], environment, join(runDir, 'logs/supervisor.log')).unref()
}

async function waitForProcesses(settings: ClusterSettings): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs
  const cluster = clusterProcesses(settings, { natsServer: '', nginx: '' })
  let waiting = [...cluster, ...monitoringProcesses(settings)]
  for (;;) {
    const ready = await Promise.all(waiting.map(({ readyUrl }) => isReady(readyUrl)))
    waiting = waiting.filter((_, index) => !ready[index])
    if (waiting.length === 0) return
    const names = waiting.map(({ name }) => name)
    const records = readState(settings.runDir)?.processes ?? []
    // Who dies again and again will not become ready by waiting: a bad setting, most of the time.
    const failing = records.some(({ name, restarts }) => names.includes(name) && restarts >= failingRestarts)
    if (failing || performance.now() > deadline) throw await notReady(settings, names)
    await sleep(100)
  }
}

async function notReady(settings: ClusterSettings, names: string[]): Promise<Error> {
  const files = names.map((name) => join(settings.runDir, 'logs', `${name}.log`))
  const { stdout } = await execa('tail', ['-n', '3', ...files], { reject: false })
  return new Error(
    `Not ready: ${names.join(', ')}.\n${stdout}\n` +
      'It goes on trying. See `make status` and `make logs`; `make down` ends it.',
  )
}

/** @returns a sentence for the closing message. */
async function confirm(settings: ClusterSettings, ports: FrontDoor): Promise<string> {
  const token = await makeToken(settings.environment, [readyTopic], '2m')
  const url = `http://127.0.0.1:${ports.http}/v1/events`
  try {
    const failure = await eventArrives(url, token, 30_000)
    if (failure) throw new Error(`All is running, but an event does not come through: ${failure}`)
    return 'Events come through.'
  } catch (error) {
    if (error instanceof TokenNeeded) return 'Not tried with an event: that takes a token of its issuer.'
    throw error
  }
}

/** Each start has its own logs; those of the start before are kept beside them. */
function keepOldLogs(folder: string): void {
  mkdirSync(folder, { recursive: true })
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.log')) renameSync(join(folder, file), join(folder, `${file}.previous`))
  }
}

function announce(
  settings: ClusterSettings,
  { http, tls }: FrontDoor,
  kind: string,
  tried: string,
  begun: number,
): void {
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  const events = `http://localhost:${http}/v1/events`
  const bearer = settings.environment.AUTH_MODE === 'jwt' ? ` -H "Authorization: Bearer $TOKEN"` : ''
  say(`
The cluster is up (${kind}, ${seconds} s). ${tried}

  Pages       http://localhost:${http}/   and with HTTP/2  https://localhost:${tls}/ (development certificate)
  Interface   http://localhost:${http}/docs
  Subscribe   curl -N${bearer} '${events}?topic=demo.>'
  Publish     curl${bearer} -H 'Content-Type: application/json' -d '{"topic":"demo.hello","data":{"text":"hello"}}' ${events}

  make status · make logs · make down`)
}
