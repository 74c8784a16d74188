// Writes small static programs in machine code. They need nothing but a Linux kernel.
import { arm64Encoding } from "./arm64-encoding.ts";
import type { Encoding } from "./machine.ts";
import { x64Encoding } from "./x64-encoding.ts";

export { memoryBase, staticProgram } from "./static-program.ts";
export { inRegister, type Machine, type Register } from "./machine.ts";

/** Keyed by Node's name for the processor. */
export const encodings: Readonly<Record<string, Encoding>> = { x64: x64Encoding, arm64: arm64Encoding };
