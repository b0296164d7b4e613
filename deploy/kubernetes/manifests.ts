/**
 * Writes what is made from the chart and for it; `make manifests`.
 *
 *   node deploy/kubernetes/manifests.ts          writes
 *   node deploy/kubernetes/manifests.ts --check  fails when something is out of date
 *
 * Without helm the rendered manifests are left as they are, and the check says that it skips them.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { findHelm } from './helm.ts'
import { chartReadme } from './readme.ts'
import { valuesSchema } from './schema.ts'

const root = join(import.meta.dirname, '../..')
const chart = join(root, 'deploy/helm/sse-cluster')
const copies = { 'files/rules': 'prometheus/rules', 'files/dashboards': 'grafana/dashboards' }

/** Path below the repository's root and wanted text of every file that is made. */
async function wanted(helm: string | undefined): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  const put = (path: string, text: string) => files.set(path.slice(root.length + 1), text)
  put(join(chart, 'values.schema.json'), `${JSON.stringify(valuesSchema, null, 2)}\n`)
  put(join(chart, 'README.md'), chartReadme(readFileSync(join(chart, 'values.yaml'), 'utf8')))
  // Helm reads nothing outside the chart.
  for (const [to, from] of Object.entries(copies)) {
    const folder = join(root, 'deploy/observability', from)
    for (const name of existsSync(folder) ? readdirSync(folder).filter(isCopied) : [])
      put(join(chart, to, name), readFileSync(join(folder, name), 'utf8'))
  }
  if (helm) put(join(root, 'deploy/kubernetes/base/sse-cluster.yaml'), await render(helm))
  return files
}

const isCopied = (name: string) => /\.(yaml|json)$/.test(name)

async function render(helm: string): Promise<string> {
  const values = join(root, 'deploy/kubernetes/values.yaml')
  const { stdout } = await execa(helm, ['template', 'sse-cluster', chart, '--values', values, '--skip-tests'])
  const text = stdout
    .replaceAll('app.kubernetes.io/managed-by: Helm', 'app.kubernetes.io/managed-by: kubectl')
    .replaceAll(/^# Source: .*\n/gm, '')
    .replaceAll(/^ +helm\.sh\/chart: .*\n/gm, '')
    .replaceAll(/[ \t]+$/gm, '')
  return `# Made from deploy/helm/sse-cluster and deploy/kubernetes/values.yaml by \`make manifests\`. Change them, or overlay this.\n${text}\n`
}

/** Copies whose original is gone. */
function leftovers(files: Map<string, string>): string[] {
  return Object.keys(copies)
    .map((to) => join(chart, to))
    .filter(existsSync)
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name).slice(root.length + 1)))
    .filter((path) => !files.has(path))
}

const helm = await findHelm()
const check = process.argv.includes('--check')
// What the templates read must be there before they are rendered.
if (!check) for (const [path, text] of await wanted(undefined)) write(path, text)
const files = await wanted(helm)
if (!helm) console.log('skipped: deploy/kubernetes/base, since helm is not installed')

if (check) {
  const stale = [...files]
    .filter(
      ([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text,
    )
    .map(([path]) => path)
  for (const path of [...stale, ...leftovers(files)])
    console.error(`${path} is out of date: run \`make manifests\``)
  if (stale.length > 0 || leftovers(files).length > 0) process.exitCode = 1
  else console.log('manifests fit the chart')
} else {
  for (const path of leftovers(files)) rmSync(join(root, path))
  for (const [path, text] of files) write(path, text)
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}
