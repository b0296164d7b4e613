import { readFileSync } from 'node:fs'

/**
 * The text of a recorded data set of the npm package vega-datasets (see DATA.md).
 *
 * @throws when the package is not installed or has no such file.
 */
export function readDataSet(name: string): string {
  // The package exports only its entry point, so its data is found from there.
  return readFileSync(new URL(`../data/${name}`, import.meta.resolve('vega-datasets')), 'utf8')
}
