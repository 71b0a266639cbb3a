/** The picture of the figure: bars on a logarithmic axis, a panel for each link, a group for each workload. Pure. */
import {
  type Axis,
  alongAxis,
  colours,
  decadesAround,
  pixels,
  secondsGrid,
  svgDocument,
} from '../lib/picture.ts'
import { type FigurePoint, figureBars } from './figure.ts'

interface Bar {
  name: string
  colour: string
  seconds: number | null
  /** Drawn hollow: it took longer. */
  isMore: boolean
}

const barColours = {
  plain: colours.theirs,
  zstd: colours.theirsToo,
  first: colours.ours,
  return: colours.oursAgain,
  warm: colours.oursWarm,
} as const

const bars = { width: 30, gap: 4 } as const
const groupGap = 26
const panel = { height: 250, left: 64, top: 44, gap: 64 } as const
const legendGap = 170
const bottomHeight = 66

/** @returns an SVG document */
export function figurePicture(points: readonly FigurePoint[]): string {
  const links = [...new Set(points.map(({ link }) => link))]
  const groups = points.map((point) => barsOf(point, isWarmMeasured(points)))
  const y = decadesAround(groups.flat().flatMap(({ seconds }) => seconds ?? []))
  const groupWidth = (groups[0]?.length ?? 0) * (bars.width + bars.gap)
  const perLink = Math.max(0, ...links.map((name) => points.filter(({ link }) => link === name).length))
  const panelWidth = perLink * (groupWidth + groupGap)
  const width = panel.left + links.length * (panelWidth + panel.gap)
  const height = panel.top + panel.height + bottomHeight
  const panels = links.map((name, at) => {
    const own = points.filter(({ link }) => link === name)
    const drawn = own.map((point, place) => {
      const group = groupOf(barsOf(point, isWarmMeasured(points)), y)
      return `<g transform="translate(${groupGap / 2 + place * (groupWidth + groupGap)} 0)">${group}${label(groupWidth / 2, point.workload)}</g>`
    })
    const left = panel.left + at * (panelWidth + panel.gap)
    const head = `<text x="0" y="-20" font-weight="600">${name}</text>`
    return `<g transform="translate(${left} ${panel.top})">${head}${secondsGrid(y, panelWidth, upOn(y))}${drawn.join('')}</g>`
  })
  const title =
    'How long a guest takes to another PC: the paper, QEMU in two ways, and ours on a first visit and back'
  return svgDocument({ width, height, title }, [...panels, legend(groups[0] ?? [], height - 14)])
}

/** Without a place for what was never measured. */
function isWarmMeasured(points: readonly FigurePoint[]): boolean {
  return points.some(({ warm }) => warm !== null)
}

function barsOf(point: FigurePoint, withWarm: boolean): Bar[] {
  const paper = { name: 'the paper', colour: colours.text, seconds: point.paperS, isMore: false }
  const measured = figureBars
    .filter(({ key }) => withWarm || key !== 'warm')
    .map(({ key, name }): Bar => {
      const { memoryS: seconds = null, isMore = false } = point[key] ?? {}
      return { name, colour: barColours[key], seconds, isMore }
    })
  return [paper, ...measured]
}

function upOn(y: Axis): (seconds: number) => number {
  return (seconds) => pixels((1 - alongAxis(seconds, y)) * panel.height)
}

function groupOf(own: readonly Bar[], y: Axis): string {
  const up = upOn(y)
  return own
    .map(({ colour, seconds, isMore }, at) => {
      if (seconds === null) return ''
      const left = at * (bars.width + bars.gap)
      const top = up(seconds)
      const fill = isMore ? 'none' : colour
      const shape = `<path d="M${left} ${panel.height}V${top}H${left + bars.width}V${panel.height}Z" fill="${fill}" stroke="${colour}"/>`
      const words = `${isMore ? '&gt; ' : ''}${shortSeconds(seconds)}`
      return `${shape}<text x="${left + bars.width / 2}" y="${top - 4}" text-anchor="middle" font-size="10">${words}</text>`
    })
    .join('')
}

function label(x: number, words: string): string {
  return `<text x="${x}" y="${panel.height + 18}" text-anchor="middle">${words}</text>`
}

function legend(own: readonly Bar[], y: number): string {
  const entries = own.map(({ name, colour }, at) => {
    const x = panel.left + at * legendGap
    return `<path d="M${x} ${y - 9}h10v10h-10Z" fill="${colour}"/><text x="${x + 16}" y="${y}">${name}</text>`
  })
  return entries.join('')
}

function shortSeconds(seconds: number): string {
  return seconds < 10 ? seconds.toFixed(1) : String(Math.round(seconds))
}
