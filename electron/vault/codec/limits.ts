/**
 * How large things may be (FORMAT.md, "Manifest", "Limits"). A reader refuses what is larger before it reserves
 * memory for it. Relies on nothing.
 */
export const limits = {
  /** Pages of one region: 1 TiB. */
  regionPages: 2 ** 28,
  regions: 64,
  packs: 2 ** 20,
  /** A pack and the objects of the index. */
  packBytes: 16 * 1024 ** 2,
  /** A manifest before compression, and as it lies in the store. */
  manifestBytes: 64 * 1024 ** 2,
  headBytes: 1024 ** 2,
  summaryBytes: 8 * 1024 ** 2,
  /** Labels, intents, `verified/`: a few lines of JSON. */
  smallBytes: 64 * 1024,
  /** A list of packs to free. */
  proposalBytes: 2 * 16 * 2 ** 20 + 32,
  warmBytes: 16 * 1024 ** 2,
} as const
