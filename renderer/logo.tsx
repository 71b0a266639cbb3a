/** The mark: a screen that leaves one desk and lands on another. */
export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden>
      <rect className="logo__ground" x="1" y="1" width="30" height="30" rx="8" />
      <rect className="logo__ghost" x="5.5" y="11" width="9" height="8" rx="1.6" />
      <rect className="logo__screen" x="14.5" y="7.5" width="12" height="10.5" rx="1.8" />
      <path className="logo__screen" d="M20.5 18v3" />
      <path className="logo__board" d="M4.5 21.5h23" />
      <path className="logo__board" d="M7.5 21.5v4M24.5 21.5v4" />
    </svg>
  )
}
