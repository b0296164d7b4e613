import { byId, count, milliseconds } from './ui.js'

/** Growth is told of this time, which is also how far back the page asks for when it is opened. */
const windowMs = 10 * 60_000
/** Slower than this is not in time. */
const promiseMs = 1_000
/** The feed tells every 2 s (services/demo/demo.ts); after three times nothing its answers are no answers any more. */
const staleMs = 6_000
const readings = []
/** When the numbers shown are from, by this machine's steady clock. */
let shownAt

/** Sum of a number over the processes that answer; null when none does. */
export function sum(processes, name) {
  const values = of(processes, name)
  return values.length === 0 ? null : values.reduce((total, value) => total + value, 0)
}

/** The greatest over the processes that answer and have the number; null when none does. */
export function most(processes, name) {
  const values = of(processes, name)
  return values.length === 0 ? null : Math.max(...values)
}

function of(processes, name) {
  return processes.flatMap((process) => (process.up && process[name] != null ? [process[name]] : []))
}

/** A percentile of a process for a person; what lies beyond the last bucket is only known to be greater. */
export function percentile(value, beyond) {
  return (beyond ? '> ' : '') + milliseconds(value)
}

/** True where the greatest of a percentile lies beyond the last bucket. */
export function isBeyond(processes, name) {
  const value = most(processes, `${name}Ms`)
  return processes.some((process) => process.up && process[`${name}Beyond`] && process[`${name}Ms`] === value)
}

/** The three questions of whoever is called at night, answered in words, with a colour beside them. */
export function showAnswers(sample, nowMs) {
  // A page that was just opened is told of the last ten minutes first.
  shownAt = performance.now() - Math.max(0, Date.now() - nowMs)
  remember(sample, nowMs)
  showConnected(sample)
  showTimely(sample)
  showLost(sample)
}

setInterval(() => {
  const ageMs = performance.now() - shownAt
  if (!(ageMs > staleMs)) return
  const detail = `no numbers for ${count(Math.round(ageMs / 1000))} s`
  for (const name of ['connected', 'timely', 'lost'])
    answer(name, { state: 'unknown', verdict: 'Not known', detail })
}, 1_000)

function showConnected({ gateways, probers }) {
  const up = gateways.filter((gateway) => gateway.up).length
  const streams = count(sum(gateways, 'connections') ?? 0)
  const cut = probers.some((prober) => prober.up && !prober.connected)
  const verdict = up === 0 || cut ? 'No' : 'Yes'
  const probed = probers.some((prober) => prober.up)
    ? `the prober is ${cut ? 'cut off' : 'connected'}`
    : 'no prober tells'
  answer('connected', {
    state: verdict === 'No' ? 'bad' : up < gateways.length ? 'warn' : 'good',
    verdict,
    detail: `${streams} streams on ${up} of ${gateways.length} gateways; ${probed}`,
  })
}

function showTimely({ gateways, probers }) {
  const roundTrip = most(probers, 'roundTripP99Ms')
  const latency = roundTrip ?? most(gateways, 'latencyP99Ms')
  const beyond = roundTrip === null ? isBeyond(gateways, 'latencyP99') : isBeyond(probers, 'roundTripP99')
  const lag = most(gateways, 'tailLagEvents') ?? 0
  const late = latency !== null && (beyond || latency > promiseMs)
  answer('timely', {
    state: latency === null ? 'unknown' : late ? 'bad' : 'good',
    verdict: latency === null ? 'Not known' : late ? 'Late' : 'Yes',
    detail:
      latency === null
        ? 'nothing was measured in the last minute'
        : `${beyond ? 'more than 1 % take longer than' : '99 % within'} ${milliseconds(latency)} ${roundTrip === null ? 'of being stored' : 'of publishing, through the front door'}; the log is ${lag === 0 ? 'read to its end' : `${count(lag)} events ahead`}`,
  })
}

function showLost({ publishers }) {
  const [lost, duplicated, gaps] = ['lost', 'duplicated', 'gaps'].map(growth)
  const copies = most(publishers, 'replicas')
  const current = most(publishers, 'replicasCurrent')
  const thin = copies !== null && current < copies
  const wrong = lost + duplicated > 0
  answer('lost', {
    state: wrong ? 'bad' : gaps > 0 || thin ? 'warn' : 'good',
    verdict: wrong ? 'Yes' : 'Nothing',
    detail:
      `in 10 min: ${count(lost)} lost, ${count(duplicated)} twice, ${count(gaps)} gaps told` +
      (copies === null
        ? ''
        : `; ${current} of ${copies} ${copies === 1 ? 'copy' : 'copies'} of the log current`),
  })
}

function answer(name, { state, verdict, detail }) {
  const node = byId(`answer-${name}`)
  node.dataset.state = state
  node.querySelector('.verdict').textContent = verdict
  node.querySelector('.detail').textContent = detail
}

function remember({ gateways, probers }, atMs) {
  readings.push({
    atMs,
    lost: countersOf(probers, 'lost'),
    duplicated: countersOf(probers, 'duplicated'),
    gaps: countersOf(gateways, 'gaps'),
  })
  while (atMs - readings[0].atMs > windowMs) readings.shift()
}

function countersOf(processes, name) {
  return new Map(processes.filter(({ up }) => up).map((process) => [process.name, process[name] ?? 0]))
}

/** How much a counter has grown over the window, over all processes. One that fell counts from 0 again. */
function growth(name) {
  let grown = 0
  const last = new Map()
  for (const reading of readings) {
    for (const [process, value] of reading[name]) {
      const before = last.get(process)
      if (before !== undefined) grown += value >= before ? value - before : value
      last.set(process, value)
    }
  }
  return grown
}
