import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { writePrometheusConfig } from '../observability/prometheus/render.ts'
import { type ClusterSettings, clusterPorts, type LocalProcess } from './cluster.ts'
import { onPath, ownTools } from './tools.ts'

// Prometheus beside the local cluster, and the exporter of Nginx's counters, where they can be had. The cluster does
// not need them.

export interface MonitoringTools {
  prometheus: string | undefined
  nginxExporter: string | undefined
}

const prometheusModule = 'github.com/prometheus/prometheus/cmd/prometheus@v0.316.0'
/** Of 3.16's kinds of service discovery none is needed here; without them it builds in minutes, not in many. */
const goTags = 'remove_all_sd'

/** What is on this machine; nothing with MONITORING=0. */
export function findMonitoring(environment: Record<string, string>): MonitoringTools {
  if (environment.MONITORING === '0') return { prometheus: undefined, nginxExporter: undefined }
  return {
    prometheus: onPath('prometheus', [ownTools]),
    // The project's name for it, and Debian's.
    nginxExporter: onPath('nginx-prometheus-exporter', [ownTools]) ?? onPath('prometheus-nginx-exporter'),
  }
}

/**
 * Installs what is missing where that takes seconds (apt-get as root, as with Nginx), with MONITORING=install by Go too,
 * and says in one line what is not to be had. Never fails.
 */
async function provideMonitoring(
  environment: Record<string, string>,
  say: (text: string) => void,
): Promise<MonitoringTools> {
  if (environment.MONITORING === '0') return findMonitoring(environment)
  await installWithApt(environment, say)
  if (environment.MONITORING === 'install') await installWithGo(environment, say)
  const found = findMonitoring(environment)
  if (!found.prometheus)
    say(
      'No Prometheus: put it on PATH, or `make up MONITORING=install` has Go make it. The cluster goes on without.',
    )
  else if (!found.nginxExporter)
    say('No nginx-prometheus-exporter: Nginx’s own counters are missing in Prometheus.')
  return found
}

/** Debian's packages start services of their own, on their usual ports; those are not wanted. */
async function installWithApt(
  environment: Record<string, string>,
  say: (text: string) => void,
): Promise<void> {
  const { prometheus, nginxExporter } = findMonitoring(environment)
  const missing = [
    ...(prometheus ? [] : ['prometheus']),
    ...(nginxExporter ? [] : ['prometheus-nginx-exporter']),
  ]
  if (missing.length === 0 || process.getuid?.() !== 0 || !onPath('apt-get')) return
  say(`installing ${missing.join(' and ')} with apt-get (once; MONITORING=0 does without)`)
  const apt = async (...args: string[]) =>
    await execa('apt-get', args, { env: { DEBIAN_FRONTEND: 'noninteractive' }, reject: false })
  await apt('update')
  await apt('install', '-y', '--no-install-recommends', ...missing)
  for (const name of missing) await execa('service', [name, 'stop'], { reject: false })
}

async function installWithGo(
  environment: Record<string, string>,
  say: (text: string) => void,
): Promise<void> {
  const go = onPath('go', ['/usr/local/go/bin'])
  if (findMonitoring(environment).prometheus || !go) return
  say(`installing Prometheus with \`go install ${prometheusModule}\` into .tools/bin (some minutes, once)`)
  const result = await execa(go, ['install', '-tags', goTags, prometheusModule], {
    env: { GOBIN: ownTools },
    reject: false,
    all: true,
  })
  if (result.failed) say(`that failed: ${String(result.all).split('\n').slice(-3).join('\n')}`)
}

/**
 * Looks for Prometheus and writes its configuration for this cluster. That the configuration is there is what says,
 * from then on, that it runs: a later `make up` may find other programs.
 */
export async function prepareMonitoring(
  settings: ClusterSettings,
  cluster: LocalProcess[],
  say: (text: string) => void,
): Promise<void> {
  const { prometheus, nginxExporter } = await provideMonitoring(settings.environment, say)
  rmSync(configFile(settings), { force: true })
  if (!prometheus) return
  const ports = clusterPorts(settings)
  const at = (port: number) => `127.0.0.1:${port}`
  const runs = (name: string) => cluster.some((process) => process.name === name)
  writePrometheusConfig(dirname(configFile(settings)), {
    // Shorter than in production, so that a look at it while trying something shows it.
    scrapeIntervalMs: 5_000,
    targets: {
      gateway: ports.gateways.map(({ metrics }) => at(metrics)),
      publisher: [at(ports.publisher.metrics)],
      prober: runs('prober') ? [at(ports.proberMetrics)] : [],
      demo: runs('demo') ? [at(ports.demoMetrics)] : [],
      nginx: nginxExporter ? [at(ports.nginxExporter)] : [],
      prometheus: [at(ports.prometheus)],
    },
  })
}

/** Prometheus and the exporter as processes of the cluster, those that there are. */
export function monitoringProcesses(settings: ClusterSettings): LocalProcess[] {
  const { runDir, environment } = settings
  const { prometheus, nginxExporter } = findMonitoring({ ...environment, MONITORING: '' })
  if (!prometheus || !existsSync(configFile(settings))) return []
  const ports = clusterPorts(settings)
  const common = { env: environment, stopStage: 6, stopTimeoutMs: 10_000 }
  return [
    ...(nginxExporter ? [exporter(nginxExporter)] : []),
    {
      ...common,
      name: 'prometheus',
      command: prometheus,
      args: [
        `--config.file=${configFile(settings)}`,
        `--storage.tsdb.path=${join(runDir, 'prometheus/data')}`,
        // A look back over a working day or two; this is a machine for development.
        '--storage.tsdb.retention.time=2d',
        // The load test writes what k6 measures.
        '--web.enable-remote-write-receiver',
        `--web.listen-address=127.0.0.1:${ports.prometheus}`,
      ],
      ports: { [ports.prometheus]: 'HTTP' },
      readyUrl: `http://127.0.0.1:${ports.prometheus}/-/ready`,
    },
  ]

  function exporter(command: string): LocalProcess {
    return {
      ...common,
      name: 'nginx-exporter',
      command,
      args: [
        `--nginx.scrape-uri=http://127.0.0.1:${ports.nginxStatus}/status`,
        `--web.listen-address=127.0.0.1:${ports.nginxExporter}`,
      ],
      ports: { [ports.nginxExporter]: 'metrics' },
      readyUrl: `http://127.0.0.1:${ports.nginxExporter}/metrics`,
    }
  }
}

const configFile = (settings: ClusterSettings) => join(settings.runDir, 'prometheus/prometheus.yaml')
