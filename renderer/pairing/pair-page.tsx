/** A pairing by its address, for links and notifications. */
import { Empty, Page } from '../kit/page.tsx'
import { useHost } from '../state/app-context.tsx'
import { PairingPanel } from './pairing-panel.tsx'

export function PairPage({ id }: { id: string }) {
  const pairing = useHost((state) => state.pairings.find((each) => each.id === id))
  return (
    <Page title="Pairing">
      {pairing === undefined ? (
        <Empty title="This pairing has ended">
          <p>The desk shows whether the two PCs are paired.</p>
        </Empty>
      ) : (
        <PairingPanel pairing={pairing} />
      )}
    </Page>
  )
}
