import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'

/** The server under measurement has core 0 for itself; everything else, JetStream too, is on core 1. */
export type Core = 0 | 1

export const canPin = (process.env.PATH ?? '')
  .split(delimiter)
  .some((folder) => existsSync(join(folder, 'taskset')))

export interface ChildOptions {
  name: string
  core: Core
  env?: Record<string, string | number>
}

const launch = (command: string, args: string[], env: Record<string, string>) =>
  execa(command, args, { env, buffer: false, reject: false, forceKillAfterDelay: false })

/** A process that this one has started, on a core of its own. It ends with this one at the latest. */
export class Child {
  readonly name: string
  private readonly process: ReturnType<typeof launch>
  private readonly lines: string[] = []
  private readonly listeners = new Set<() => void>()
  private output = ''
  private over = false
  /** Resolves when it is gone, however it ends. */
  readonly ended: Promise<void>

  constructor(command: string, args: string[], { name, core, env = {} }: ChildOptions) {
    this.name = name
    const [file, ...rest] = canPin ? ['taskset', '-c', String(core), command, ...args] : [command, ...args]
    this.process = launch(
      file as string,
      rest,
      Object.fromEntries(Object.entries(env).map(([key, value]) => [key, String(value)])),
    )
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
    })
    let unfinished = ''
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (unfinished + text).split('\n')
      unfinished = lines.pop() as string
      this.lines.push(...lines)
      for (const listener of this.listeners) listener()
    })
    this.ended = this.process.then(() => {
      this.over = true
      for (const listener of this.listeners) listener()
    })
  }

  get pid(): number {
    return this.process.pid as number
  }

  get alive(): boolean {
    return !this.over
  }

  /** Waits for a line of standard error that begins with `word`. @throws when the process ends without it. */
  async line(word: string): Promise<string> {
    return await new Promise((resolve, reject) => {
      const look = () => {
        const found = this.lines.find((line) => line.startsWith(word))
        if (found === undefined && !this.over) return
        this.listeners.delete(look)
        if (found === undefined) reject(new Error(`${this.name} ended before "${word}": ${this.said()}`))
        else resolve(found)
      }
      this.listeners.add(look)
      look()
    })
  }

  /** The JSON line that it prints at its end. @throws when there is none. */
  async result<Report>(): Promise<Report> {
    await this.ended
    const line = this.output.trim().split('\n').at(-1)
    try {
      return JSON.parse(line ?? '') as Report
    } catch {
      throw new Error(`${this.name} printed no result: ${this.said()}`)
    }
  }

  /** Ends it: SIGTERM, and SIGKILL when that does not help. */
  async stop(patienceMs = 5_000): Promise<void> {
    if (this.over) return
    this.process.kill('SIGTERM')
    const timer = setTimeout(() => this.process.kill('SIGKILL'), patienceMs)
    await this.ended
    clearTimeout(timer)
  }

  /** The end of what it has written, to go into an error. */
  said(): string {
    return `${this.output}\n${this.lines.slice(-10).join('\n')}`.trim().slice(-2_000)
  }
}
