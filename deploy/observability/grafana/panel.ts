import { PanelBuilder as BarGauge } from '@grafana/grafana-foundation-sdk/bargauge'
import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizOrientation,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import {
  type GridPos,
  MappingType,
  type Panel as PanelModel,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as Text, TextMode } from '@grafana/grafana-foundation-sdk/text'
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries'

/** The kinds of panel that the boards are made of, each with the same look everywhere. */

/** What every board's queries go to: its variable `datasource`. */
export const datasource = { type: 'prometheus', uid: '$datasource' }

/** Width and height in Grafana's grid of 24 columns. */
export interface Panel {
  width: number
  height: number
  build(position: GridPos, id: number): Builder<PanelModel>
}

/** The colour from a value on; the first has none, since it is the base. */
type Step = ['green' | 'yellow' | 'orange' | 'red' | 'blue', number?]

interface Look {
  title: string
  /** One or two sentences for who has never seen the panel: what it shows, what is normal, what to do. */
  help: string
  unit: 's' | 'short' | 'percentunit' | 'eps' | 'cps' | 'reqps' | 'bytes' | 'binBps' | 'dtdurations'
  /** PromQL and the name of its series; one without a name is named by its labels. */
  queries: [expression: string, legend?: string][]
  steps?: Step[]
  width?: number
  height?: number
  decimals?: number
  min?: number
  max?: number
}

const thresholds = (steps: Step[] = [['green']]) =>
  new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(steps.map(([color, from], index) => ({ color, value: index === 0 ? null : (from ?? null) })))

const targets = (queries: Look['queries'], instant = false) =>
  queries.map(([expression, legend], index) => {
    const query = new DataqueryBuilder()
      .datasource(datasource)
      .refId(String.fromCharCode(65 + index))
      .expr(expression)
      .legendFormat(legend ?? '__auto')
    return instant ? query.instant() : query.range()
  })

/** One figure, with its colour. `words` shows text instead of a number, `empty` where there is none. */
export function stat(look: Look & { words?: Record<string, string>; empty?: string }): Panel {
  return {
    width: look.width ?? 4,
    height: look.height ?? 4,
    build(position, id) {
      const panel = new Stat()
        .id(id)
        .title(look.title)
        .description(look.help)
        .datasource(datasource)
        .gridPos(position)
        .unit(look.unit)
        .thresholds(thresholds(look.steps))
        .colorMode(BigValueColorMode.Background)
        .graphMode(BigValueGraphMode.None)
        .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
        .targets(targets(look.queries, true))
      if (look.decimals !== undefined) panel.decimals(look.decimals)
      if (look.empty) panel.noValue(look.empty)
      if (look.words) {
        const options = Object.entries(look.words).map(([value, text]) => [value, { text }] as const)
        panel.mappings([{ type: MappingType.ValueToText, options: Object.fromEntries(options) }])
      }
      return panel
    },
  }
}

/** Figures side by side against what they may become at most. */
export function bars(look: Look): Panel {
  return {
    width: look.width ?? 8,
    height: look.height ?? 7,
    build: (position, id) =>
      new BarGauge()
        .id(id)
        .title(look.title)
        .description(look.help)
        .datasource(datasource)
        .gridPos(position)
        .unit(look.unit)
        .min(look.min ?? 0)
        .max(look.max ?? 1)
        .thresholds(thresholds(look.steps))
        .orientation(VizOrientation.Horizontal)
        .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
        .targets(targets(look.queries, true)),
  }
}

/** Lines over time. */
export function lines(look: Look & { stacked?: boolean }): Panel {
  return {
    width: look.width ?? 8,
    height: look.height ?? 7,
    build(position, id) {
      const panel = new TimeSeries()
        .id(id)
        .title(look.title)
        .description(look.help)
        .datasource(datasource)
        .gridPos(position)
        .unit(look.unit)
        .min(look.min ?? 0)
        .thresholds(thresholds(look.steps))
        .lineWidth(1)
        .fillOpacity(look.stacked ? 40 : 8)
        .legend(
          new VizLegendOptionsBuilder()
            .showLegend(true)
            .displayMode(LegendDisplayMode.List)
            .placement(LegendPlacement.Bottom),
        )
        .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
        .targets(targets(look.queries))
      if (look.steps)
        panel.thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed))
      if (look.max !== undefined) panel.max(look.max)
      if (look.decimals !== undefined) panel.decimals(look.decimals)
      if (look.stacked) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal))
      return panel
    },
  }
}

/** Words, in Markdown. */
export function text(look: {
  title: string
  help: string
  content: string
  width: number
  height: number
}): Panel {
  return {
    width: look.width,
    height: look.height,
    build: (position, id) =>
      new Text()
        .id(id)
        .title(look.title)
        .description(look.help)
        .gridPos(position)
        .mode(TextMode.Markdown)
        .content(look.content),
  }
}
