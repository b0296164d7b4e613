import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { scaleRules } from './scale.ts'

export interface RenderOptions {
  /** Job to addresses, `127.0.0.1:9101`; a job without one is left out. */
  targets: Record<string, string[]>
  scrapeIntervalMs: number
  /** Rules run this many times as fast; for tests that can't wait (scale.ts). 1 unless told. */
  speed?: number
}

interface Config {
  global: Record<string, unknown>
  rule_files: string[]
  scrape_configs: { job_name: string; [key: string]: unknown }[]
}

/** Writes prometheus.yaml and the rules for these targets into `folder`. @returns the path of the former. */
export function writePrometheusConfig(folder: string, options: RenderOptions): string {
  const { targets, scrapeIntervalMs, speed = 1 } = options
  const here = import.meta.dirname
  const rules = join(folder, 'rules')
  mkdirSync(rules, { recursive: true })
  for (const file of readdirSync(join(here, 'rules'))) {
    writeFileSync(join(rules, file), scaleRules(readFileSync(join(here, 'rules', file), 'utf8'), speed))
  }
  const config = parse(readFileSync(join(here, 'prometheus.yaml'), 'utf8')) as Config
  const interval = `${scrapeIntervalMs}ms`
  config.global = { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval }
  config.rule_files = [join(rules, '*.yaml')]
  const jobs = new Map(config.scrape_configs.map((job) => [job.job_name, job]))
  config.scrape_configs = Object.entries(targets)
    .filter(([, addresses]) => addresses.length > 0)
    .map(([name, addresses]) => {
      const { dns_sd_configs: _, ...job } = jobs.get(name) ?? { job_name: name }
      return { ...job, job_name: name, static_configs: [{ targets: addresses }] }
    })
  const path = join(folder, 'prometheus.yaml')
  writeFileSync(path, stringify(config))
  return path
}
