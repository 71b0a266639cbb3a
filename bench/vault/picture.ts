/** The picture of the downtimes: both axes logarithmic, one panel for each link. Pure. */
import {
  type Axis,
  alongAxis,
  colours,
  decadesAround,
  pixels,
  secondsGrid,
  svgDocument,
} from '../lib/picture.ts'
import type { BenchRow } from '../lib/report.ts'

export interface DowntimePoint {
  link: string
  megabytes: number
  oursS: number
  stopAndCopyS: number
  isComputed: boolean
}

/** Of the figures' rows. */
export function pointsOf(rows: readonly BenchRow[]): DowntimePoint[] {
  return rows.flatMap(({ link, load, ours, peer, peerName }) => {
    if (link === null || load === null || ours === null || peer === null) return []
    const isComputed = peerName?.includes('from its') === true
    return [{ link, megabytes: Number.parseFloat(load), oursS: ours, stopAndCopyS: peer, isComputed }]
  })
}

const panel = { width: 340, height: 250, left: 64, top: 44, gap: 40 } as const
const bottomHeight = 76
/** @returns an SVG document */
export function downtimePicture(points: readonly DowntimePoint[]): string {
  const names = [...new Set(points.map(({ link }) => link))]
  const sizes = [...new Set(points.map(({ megabytes }) => megabytes))].toSorted((a, b) => a - b)
  const x = { from: (sizes[0] ?? 1) * 0.8, to: (sizes.at(-1) ?? 10) * 1.25 }
  const y = decadesAround(points.flatMap(({ oursS, stopAndCopyS }) => [oursS, stopAndCopyS]))
  const width = panel.left + names.length * (panel.width + panel.gap)
  const height = panel.top + panel.height + bottomHeight
  const panels = names.map((name, at) => {
    const own = points.filter(({ link }) => link === name).toSorted((a, b) => a.megabytes - b.megabytes)
    const left = panel.left + at * (panel.width + panel.gap)
    return `<g transform="translate(${left} ${panel.top})">${panelOf(name, own, sizes, { x, y })}</g>`
  })
  const title = 'For how long a guest stands still while its state is kept, against what it has in memory'
  return svgDocument({ width, height, title }, [...panels, legend(height - 18)])
}

function panelOf(
  name: string,
  points: readonly DowntimePoint[],
  sizes: readonly number[],
  { x, y }: { x: Axis; y: Axis },
): string {
  const across = (megabytes: number): number => pixels(alongAxis(megabytes, x) * panel.width)
  const up = (seconds: number): number => pixels((1 - alongAxis(seconds, y)) * panel.height)
  const labels = sizes.map(
    (megabytes) =>
      `<text x="${across(megabytes)}" y="${panel.height + 18}" text-anchor="middle">${megabytes}</text>`,
  )
  const curve = (colour: string, value: (point: DowntimePoint) => number): string => {
    const spots = points.map((point) => `${across(point.megabytes)} ${up(value(point))}`)
    return `<path d="M${spots.join('L')}" fill="none" stroke="${colour}" stroke-width="2"/>`
  }
  const dots = points.flatMap((point) => [
    dot(across(point.megabytes), up(point.oursS), colours.ours, true),
    dot(across(point.megabytes), up(point.stopAndCopyS), colours.theirs, !point.isComputed),
  ])
  return [
    `<text x="0" y="-16" font-weight="600">${name}</text>`,
    secondsGrid(y, panel.width, up),
    ...labels,
    `<text x="${panel.width / 2}" y="${panel.height + 36}" text-anchor="middle">MB in memory besides Linux itself</text>`,
    curve(colours.theirs, ({ stopAndCopyS }) => stopAndCopyS),
    curve(colours.ours, ({ oursS }) => oursS),
    ...dots,
  ].join('')
}

/** Hollow where it was computed. */
function dot(x: number, y: number, colour: string, isMeasured: boolean): string {
  const fill = isMeasured ? colour : 'none'
  return `<circle cx="${x}" cy="${y}" r="4" fill="${fill}" stroke="${colour}" stroke-width="2"/>`
}

function legend(y: number): string {
  const entry = (x: number, colour: string, words: string, isMeasured: boolean): string =>
    `${dot(x, y - 4, colour, isMeasured)}<text x="${x + 10}" y="${y}">${words}</text>`
  return [
    entry(panel.left, colours.ours, 'our checkpoint', true),
    entry(panel.left + 130, colours.theirs, 'stop and copy', true),
    entry(panel.left + 260, colours.theirs, 'stop and copy, from its measured rate', false),
  ].join('')
}
