/** Where multicast does not reach: ask who answers at an address. */
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { Button } from '../kit/button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { TextField } from '../kit/text-field.tsx'
import { useActions } from '../state/app-context.tsx'
import { usePending } from '../state/ui-store.ts'

export function AddByAddress() {
  const actions = useActions()
  const pending = usePending('connect')
  const [address, setAddress] = useState('')
  const [error, setError] = useState<ErrorShape | null>(null)
  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (address.trim() === '') return
    const failure = await actions.connect(address.trim())
    setError(failure)
    if (failure === null) setAddress('')
  }
  return (
    <form className="add-address" onSubmit={(event) => void submit(event)}>
      <TextField
        label="Add a PC by address"
        value={address}
        onChange={setAddress}
        placeholder="192.168.1.20 or 192.168.1.20:47315"
        maxLength={261}
        after={
          <Button type="submit" disabled={pending || address.trim() === ''}>
            {pending ? 'Asking …' : 'Add'}
          </Button>
        }
      />
      {error !== null && <ErrorNotice error={error} />}
    </form>
  )
}
