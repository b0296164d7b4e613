import { showStatus } from './status.js'
import { EventStream } from './stream.js'
import { byId, day, element, flash, prepend } from './ui.js'

const list = byId('news')
const dots = byId('dots')
const mostNews = 30
const mostDots = 80

showStatus(
  new EventStream({
    topics: ['demo.news.>'],
    types: ['earthquake.reported'],
    onEvent({ data, fresh }) {
      const item = newsItem(data)
      prepend(list, item, mostNews)
      addDot(data, fresh)
      if (fresh) flash(item)
    },
  }),
)

function newsItem({ place, magnitude, depthKm, occurredAt, url }) {
  const happened = new Date(occurredAt)
  return element(
    'li',
    { class: 'news-item' },
    element('span', { class: `magnitude ${strength(magnitude)}`, title: 'Magnitude' }, magnitude.toFixed(1)),
    element(
      'div',
      {},
      element('h3', {}, webAddress(url) ? element('a', { href: url, rel: 'noreferrer' }, place) : place),
      element(
        'p',
        { class: 'muted' },
        `${strength(magnitude)} · ${Math.max(0, depthKm).toFixed(0)} km deep · recorded `,
        element('time', { datetime: occurredAt }, day(happened)),
      ),
    ),
  )
}

function strength(magnitude) {
  const shown = Number(magnitude.toFixed(1))
  return shown >= 4.5 ? 'strong' : shown >= 3 ? 'moderate' : 'light'
}

/** The map shows 85° north to 75° south, two units to a degree. */
function addDot({ longitude, latitude, magnitude }, fresh) {
  const dot = document.createElementNS('http://www.w3.org/2000/svg', 'circle')
  dot.setAttribute('cx', String((longitude + 180) * 2))
  dot.setAttribute('cy', String((85 - latitude) * 2))
  dot.setAttribute('r', String(3 + magnitude * 1.2))
  dot.setAttribute('class', `dot ${strength(magnitude)}${fresh ? ' fresh' : ''}`)
  dots.append(dot)
  if (dots.children.length > mostDots) dots.firstElementChild.remove()
}

/** An address from an event may be anything, `javascript:` too. */
function webAddress(url) {
  return URL.parse(url)?.protocol === 'https:'
}
