import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { provideK6 } from './k6-program.ts'

/**
 * `make load`: runs a scenario of `loadtest/scenarios` and says where its report is. Settings are environment variables;
 * the scenario's header lists them. Further arguments go to k6.
 */
const root = join(import.meta.dirname, '..')
const scenarios = join(root, 'loadtest/scenarios')
const say = (text: string) => console.log(text)

async function run(): Promise<number> {
  const scenario = process.env.SCENARIO || 'smoke'
  const file = join(scenarios, `${scenario}.ts`)
  if (!existsSync(file)) {
    say(`There is no scenario '${scenario}'. There are: ${(await names()).join(', ')}.`)
    return 2
  }
  const k6 = await provideK6(say)
  const reports = 'loadtest/reports'
  await mkdir(join(root, reports), { recursive: true })
  warnOfDescriptors()
  const given = await givenSettings(file)
  const k6Settings = { K6_AUTO_EXTENSION_RESOLUTION: 'false', ...remoteWriteSettings() }
  const ownOfK6 = Object.keys({ ...process.env, ...k6Settings }).filter((key) => key.startsWith('K6_'))
  const [command, ...first] = k6.command([...given, ...ownOfK6]) as [string, ...string[]]
  const name = `${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}-${scenario}`
  const settings = { REPORT_DIR: reports, REPORT_NAME: name, REPORT_SETTINGS: given.join(',') }
  const result = await execa(
    command,
    [
      ...first,
      ...['run', '--no-usage-report', ...(process.stdout.isTTY ? [] : ['--quiet'])],
      ...Object.entries(settings).flatMap(([key, value]) => ['-e', `${key}=${value}`]),
      ...remoteWrite(),
      ...process.argv.slice(2),
      `loadtest/scenarios/${scenario}.ts`,
    ],
    {
      cwd: root,
      env: k6Settings,
      stdio: 'inherit',
      reject: false,
    },
  )
  if (existsSync(join(root, reports, `${name}.html`))) say(`\nreport: ${reports}/${name}.html`)
  return result.exitCode ?? 1
}

async function names(): Promise<string[]> {
  return (await readdir(scenarios))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.slice(0, -3))
    .sort()
}

/** Names of the settings that the scenario reads and that are given: its report shows them. */
async function givenSettings(file: string): Promise<string[]> {
  const files = [file, ...(await readdir(join(scenarios, 'lib'))).map((name) => join(scenarios, 'lib', name))]
  const texts = await Promise.all(files.map((path) => readFile(path, 'utf8')))
  const found = texts.flatMap((text) => [
    ...text.matchAll(/(?:number|share|text|duration)\('([A-Z0-9_]+)'|__ENV\.([A-Z0-9_]+)/g),
  ])
  return [...new Set(found.map((match) => (match[1] ?? match[2]) as string))].filter(
    (name) => process.env[name] && !name.startsWith('REPORT_'),
  )
}

const remoteWrite = () => (process.env.PROMETHEUS_URL ? ['-o', 'experimental-prometheus-rw'] : [])

/** k6 writes to Prometheus itself; it must accept that (`--web.enable-remote-write-receiver`). */
function remoteWriteSettings(): Record<string, string> {
  const url = process.env.PROMETHEUS_URL
  if (!url) return {}
  return {
    K6_PROMETHEUS_RW_SERVER_URL:
      new URL(url).pathname === '/' ? `${url.replace(/\/$/, '')}/api/v1/write` : url,
    K6_PROMETHEUS_RW_TREND_STATS: 'p(50),p(90),p(99),p(99.9),max',
  }
}

function warnOfDescriptors(): void {
  const wanted = Number(process.env.CONNECTIONS || 0) + 200
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }))
  if (wanted > limit)
    say(`This process may open ${limit} files, and needs ${wanted}: raise it with ulimit -n.`)
}

process.exitCode = await run().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})
