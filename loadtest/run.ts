import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { execa } from 'execa'
import { descriptorsMissing } from './descriptors.ts'
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
    say(`There is no scenario '${scenario}'. There are: ${(await scenarioNames()).join(', ')}.`)
    return 2
  }
  const k6 = await provideK6(say)
  // A container has limits of its own.
  const missing = k6.how === 'go' ? await descriptorsMissing(settingsOfThisProcess()) : undefined
  if (missing) {
    say(missing)
    return 2
  }
  const reports = 'loadtest/reports'
  await mkdir(join(root, reports), { recursive: true })
  const given = await givenSettings(file)
  const k6Settings = { K6_AUTO_EXTENSION_RESOLUTION: 'false', ...remoteWriteSettings() }
  const ownOfK6 = Object.keys({ ...process.env, ...k6Settings }).filter((key) => key.startsWith('K6_'))
  // k6 would look for it beside the script.
  const tokensFile = process.env.TOKENS_FILE ? resolve(process.env.TOKENS_FILE) : undefined
  const names = [...given, ...ownOfK6]
  const [command, ...first] = k6.command(names, tokensFile) as [string, ...string[]]
  let name = `${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}-${scenario}`
  // Runners of one test may begin in the same second.
  if (Number(process.env.RUNNERS) > 1) name += `-${process.pid}`
  const settings = { REPORT_DIR: reports, REPORT_NAME: name, REPORT_SETTINGS: given.join(',') }
  const { exitCode } = await execa(
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
      env: { ...k6Settings, ...(tokensFile && { TOKENS_FILE: tokensFile }) },
      stdio: 'inherit',
      reject: false,
    },
  )
  if (existsSync(join(root, reports, `${name}.html`))) say(`\nreport: ${reports}/${name}.html`)
  return exitCode ?? 1
}

async function scenarioNames(): Promise<string[]> {
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

/** Only with an execution segment is this process one runner of several; else it has the parts of all. */
function settingsOfThisProcess(): Record<string, string | undefined> {
  const isPart = process.argv.some((argument) => argument.startsWith('--execution-segment'))
  return { ...process.env, RUNNERS: isPart ? process.env.RUNNERS : '1' }
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

process.exitCode = await run().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})
