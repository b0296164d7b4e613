/**
 * Writes the boards as Grafana reads them.
 *
 *   node deploy/observability/grafana/generate.ts          writes dashboards/*.json
 *   node deploy/observability/grafana/generate.ts --check  fails when they no longer fit the code
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderBoard } from './board.ts'
import { boards } from './boards.ts'

const folder = join(import.meta.dirname, 'dashboards')
const files = new Map(boards.map((board) => [`${board.uid}.json`, renderBoard(board)]))
const left = readdirSync(folder).filter((name) => !files.has(name))

if (process.argv.includes('--check')) {
  const stale = [...files].filter(([name, text]) => {
    const path = join(folder, name)
    return !existsSync(path) || readFileSync(path, 'utf8') !== text
  })
  const faults = [...stale.map(([name]) => name), ...left]
  for (const name of faults) console.error(`dashboards/${name} is out of date: run \`npm run dashboards\``)
  if (faults.length > 0) process.exit(1)
  console.log('dashboards fit the code')
} else {
  for (const name of left) rmSync(join(folder, name))
  for (const [name, text] of files) writeFileSync(join(folder, name), text)
}
