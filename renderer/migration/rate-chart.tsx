/**
 * The two rates that decide a move: what crosses the link, and what the guest changes meanwhile. uPlot draws
 * them; its colours are the page's tokens, so it is made anew when the theme changes.
 */
import { useEffect, useRef, useSyncExternalStore } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { formatBytes, formatDuration, formatRate } from '../../shared/format.ts'
import type { ProgressSample } from '../../shared/models/operation.ts'
import { chartColumns } from '../model/chart-columns.ts'
import { currentTheme, subscribeTheme } from '../state/theme.ts'

const heightPx = 220

export function RateChart({ samples }: { samples: readonly ProgressSample[] }) {
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const theme = useSyncExternalStore(subscribeTheme, currentTheme)
  const latest = useRef(samples)
  latest.current = samples
  useEffect(() => {
    const element = frame.current
    if (element === null) return
    const chart = new uPlot(chartOptions(element, theme), chartColumns(latest.current), element)
    plot.current = chart
    const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: heightPx }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      chart.destroy()
      plot.current = null
    }
  }, [theme])
  useEffect(() => plot.current?.setData(chartColumns(samples)), [samples])
  const last = samples.at(-1)
  return (
    <figure className="chart">
      <div ref={frame} aria-hidden />
      <figcaption className="chart__legend">
        <span className="chart__key chart__key--rate">
          rate {last === undefined ? '' : formatRate(last.rateBytesPerS)}
        </span>
        <span className="chart__key chart__key--dirty">
          dirty rate {last === undefined ? '' : formatRate(last.dirtyRateBytesPerS)}
        </span>
      </figcaption>
    </figure>
  )
}

/** @param theme only names why the colours may differ from last time */
function chartOptions(element: HTMLElement, theme: string): uPlot.Options {
  const style = getComputedStyle(element)
  const colour = (token: string): string => style.getPropertyValue(token).trim()
  const axis = {
    stroke: colour('--ink-2'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: element.clientWidth,
    height: heightPx,
    class: `chart__plot--${theme}`,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false }, y: { range: (_plot, _min, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [
      {
        ...axis,
        size: 30,
        values: (_plot, ticks) => ticks.map((tick) => (tick === 0 ? '0 s' : formatDuration(tick * 1000))),
      },
      { ...axis, size: 72, values: (_plot, ticks) => ticks.map((tick) => `${formatBytes(tick)}/s`) },
    ],
    series: [
      {},
      { stroke: colour('--accent'), width: 2, fill: colour('--accent-soft'), points: { show: false } },
      { stroke: colour('--warm'), width: 2, dash: [5, 4], points: { show: false } },
    ],
  }
}
