/** The frame of every view but the desk: a way back, a title, and what belongs beside it. */
import { ArrowLeft } from 'lucide-react'
import type { ReactNode } from 'react'
import { useTitle } from '../state/title.ts'

interface PageProps {
  title: string
  /** Shown beside the title. */
  aside?: ReactNode
  subtitle?: ReactNode
  wide?: boolean
  /** Where the way back leads, if not to the desk. */
  back?: { href: string; name: string }
  children: ReactNode
}

const desk = { href: '#/', name: 'Desk' }

export function Page({ title, aside, subtitle, wide = false, back = desk, children }: PageProps) {
  useTitle(title)
  return (
    <main className={wide ? 'page page--wide' : 'page'} aria-label={title}>
      <a className="page__back" href={back.href}>
        <ArrowLeft size={16} aria-hidden /> {back.name}
      </a>
      <header className="page__head">
        <div>
          <h1>{title}</h1>
          {subtitle}
        </div>
        <div className="page__aside">{aside}</div>
      </header>
      {children}
    </main>
  )
}

/** Pairs of a word and its value. */
export function Facts({ rows }: { rows: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="facts">
      {rows.map(([name, value]) => (
        <div key={name} className="facts__row">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="section" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  )
}

export function Empty({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty__title">{title}</p>
      <div className="empty__text">{children}</div>
    </div>
  )
}
