/** Something that wants a person, calmly: in the flow of the page, and not an error. */
import { Info } from 'lucide-react'
import type { ReactNode } from 'react'

interface NoticeProps {
  title: string
  children?: ReactNode
}

export function Notice({ title, children }: NoticeProps) {
  return (
    <section className="notice notice--calm" aria-label={title}>
      <Info aria-hidden size={18} />
      <div className="notice__body">
        <p className="notice__title">{title}</p>
        {children}
      </div>
    </section>
  )
}
