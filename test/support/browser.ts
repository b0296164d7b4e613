import { type Browser, chromium } from 'playwright-core'
import { findChromium, howToGetChromium } from '../../deploy/local/chromium.ts'

/** True when browser tests can run; says once on standard error why not. */
export function haveBrowser(): boolean {
  if (findChromium()) return true
  console.warn(`There is no Chromium: what needs it is skipped. ${howToGetChromium}`)
  return false
}

// A test browser talks to nobody but the page: no updates, no sync, no QUIC to guess at.
const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
]

/** Starts the installed Chromium. @throws when there is none. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = findChromium()
  if (!executablePath) throw new Error(`There is no Chromium. ${howToGetChromium}`)
  return await chromium.launch({ executablePath, args: flags })
}
