const width = 120
const height = 32
const svg = (tag, attributes) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value))
  return made
}

/** A line of the last values. The number itself stands beside it, so it is hidden from screen readers. */
export class Sparkline {
  #values = []
  #most
  #fromZero
  #area = svg('path', { class: 'area' })
  #line = svg('path', { class: 'line', 'vector-effect': 'non-scaling-stroke' })

  /** `fromZero` keeps the zero in view, for amounts; without it only the range of the values shows, for prices. */
  constructor({ most = 60, fromZero = true } = {}) {
    this.#most = most
    this.#fromZero = fromZero
    this.node = svg('svg', {
      class: 'sparkline',
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: 'none',
      'aria-hidden': 'true',
    })
    this.node.append(this.#area, this.#line)
  }

  add(value) {
    this.#values.push(value)
    if (this.#values.length > this.#most) this.#values.shift()
    if (this.#values.length > 1) this.#draw()
  }

  #draw() {
    const low = Math.min(...this.#values, ...(this.#fromZero ? [0] : []))
    const high = Math.max(...this.#values)
    const range = high - low || 1
    const step = width / (this.#values.length - 1)
    const points = this.#values.map((value, index) => {
      const y = height - 2 - ((value - low) / range) * (height - 4)
      return `${(index * step).toFixed(1)},${y.toFixed(1)}`
    })
    this.#line.setAttribute('d', `M${points.join('L')}`)
    this.#area.setAttribute('d', `M0,${height}L${points.join('L')}L${width},${height}Z`)
  }
}
