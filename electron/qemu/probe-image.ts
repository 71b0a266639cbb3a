/**
 * The smallest firmware that proves an accelerator: 64 KiB that QEMU maps where a PC's BIOS would be. From the
 * reset vector it goes through protected mode into long mode, multiplies two 64-bit numbers, moves them through
 * SSE registers, and on the right result ends QEMU through the isa-debug-exit device at port 0xf4. Some
 * virtual machines offer a KVM that runs BIOS code but hangs in 64-bit code: those give no sign.
 * Encodings: Intel SDM volume 2; entering long mode: volume 3, 10.8.5.
 */

/** isa-debug-exit turns a written v into the exit code (v << 1) | 1. */
export const probeExitCode = (0x2a << 1) | 1
export const probeDevice = 'isa-debug-exit,iobase=0xf4,iosize=0x01'

const imageBytes = 64 * 1024
/** Where the code stands in the image; the image is mapped at 0xf0000, that is segment f000. */
const codeOffset = 0x0000
const gdtOffset = 0x0800
const segmentBase = 0xf0000
/** Page tables in ordinary memory: one entry at each level, a page of 2 MiB mapped onto itself. */
const pml4 = 0x1000
const pdpt = 0x2000
const pageDirectory = 0x3000

const le16 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff]
const le32 = (value: number): number[] => [...le16(value & 0xffff), ...le16(value >>> 16)]

/** mov dword [address], value — 32-bit code. */
const store32 = (address: number, value: number): number[] => [0xc7, 0x05, ...le32(address), ...le32(value)]

/** 16-bit code: load the descriptor table, enter protected mode, jump to 32-bit code. */
function realModeCode(protectedAt: number): number[] {
  return [
    0xfa, // cli
    0xfc, // cld
    ...[0x2e, 0x66, 0x0f, 0x01, 0x16, ...le16(gdtOffset + 32)], // lgdt cs:[gdt pointer]
    ...[0x0f, 0x20, 0xc0], // mov eax, cr0
    ...[0x66, 0x83, 0xc8, 0x01], // or eax, 1: protection enable
    ...[0x0f, 0x22, 0xc0], // mov cr0, eax
    ...[0x66, 0xea, ...le32(segmentBase + protectedAt), ...le16(0x08)], // jmp 08:protected
  ]
}

/** 32-bit code: page tables, PAE and SSE on, long mode on, paging on, jump to 64-bit code. */
function protectedModeCode(longAt: number): number[] {
  return [
    ...[0x66, 0xb8, ...le16(0x10)], // mov ax, 10
    ...[0x8e, 0xd8], // mov ds, ax
    ...[0x8e, 0xd0], // mov ss, ax
    ...store32(pml4, pdpt | 3), // present, writable
    ...store32(pml4 + 4, 0),
    ...store32(pdpt, pageDirectory | 3),
    ...store32(pdpt + 4, 0),
    ...store32(pageDirectory, 0x83), // present, writable, 2 MiB
    ...store32(pageDirectory + 4, 0),
    ...[0x0f, 0x20, 0xe0], // mov eax, cr4
    ...[0x0d, ...le32(0x620)], // or eax, PAE | OSFXSR | OSXMMEXCPT
    ...[0x0f, 0x22, 0xe0], // mov cr4, eax
    ...[0xb8, ...le32(pml4)], // mov eax, pml4
    ...[0x0f, 0x22, 0xd8], // mov cr3, eax
    ...[0xb9, ...le32(0xc0000080)], // mov ecx, EFER
    ...[0x0f, 0x32], // rdmsr
    ...[0x0d, ...le32(0x100)], // or eax, LME
    ...[0x0f, 0x30], // wrmsr
    ...[0x0f, 0x20, 0xc0], // mov eax, cr0
    ...[0x0d, ...le32(0x80000002)], // or eax, PG | MP
    ...[0x83, 0xe0, 0xfb], // and eax, not EM
    ...[0x0f, 0x22, 0xc0], // mov cr0, eax
    ...[0xea, ...le32(segmentBase + longAt), ...le16(0x18)], // jmp 18:long
  ]
}

/** 64-bit code: 0x100000001 squared is 0x1_00000002_00000001; its low half goes through xmm0 and is compared. */
function longModeCode(): number[] {
  const factor = [...le32(1), ...le32(1)]
  const product = [...le32(1), ...le32(2)]
  const check = [
    ...[0x48, 0xb8, ...factor], // mov rax, 0x100000001
    ...[0x49, 0x89, 0xc0], // mov r8, rax
    ...[0x49, 0xf7, 0xe0], // mul r8
    ...[0x66, 0x48, 0x0f, 0x6e, 0xc0], // movq xmm0, rax
    ...[0x66, 0x49, 0x0f, 0x7e, 0xc1], // movq r9, xmm0
    ...[0x48, 0xbb, ...product], // mov rbx, 0x200000001
    ...[0x49, 0x39, 0xd9], // cmp r9, rbx
  ]
  const alive = [
    ...[0xb0, 0x2a], // mov al, 2a
    ...[0xe6, 0xf4], // out f4, al
  ]
  return [
    ...check,
    ...[0x75, alive.length], // jne hang
    ...alive,
    0xf4, // hang: hlt
    ...[0xeb, 0xfd], // jmp hang
  ]
}

/** Flat segments: nothing, 32-bit code, data, 64-bit code; then the table's own limit and address. */
function descriptorTable(): number[] {
  return [
    ...[0, 0, 0, 0, 0, 0, 0, 0],
    ...[0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0],
    ...[0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0],
    ...[0xff, 0xff, 0, 0, 0, 0x9b, 0xaf, 0],
    ...[...le16(31), ...le32(segmentBase + gdtOffset)],
  ]
}

/** The firmware image, to be given to QEMU as `-bios`. */
export function buildProbeImage(): Uint8Array {
  const image = new Uint8Array(imageBytes).fill(0xf4)
  const realBytes = realModeCode(0).length
  const protectedAt = codeOffset + realBytes
  const longAt = protectedAt + protectedModeCode(0).length
  const code = [...realModeCode(protectedAt), ...protectedModeCode(longAt), ...longModeCode()]
  image.set(code, codeOffset)
  image.set(descriptorTable(), gdtOffset)
  // The reset vector, 16 bytes below the end: jmp f000:code.
  image.set([0xea, ...le16(codeOffset), ...le16(0xf000)], imageBytes - 16)
  return image
}
