import { byId, count, element, prepend } from './ui.js'

const states = {
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  paused: 'Paused',
  refused: 'Refused',
}

const gapReasons = {
  expired: 'the events after this position are no longer kept; the stream goes on with the oldest one kept',
  reset: 'the log was created anew or rolled back; the stream goes on with the new log’s first event',
  ahead: 'the position lies ahead of the log; the stream goes on from now',
  malformed: 'the position could not be read; the stream goes on from now',
}

const mostGapsShown = 3

let shown

/** Shows a stream's state, position, count and gaps in the page's `#status`, instead of the one shown before. */
export function showStatus(stream) {
  const state = element('span', { class: 'state' })
  const position = element('code', { class: 'position' })
  const received = element('b')
  const gaps = element('b')
  const button = element('button', { type: 'button', class: 'quiet' })
  const gapList = element('ul', { class: 'gaps', role: 'alert' })
  button.addEventListener('click', () =>
    ['paused', 'refused'].includes(stream.state) ? stream.resume() : stream.pause(),
  )
  shown?.abort()
  shown = new AbortController()

  let told = 0
  const render = () => {
    scheduled = false
    state.textContent = states[stream.state]
    state.dataset.state = stream.state
    position.textContent = stream.position || 'none yet'
    received.textContent = count(stream.received)
    gaps.textContent = count(stream.gaps.length)
    gaps.classList.toggle('some', stream.gaps.length > 0)
    button.textContent =
      stream.state === 'paused' ? 'Resume' : stream.state === 'refused' ? 'Try again' : 'Pause'
    for (; told < stream.gaps.length; told++) prepend(gapList, gapNote(stream.gaps[told]), mostGapsShown)
    refusal.textContent = stream.state === 'refused' ? stream.refusal : ''
  }
  const refusal = element('p', { class: 'refusal', role: 'alert' })

  // A replay brings thousands of events at once; the eye needs one update a frame.
  let scheduled = false
  const schedule = () => {
    if (scheduled) return
    scheduled = true
    requestAnimationFrame(render)
  }
  stream.addEventListener('change', schedule, { signal: shown.signal })

  byId('status').replaceChildren(
    element(
      'div',
      { class: 'strip' },
      element('span', { role: 'status' }, state),
      element(
        'span',
        { class: 'topics' },
        element('span', { class: 'label' }, 'Topic'),
        element('code', {}, stream.topics.join(' ')),
      ),
      element('span', {}, element('span', { class: 'label' }, 'Position'), position),
      element('span', {}, element('span', { class: 'label' }, 'Received'), received),
      element('span', {}, element('span', { class: 'label' }, 'Gaps'), gaps),
      button,
    ),
    refusal,
    gapList,
  )
  render()
}

function gapNote({ requested, resumedAt, reason }) {
  return element(
    'li',
    { 'data-reason': reason },
    element('b', {}, `Gap (${reason})`),
    `: ${gapReasons[reason] ?? 'some events are missing'}. Asked for `,
    element('code', {}, requested ?? '?'),
    ', resumed at ',
    element('code', {}, resumedAt ?? '?'),
    '.',
  )
}
