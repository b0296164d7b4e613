import type { Child } from './child.ts'
import { cpuSeconds, forgetPeak, peakBytes, residentBytes } from './usage.ts'

/** A gateway or publisher under measurement. */
export class Service {
  readonly child: Child
  readonly port: number
  private readonly metricsPort: number

  constructor(child: Child, port: number, metricsPort: number) {
    this.child = child
    this.port = port
    this.metricsPort = metricsPort
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.child.pid
  }

  cpuSeconds(): number {
    return cpuSeconds(this.pid)
  }

  residentBytes(): number {
    return residentBytes(this.pid)
  }

  peakBytes(): number {
    return peakBytes(this.pid)
  }

  forgetPeak(): void {
    forgetPeak(this.pid)
  }

  /** The value of a metric, with its labels as they are written; 0 when it is not there. */
  async metric(series: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.metricsPort}/metrics`)).text()
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `))
    return line ? Number(line.slice(series.length + 1)) : 0
  }

  /** The id of the position at which a new stream begins, the log’s head; asked with `token` where one is needed. */
  async position(token = ''): Promise<string> {
    const gone = new AbortController()
    const response = await fetch(`http://${this.address}/v1/events?topic=none`, {
      signal: gone.signal,
      headers: token ? { authorization: `Bearer ${token}` } : {},
    })
    let text = ''
    for await (const piece of response.body as ReadableStream<Uint8Array>) {
      text += Buffer.from(piece).toString()
      if (text.includes('\n\n')) break
    }
    gone.abort()
    const id = /^id: (.*)$/m.exec(text)?.[1]
    if (!id) throw new Error(`The gateway's first block has no id: ${text}`)
    return id
  }
}
