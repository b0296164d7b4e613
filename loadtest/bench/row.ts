import type { Bench } from './bench.ts'

/** One row of the table of goals. */
export interface Row {
  name: string
  /** What is done. */
  work: string
  /** What is to be reached. */
  goal: string
  /** How it is measured. */
  how: string
  run(bench: Bench): Promise<Outcome>
}

export interface Outcome {
  /** The figures that the goal is about, for people. */
  measured: string
  /** The same of nchan, where there is such a thing. */
  peer?: string | undefined
  /** The same of the bare write loop. */
  limit?: string | undefined
  /** Undefined when the goal could not be judged, such as without the peer that it names. */
  met: boolean | undefined
  /** Everything that was measured, for machines. */
  figures: Record<string, unknown>
}
