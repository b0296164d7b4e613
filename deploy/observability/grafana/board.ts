import {
  AnnotationQueryBuilder,
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { datasource, type Panel } from './panel.ts'

/** A row of the board: a question, and the panels that answer it. */
export interface Section {
  title: string
  panels: Panel[]
}

export interface Board {
  /** Also the file's name. */
  uid: string
  title: string
  description: string
  sections: Section[]
  /** Series whose labels `job` and `instance` can be chosen from; none where there is nothing to choose. */
  choose?: string
}

const columns = 24
const tag = 'sse-cluster'
const everything = { text: 'All', value: '$__all' }

/** The board's JSON, as Grafana reads it. */
export function renderBoard(board: Board): string {
  return `${JSON.stringify(buildBoard(board), null, 2)}\n`
}

function buildBoard(board: Board): Dashboard {
  const builder = new DashboardBuilder(board.title)
    .uid(board.uid)
    .description(board.description)
    .tags([tag])
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: 'now-1h', to: 'now' })
    .refresh('10s')
    .readonly()
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .link(
      new DashboardLinkBuilder('Boards')
        .type(DashboardLinkType.Dashboards)
        .tags([tag])
        .tooltip('The other boards, for the same time and the same choice')
        .includeVars(true)
        .keepTime(true),
    )
  for (const annotation of annotations()) builder.annotation(annotation)
  if (board.choose) for (const variable of variables(board.choose)) builder.withVariable(variable)
  layOut(board.sections, builder)
  return builder.build()
}

/** Rows below each other; in a row panels from left to right, the next line begins below the tallest. */
function layOut(sections: Section[], builder: DashboardBuilder): void {
  let id = 0
  let y = 0
  for (const section of sections) {
    builder.withRow(new RowBuilder(section.title).id(++id).gridPos({ x: 0, y, w: columns, h: 1 }))
    y += 1
    let x = 0
    let tallest = 0
    for (const panel of section.panels) {
      if (x + panel.width > columns) {
        y += tallest
        x = 0
        tallest = 0
      }
      builder.withPanel(panel.build({ x, y, w: panel.width, h: panel.height }, ++id))
      x += panel.width
      tallest = Math.max(tallest, panel.height)
    }
    y += tallest
  }
}

function variables(series: string): QueryVariableBuilder[] {
  const variable = (name: string, label: string, query: string) =>
    new QueryVariableBuilder(name)
      .label(label)
      .datasource(datasource)
      .query(query)
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .sort(VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      .current(everything)
  return [
    variable('job', 'Job', `label_values(${series}, job)`),
    variable('instance', 'Instance', `label_values(${series}{job=~"$job"}, instance)`),
  ]
}

function annotations(): AnnotationQueryBuilder[] {
  const annotation = (name: string, color: string, expression: string) =>
    new AnnotationQueryBuilder()
      .name(name)
      .datasource(datasource)
      .enable(true)
      .iconColor(color)
      .expr(expression)
  return [
    // A deploy, or a restart: each start at its own time, with its version.
    annotation(
      'Starts',
      'blue',
      '1000 * process_start_time_seconds{job=~"gateway|publisher"} * on (job, instance) group_left (version) sse_build_info',
    )
      .useValueForTime(true)
      .titleFormat('{{job}} starts')
      .textFormat('{{instance}}, version {{version}}'),
    annotation(
      'Pages',
      'red',
      'max by (alertname) (ALERTS{alertstate="firing", severity="page", alertname=~"Sse.*"})',
    )
      .titleFormat('{{alertname}}')
      .textFormat('see docs/runbooks/{{alertname}}.md'),
  ]
}
