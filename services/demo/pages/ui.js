/** Small helpers of all pages. Data reaches the document only as text and attributes, never as markup. */

/** Makes an element; `className` and other attributes from `attributes`, children are nodes or text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, '')
    else if (value !== false && value != null) made.setAttribute(name, String(value))
  }
  made.append(
    ...children
      .filter((child) => child != null)
      .map((child) => (child instanceof Node ? child : String(child))),
  )
  return made
}

// On a narrow screen the navigation scrolls; the page's own link must be in sight.
document.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })

export const byId = (id) => document.getElementById(id)

/** Puts `item` on top of `list`, takes away the note that it is empty, and lets go of what is more than `most`. */
export function prepend(list, item, most) {
  if (list.previousElementSibling?.matches('.empty')) list.previousElementSibling.remove()
  list.prepend(item)
  while (list.children.length > most) list.lastElementChild.remove()
}

/** Lights an element up once, when what it shows has just happened. */
export function flash(target) {
  target.classList.remove('fresh')
  // Reading a size restarts the animation of an element that is still alight.
  void target.offsetWidth
  target.classList.add('fresh')
}

const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })
const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const numberFormat = new Intl.NumberFormat()

/** A `<time>` that shows the time of day. */
export function clock(time) {
  return element('time', { datetime: time.toISOString() }, clockFormat.format(time))
}

export const day = (time) => dayFormat.format(time)
export const count = (value) => numberFormat.format(value)

/** A duration for a person. */
export function milliseconds(value) {
  return value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value.toFixed(value < 10 ? 1 : 0)} ms`
}

export function money(cents, currency) {
  return new Intl.NumberFormat(undefined, { style: 'currency', currency }).format(cents / 100)
}
