/** Buttons and links that look like buttons. One `primary` at a place; `quiet` for everything beside it. */
import type { ComponentProps, ReactNode } from 'react'

export type ButtonLook = 'primary' | 'plain' | 'quiet' | 'danger'

interface ButtonProps extends ComponentProps<'button'> {
  look?: ButtonLook
  small?: boolean
  icon?: ReactNode
}

export function buttonClass(look: ButtonLook = 'plain', small = false): string {
  return `btn btn--${look}${small ? ' btn--small' : ''}`
}

export function Button({ look = 'plain', small = false, icon, className, children, ...rest }: ButtonProps) {
  return (
    <button type="button" className={`${buttonClass(look, small)} ${className ?? ''}`} {...rest}>
      {icon}
      {children}
    </button>
  )
}

interface IconButtonProps extends ComponentProps<'button'> {
  label: string
}

/** A button with a picture only; its label is for screen readers and as a hint. */
export function IconButton({ label, className, children, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={`icon-btn ${className ?? ''}`}
      {...rest}
    >
      {children}
    </button>
  )
}
