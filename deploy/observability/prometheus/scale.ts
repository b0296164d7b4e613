import { parse, stringify } from 'yaml'

interface RuleFile {
  groups: { name: string; rules: { expr: string; for?: string }[] }[]
}

/**
 * The same rules, `speed` times as fast: every window in square brackets and every `for` is divided by it, and
 * nothing else: thresholds and names stay. So at 60 what needs 10 minutes in production is seen in 10 s. The scrape
 * interval must shrink as well: each window still needs four samples or so.
 */
export function scaleRules(text: string, speed: number): string {
  if (speed === 1) return text
  const file = parse(text) as RuleFile
  for (const { rules } of file.groups) {
    for (const rule of rules) {
      rule.expr = rule.expr.replace(/\[(\w+)\]/g, (_, window: string) => `[${shorter(window, speed)}]`)
      if (rule.for !== undefined) rule.for = shorter(rule.for, speed)
    }
  }
  return stringify(file)
}

const units: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function shorter(duration: string, speed: number): string {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(duration) ?? []
  if (!count || !unit) throw new Error(`The rules have a duration that is not read here: ${duration}`)
  return `${Math.round((Number(count) * (units[unit] as number)) / speed)}ms`
}
