import { internalError } from "../../../base/index.ts";
import { readUnsigned, writeUnsigned } from "../../terms/leb128.ts";

export interface MeterExports {
  /** The number of loop iterations until the meter calls the function again. */
  readonly loopFuel: { value: number };
  /** The index of the function that the meter calls, in the module's table. */
  readonly loopSlot: { value: number };
}

const sections = { type: 1, global: 6, exports: 7, code: 10 } as const;
const headerBytes = 8;
const i32 = 0x7f;
const mutable = 1;
const globalKind = 3;

/**
 * Rewrites Lua's module so that it counts the iterations of all its loops. Each jump back to the beginning of a loop
 * takes one from a global, the fuel. When the fuel is below zero, the module calls a function of its table, whose index
 * is in another global. The function may add fuel, or throw. So a host can stop any function of the module, such as a
 * sort that takes hours.
 *
 * The function that interprets Lua's instructions stays as it is: Lua counts its iterations itself, for its hooks.
 */
export function meteredModule(code: Uint8Array): Uint8Array<ArrayBuffer> {
  const reader = new Reader(code, headerBytes, code.length);
  const parts: Uint8Array[] = [code.subarray(0, headerBytes)];
  const facts: Facts = { signatures: [], globals: 0 };
  while (!reader.isAtEnd) {
    const id = reader.byte();
    const content = reader.part(reader.number());
    parts.push(Uint8Array.of(id), sized(rewritten(id, content, facts)));
  }
  return new Uint8Array(Buffer.concat(parts));
}

interface Facts {
  /** The numbers of parameters and results of each type of functions. */
  signatures: readonly (readonly [parameters: number, results: number])[];
  globals: number;
}

function rewritten(id: number, content: Uint8Array, facts: Facts): Uint8Array {
  const reader = new Reader(content, 0, content.length);
  switch (id) {
    case sections.type:
      facts.signatures = reader.list(() => {
        reader.byte();
        return [reader.part(reader.number()).length, reader.part(reader.number()).length];
      });
      return content;
    case sections.global: {
      facts.globals = reader.number();
      const zero = [i32, mutable, 0x41, 0, 0x0b];
      return longer(content, [...zero, ...zero], 2);
    }
    case sections.exports: {
      const { globals } = facts;
      return longer(content, [...exported("loopFuel", globals), ...exported("loopSlot", globals + 1)], 2);
    }
    case sections.code: {
      const meter = meterOf(facts);
      const bodies = reader.list(() => sized(meteredBody(reader.part(reader.number()), meter)));
      return Buffer.concat([writeUnsigned(bodies.length), ...bodies]);
    }
    default:
      return content;
  }
}

function exported(name: string, index: number): number[] {
  return [name.length, ...Buffer.from(name), globalKind, ...writeUnsigned(index)];
}

/** Returns a section's content with `count` encoded entries added at its end. */
function longer(content: Uint8Array, entries: readonly number[], count: number): Uint8Array {
  const reader = new Reader(content, 0, content.length);
  const before = reader.number();
  return Buffer.concat([writeUnsigned(before + count), content.subarray(reader.at), Uint8Array.from(entries)]);
}

/** A function's body with the meter before each jump back to the beginning of a loop. */
function meteredBody(body: Uint8Array, meter: Uint8Array): Uint8Array {
  const reader = new Reader(body, 0, body.length);
  reader.list(() => {
    reader.number();
    reader.byte();
  });
  const parts: Uint8Array[] = [];
  /** The blocks around an instruction, from the outermost one to the innermost one, and whether they are loops. */
  const blocks: boolean[] = [false];
  const isBack = (depth: number): boolean => blocks[blocks.length - 1 - depth] === true;
  let from = 0;
  let isInterpreter = false;
  while (!reader.isAtEnd) {
    const at = reader.at;
    const instruction = reader.byte();
    if (instruction === opcodes.end) blocks.pop();
    if (instruction >= opcodes.block && instruction <= opcodes.if) blocks.push(instruction === opcodes.loop);
    const targets = targetsOf(reader, instruction);
    if (targets.length === instructionsOfLua) isInterpreter = true;
    if (!targets.some(isBack)) continue;
    parts.push(body.subarray(from, at));
    from = at;
    if (instruction === opcodes.branchIf) {
      // The meter must not count the jumps that are not taken: most loops end in their first iteration.
      const [depth = 0] = targets;
      parts.push(
        Uint8Array.of(opcodes.if, 0x40),
        meter,
        Uint8Array.of(opcodes.branch, ...writeUnsigned(depth + 1), opcodes.end),
      );
      from = reader.at;
    } else parts.push(meter);
  }
  parts.push(body.subarray(from));
  return isInterpreter ? body : Buffer.concat(parts);
}

/** The blocks to which an instruction may jump, counted from the innermost one. Reads the rest of the instruction. */
function targetsOf(reader: Reader, instruction: number): number[] {
  switch (instruction) {
    case opcodes.branch:
    case opcodes.branchIf:
      return [reader.number()];
    case opcodes.branchTable:
      return [...reader.list(() => reader.number()), reader.number()];
    default:
      skipImmediates(reader, instruction);
      return [];
  }
}

function meterOf({ signatures, globals }: Facts): Uint8Array {
  const noneToNone = signatures.findIndex(([parameters, results]) => parameters + results === 0);
  const [fuel, slot] = [writeUnsigned(globals), writeUnsigned(globals + 1)];
  const decrement = [0x23, ...fuel, 0x41, 1, 0x6b, 0x24, ...fuel];
  const ifNegative = [0x23, ...fuel, 0x41, 0, 0x48, 0x04, 0x40];
  const call = [0x23, ...slot, 0x11, ...writeUnsigned(noneToNone), 0, 0x0b];
  return Uint8Array.from([...decrement, ...ifNegative, ...call]);
}

/**
 * The number of targets, with the default, of the jump table by which Lua's interpreter chooses an instruction. The
 * function with such a table is the interpreter, which counts its iterations itself.
 */
const instructionsOfLua = 39;

const opcodes = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  branch: 0x0c,
  branchIf: 0x0d,
  branchTable: 0x0e,
  callIndirect: 0x11,
  prefix: 0xfc,
} as const;

/** The number of LEB128 numbers after an instruction, for instructions that have any, as ranges. */
const numbersAfter: readonly (readonly [first: number, last: number, count: number])[] = [
  [opcodes.block, opcodes.if, 1],
  [0x10, 0x10, 1],
  [opcodes.callIndirect, opcodes.callIndirect, 2],
  [0x20, 0x26, 1],
  [0x28, 0x3e, 2],
  [0x3f, 0x42, 1],
];
const floatBytes: Readonly<Record<number, number>> = { 0x43: 4, 0x44: 8 };
const lastPlain = 0xc4;
/** The number of LEB128 numbers after each instruction of the prefix. */
const afterPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1];

function skipImmediates(reader: Reader, instruction: number): void {
  if (instruction === opcodes.prefix) {
    const count = afterPrefix[reader.number()];
    if (count === undefined) throw unexpected("an unknown instruction");
    reader.skip(count);
  } else if (instruction > lastPlain) throw unexpected("an unknown instruction");
  else if (floatBytes[instruction] !== undefined) reader.part(floatBytes[instruction]);
  else reader.skip(numbersAfter.find(([first, last]) => first <= instruction && instruction <= last)?.[2] ?? 0);
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  at: number;

  constructor(bytes: Uint8Array, from: number, end: number) {
    this.#bytes = bytes;
    this.at = from;
    this.#end = end;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#end;
  }

  byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined || this.isAtEnd) throw unexpected("an early end");
    this.at += 1;
    return byte;
  }

  part(length: number): Uint8Array {
    const from = this.at;
    this.at += length;
    if (this.at > this.#end) throw unexpected("an early end");
    return this.#bytes.subarray(from, this.at);
  }

  number(): number {
    const read = readUnsigned(this.#bytes, this.at);
    if (read === undefined || read.next > this.#end) throw unexpected("an early end");
    this.at = read.next;
    return read.value;
  }

  list<Item>(read: (index: number) => Item): Item[] {
    return Array.from({ length: this.number() }, (_, index) => read(index));
  }

  /** Skips LEB128 numbers of any kind. */
  skip(count: number): void {
    for (let rest = count; rest > 0;) if (this.byte() < 0x80) rest -= 1;
  }
}

function sized(content: Uint8Array): Uint8Array {
  return Buffer.concat([writeUnsigned(content.length), content]);
}

function unexpected(what: string): Error {
  return internalError("lua-failed", `the interpreter's module has ${what}`);
}
