/**
 * What the host must offer to its faces, derived from the contract so that the two cannot drift apart. A
 * handler gets input that has been parsed and a signal that fires when the caller goes away; it throws coded
 * errors (`fail`). Relies on `contract.ts` only.
 */
import type { ContractProcedure, ErrorMap, InferSchemaInput, InferSchemaOutput, Meta } from '@orpc/contract'
import type { Contract } from './contract.ts'

/** What a handler knows about its caller. */
export interface CallContext {
  /** Fires when the caller cancels the call or its connection ends. */
  readonly signal: AbortSignal
}

/** A stream of events is returned as it is; everything else as a promise. */
type Answer<Output> = [Output] extends [AsyncIteratorObject<infer Event, unknown, void>]
  ? AsyncIterable<Event>
  : Promise<Output>

type Handlers<Node> =
  Node extends ContractProcedure<infer Input, infer Output, ErrorMap, Meta>
    ? (input: InferSchemaOutput<Input>, context: CallContext) => Answer<InferSchemaInput<Output>>
    : { readonly [Name in keyof Node]: Handlers<Node[Name]> }

/** One handler for each procedure of the contract. */
export type ContractHandlers = Handlers<Contract>
