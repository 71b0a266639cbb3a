/**
 * Buttons and links that look like buttons. One `primary` at a place; `quiet` for everything beside it. A disabled one can
 * still have the focus, so that a keyboard is not sent away from the button whose work it waits for.
 */
import type { ComponentProps, MouseEvent, ReactNode } from 'react'

export type ButtonLook = 'primary' | 'plain' | 'quiet' | 'danger'

interface ButtonProps extends ComponentProps<'button'> {
  look?: ButtonLook
  small?: boolean
  icon?: ReactNode
}

export function buttonClass(look: ButtonLook = 'plain', small = false): string {
  return `btn btn--${look}${small ? ' btn--small' : ''}`
}

export function Button({ look = 'plain', small = false, icon, className, children, ...props }: ButtonProps) {
  const { disabled = false, onClick, ...rest } = props
  return (
    <button
      type="button"
      className={`${buttonClass(look, small)} ${className ?? ''}`}
      aria-disabled={disabled || undefined}
      onClick={disabled ? refuse : onClick}
      {...rest}
    >
      {icon}
      {children}
    </button>
  )
}

/** Nor does it send its form. */
function refuse(event: MouseEvent): void {
  event.preventDefault()
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
