/**
 * Draws each board's grid, as Grafana would lay it out, to a picture: rows, panels, their titles, kinds, units and
 * series, red where a title does not fit. For looking at a layout without Grafana.
 *
 *   node deploy/observability/grafana/draw.ts [folder]   writes <board>.svg, into .run/boards unless told
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Dashboard, Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard'

type Drawn = Panel | RowPanel

const column = 50
const line = 30
const gap = 4
/** Of a bold letter of 13 pixels, on average. */
const letter = 6.8
const helpSign = 24
const colors: Record<string, string> = {
  ...{ green: '#73bf69', yellow: '#fade2a', orange: '#ff9830', red: '#f2495c', blue: '#5794f2' },
}

const escaped = (text: string) => text.replace(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)};`)
const text = (x: number, y: number, size: number, content: string, more = '') =>
  `<text x="${x}" y="${y}" font-size="${size}" ${more}>${escaped(content)}</text>`

/** The board as SVG: 24 columns of 50 pixels, as wide as Grafana's on a screen of 1,280. */
export function drawBoard(board: Dashboard): string {
  const panels = board.panels ?? []
  const bottom = Math.max(...panels.map(({ gridPos }) => (gridPos ? gridPos.y + gridPos.h : 0)))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${24 * column}" height="${(bottom + 1) * line}" font-family="sans-serif" fill="#d8d9da">`,
    '<rect width="100%" height="100%" fill="#111217"/>',
    text(gap, 20, 16, board.title ?? ''),
    ...panels.map(drawPanel),
    '</svg>\n',
  ].join('\n')
}

/** Whether Grafana shows the whole title, with the sign of its help beside it, on a screen of 1,280. */
export function titleFits({ title = '', gridPos }: Drawn): boolean {
  return !gridPos || title.length * letter + helpSign < gridPos.w * column - 2 * gap
}

const isRow = (panel: Drawn): panel is RowPanel => panel.type === 'row'

function drawPanel(panel: Drawn): string {
  const { x = 0, y = 0, w = 24, h = 1 } = panel.gridPos ?? {}
  const title = panel.title ?? ''
  const [left, top] = [x * column, (y + 1) * line]
  if (isRow(panel)) return text(left + gap, top + 20, 15, `▾ ${title}`)
  const [width, height] = [w * column - 2 * gap, h * line - 2 * gap]
  const { unit = '', thresholds } = panel.fieldConfig?.defaults ?? {}
  const legends = (panel.targets ?? []).map(
    (target) => (target as { legendFormat?: string }).legendFormat ?? '',
  )
  const steps = (thresholds?.steps ?? []).map(({ color, value }) => `${value ?? ''} ${color}`)
  return [
    `<rect x="${left + gap}" y="${top + gap}" width="${width}" height="${height}" rx="3" fill="#181b1f" stroke="${titleFits(panel) ? '#2c3235' : colors.red}"/>`,
    text(left + 3 * gap, top + 22, 13, title, 'font-weight="bold"'),
    text(left + 3 * gap, top + 42, 11, [panel.type, unit].filter(Boolean).join(' · '), 'fill="#8e8e8e"'),
    text(left + 3 * gap, top + 60, 11, legends.join(' · '), 'fill="#6ccf8e"'),
    ...steps.map((step, index) =>
      text(
        left + 3 * gap + 64 * index,
        top + 80,
        11,
        step,
        `fill="${colors[step.split(' ').at(-1) ?? ''] ?? '#d8d9da'}"`,
      ),
    ),
  ].join('\n')
}

if (import.meta.main) {
  const boards = join(import.meta.dirname, 'dashboards')
  const folder = resolve(process.argv[2] ?? join(import.meta.dirname, '../../../.run/boards'))
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(boards)) {
    const path = join(folder, name.replace(/\.json$/, '.svg'))
    writeFileSync(path, drawBoard(JSON.parse(readFileSync(join(boards, name), 'utf8'))))
    console.log(path)
  }
}
