import { Machine, type Encoding } from "./machine.ts";

/** The address at which the kernel loads the file. It is below 2 GiB, so that addresses are 32-bit numbers. */
const imageBase = 0x40_0000;
/** The address of memory that is not in the file, and zero at the start. */
export const memoryBase = 0x1000_0000;
const headerBytes = 64 + 3 * 56;

const entryAddress = imageBase + headerBytes;

const loadSegment = 1;
const stackSegment = 0x6474_e551;
const executable = 1;
const writable = 2;
const readable = 4;
/** The largest page size of arm64. Segments begin at multiples of it. */
const alignment = 0x1_0000;

export interface ProgramMemory {
  readonly bytes: number;
  readonly labels: ReadonlyMap<string, number>;
}

/** A static executable with the instructions and constants that `write` adds. */
export function staticProgram(
  encoding: Encoding,
  memory: ProgramMemory,
  write: (machine: Machine) => void,
): Uint8Array {
  const machine = new Machine(encoding, entryAddress, memory.labels);
  write(machine);
  return elfProgram(encoding.elfMachine, machine.assemble(), memory.bytes);
}

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly address: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
}

/** The ELF file of a program. Code and constants are not writable, and memory and stack are not executable. */
function elfProgram(machine: number, image: Uint8Array, memoryBytes: number): Uint8Array {
  const file = new Uint8Array(headerBytes + image.length);
  const view = new DataView(file.buffer);
  // The ELF magic, 64 bits, little-endian, version 1.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setUint32(24, entryAddress, true);
  view.setUint32(32, 64, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 3, true);
  const segments: readonly Segment[] = [
    {
      type: loadSegment,
      flags: readable | executable,
      address: imageBase,
      fileBytes: file.length,
      memoryBytes: file.length,
    },
    { type: loadSegment, flags: readable | writable, address: memoryBase, fileBytes: 0, memoryBytes },
    { type: stackSegment, flags: readable | writable, address: 0, fileBytes: 0, memoryBytes: 0 },
  ];
  for (const [index, { type, flags, address, fileBytes, memoryBytes: size }] of segments.entries()) {
    const at = 64 + index * 56;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    view.setUint32(at + 16, address, true);
    view.setUint32(at + 24, address, true);
    view.setUint32(at + 32, fileBytes, true);
    view.setUint32(at + 40, size, true);
    view.setUint32(at + 48, alignment, true);
  }
  file.set(image, headerBytes);
  return file;
}
