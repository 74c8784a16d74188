import { internalError } from "../../base/index.ts";

/** Six registers that system calls leave alone. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5;

export type SystemCall =
  | "read"
  | "write"
  | "close"
  | "nanosleep"
  | "socket"
  | "connect"
  | "sendto"
  | "shutdown"
  | "setsockopt"
  | "exit_group";

/** A number, what a register holds, or where a label's bytes are. */
export type Operand = number | { readonly register: Register } | { readonly address: string };

/** The condition of a jump, of signed numbers. */
export type Condition = "equal" | "unequal" | "less" | "lessOrEqual";

/** How one processor writes the few instructions that the program is made of. Each has a fixed length, whatever it names. */
export interface Encoding {
  /** The ELF header's number of the processor. */
  readonly elfMachine: number;
  stackPointer(to: Register): Uint8Array;
  /** A 32-bit number, the rest zero. */
  set(to: Register, value: number): Uint8Array;
  copy(to: Register, from: Register): Uint8Array;
  /** -4095 to 4095. */
  addNumber(to: Register, value: number): Uint8Array;
  add(to: Register, from: Register): Uint8Array;
  subtract(to: Register, from: Register): Uint8Array;
  /** One, four or eight bytes, the rest zero; the offset is a multiple of the size. */
  load(to: Register, base: Register, offset: number, size: 1 | 4 | 8): Uint8Array;
  storeByte(from: Register, base: Register): Uint8Array;
  compare(left: Register, right: Register): Uint8Array;
  compareNumber(left: Register, right: number): Uint8Array;
  /** `distance` is from this instruction's first byte. */
  jump(distance: number): Uint8Array;
  jumpIf(condition: Condition, distance: number): Uint8Array;
  setArgument(index: number, value: number): Uint8Array;
  copyArgument(index: number, from: Register): Uint8Array;
  systemCall(call: SystemCall): Uint8Array;
  copyResult(to: Register): Uint8Array;
}

/** One instruction, written once all labels have their places. */
type Instruction = (own: number, placeOf: (label: string) => number) => Uint8Array;

/** Collects a program's instructions and its constant bytes, and places them. */
export class Machine {
  readonly #encoding: Encoding;
  readonly #base: number;
  /** Places that are fixed before: those of memory that is no part of the file. */
  readonly #fixed: ReadonlyMap<string, number>;
  readonly #code: { readonly label?: string; readonly instruction?: Instruction }[] = [];
  readonly #constants: { readonly label: string; readonly bytes: Uint8Array }[] = [];

  constructor(encoding: Encoding, base: number, fixed: ReadonlyMap<string, number>) {
    this.#encoding = encoding;
    this.#base = base;
    this.#fixed = fixed;
  }

  label(label: string): void {
    this.#code.push({ label });
  }
  /** Bytes that the program reads. */
  constant(label: string, bytes: Uint8Array): void {
    this.#constants.push({ label, bytes });
  }

  stackPointer(to: Register): void {
    this.#emit(() => this.#encoding.stackPointer(to));
  }
  set(to: Register, value: number | { readonly address: string }): void {
    this.#emit((_own, placeOf) => this.#encoding.set(to, typeof value === "number" ? value : placeOf(value.address)));
  }
  copy(to: Register, from: Register): void {
    this.#emit(() => this.#encoding.copy(to, from));
  }
  add(to: Register, value: number | { readonly register: Register }): void {
    this.#emit(() =>
      typeof value === "number" ? this.#encoding.addNumber(to, value) : this.#encoding.add(to, value.register),
    );
  }
  subtract(to: Register, from: Register): void {
    this.#emit(() => this.#encoding.subtract(to, from));
  }
  load(to: Register, base: Register, offset: number, size: 1 | 4 | 8): void {
    this.#emit(() => this.#encoding.load(to, base, offset, size));
  }
  storeByte(from: Register, base: Register): void {
    this.#emit(() => this.#encoding.storeByte(from, base));
  }
  jump(label: string): void {
    this.#emit((own, placeOf) => this.#encoding.jump(placeOf(label) - own));
  }
  jumpIf(left: Register, condition: Condition, right: number | { readonly register: Register }, label: string): void {
    this.#emit(() =>
      typeof right === "number"
        ? this.#encoding.compareNumber(left, right)
        : this.#encoding.compare(left, right.register),
    );
    this.#emit((own, placeOf) => this.#encoding.jumpIf(condition, placeOf(label) - own));
  }
  /** A result below zero is an errno. */
  system(to: Register, call: SystemCall, ...operands: readonly Operand[]): void {
    for (const [index, operand] of operands.entries()) {
      this.#emit((_own, placeOf) => {
        if (typeof operand === "number") return this.#encoding.setArgument(index, operand);
        if ("register" in operand) return this.#encoding.copyArgument(index, operand.register);
        return this.#encoding.setArgument(index, placeOf(operand.address));
      });
    }
    this.#emit(() => this.#encoding.systemCall(call));
    this.#emit(() => this.#encoding.copyResult(to));
  }

  /** The program's bytes, which shall lie at the base address. */
  assemble(): Uint8Array {
    const places = new Map(this.#fixed);
    let end = this.#base;
    for (const { label, instruction } of this.#code) {
      if (label !== undefined) places.set(label, end);
      // Its length does not depend on where anything is.
      if (instruction !== undefined) end += instruction(0, () => 0).length;
    }
    for (const { label, bytes } of this.#constants) {
      end = (end + 7) & ~7;
      places.set(label, end);
      end += bytes.length;
    }
    const image = new Uint8Array(end - this.#base);
    const placeOf = (label: string): number => {
      const place = places.get(label);
      if (place === undefined) throw internalError("label-unknown", `the plugin program has no label ${label}`);
      return place;
    };
    let own = this.#base;
    for (const { instruction } of this.#code) {
      if (instruction === undefined) continue;
      const bytes = instruction(own, placeOf);
      image.set(bytes, own - this.#base);
      own += bytes.length;
    }
    for (const { label, bytes } of this.#constants) image.set(bytes, placeOf(label) - this.#base);
    return image;
  }

  #emit(instruction: Instruction): void {
    this.#code.push({ instruction });
  }
}
