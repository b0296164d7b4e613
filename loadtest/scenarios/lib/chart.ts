import { shown } from './words.ts'

const width = 900
const height = 200
const left = 64
const bottom = 24
const top = 20
const colours = ['#0969da', '#cf222e', '#8250df', '#1a7f37']

/** A line per series over the run's seconds, as SVG. */
export function chart(seconds: number[], series: Record<string, number[]>, unit: string): string {
  const last = Math.max(1, seconds.at(-1) ?? 1)
  const most = niceAbove(Math.max(1, ...Object.values(series).map((values) => Math.max(0, ...values))))
  const x = (second: number) => left + (second / last) * (width - left - 8)
  const y = (value: number) => height - bottom - (value / most) * (height - bottom - top)
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = y(share * most).toFixed(1)
    return (
      `<line x1="${left}" x2="${width - 8}" y1="${at}" y2="${at}" stroke="#8885"/>` +
      `<text x="${left - 6}" y="${at}" dy="4" text-anchor="end">${shown(share * most)}</text>`
    )
  })
  const lines = Object.values(series).map((values, index) => {
    const points = values.map((value, i) => `${x(seconds[i] ?? 0).toFixed(1)},${y(value).toFixed(1)}`)
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${colours[index]}" stroke-width="1.5"/>`
  })
  const names = Object.keys(series).map(
    (name, index) =>
      `<text x="${left + index * 130}" y="12" fill="${colours[index]}" style="fill:${colours[index]}">${name}${unit && ` (${unit})`}</text>`,
  )
  const times = [0, 0.5, 1].map(
    (share) =>
      `<text x="${x(share * last).toFixed(1)}" y="${height - 6}" text-anchor="${share === 1 ? 'end' : 'middle'}">${Math.round(share * last)} s</text>`,
  )
  return `<svg viewBox="0 0 ${width} ${height}" font-size="11" fill="currentColor" role="img">${[...grid, ...lines, ...names, ...times].join('')}</svg>`
}

function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 4, 5, 8, 10].map((factor) => factor * power).find((bound) => bound >= value) ?? 10 * power
}
