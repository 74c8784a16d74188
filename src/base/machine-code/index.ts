// Writes small static programs as machine code, which need nothing but a Linux kernel.
import { arm64Encoding } from "./arm64-encoding.ts";
import type { Encoding } from "./machine.ts";
import { x64Encoding } from "./x64-encoding.ts";

export { memoryBase, staticProgram } from "./static-program.ts";
export { inRegister, type Machine, type Register } from "./machine.ts";

/** How each processor encodes instructions, by Node's name for it. */
export const encodings: Readonly<Record<string, Encoding>> = { x64: x64Encoding, arm64: arm64Encoding };
