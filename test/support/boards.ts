import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Dashboard, Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard'

export const observability = join(import.meta.dirname, '../../deploy/observability')
const folder = join(observability, 'grafana/dashboards')

/** The committed boards, by file. */
export function committedBoards(): { file: string; board: Dashboard }[] {
  return readdirSync(folder).map((file) => ({
    file,
    board: JSON.parse(readFileSync(join(folder, file), 'utf8')) as Dashboard,
  }))
}

/** A board's panels without its rows. */
export function panelsOf(board: Dashboard): Panel[] {
  return (board.panels ?? []).filter((panel): panel is Panel => panel.type !== 'row')
}

export function rowsOf(board: Dashboard): RowPanel[] {
  return (board.panels ?? []).filter((panel): panel is RowPanel => panel.type === 'row')
}

/** PromQL of a panel's queries. */
export function queriesOf(panel: Panel): string[] {
  return (panel.targets ?? []).map((target) => (target as unknown as { expr: string }).expr)
}

/** The query as Grafana would send it with everything chosen. */
export function withVariables(expression: string, rateInterval: string): string {
  return expression
    .replaceAll('$__rate_interval', rateInterval)
    .replaceAll('$job', '.+')
    .replaceAll('$instance', '.+')
}

export function annotationQueries(board: Dashboard): string[] {
  return (board.annotations.list ?? []).map(({ expr = '' }) => expr)
}

/** PromQL of all runbooks. */
export function runbookQueries(): string[] {
  const runbooks = join(observability, '../../docs/runbooks')
  const texts = readdirSync(runbooks).map((file) => readFileSync(join(runbooks, file), 'utf8'))
  return texts.flatMap((text) =>
    [...text.matchAll(/```promql\n(.*?)\n```/gs)].map(([, query]) => query as string),
  )
}
