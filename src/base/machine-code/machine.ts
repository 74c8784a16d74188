import { internalError } from "../index.ts";

/** One of six registers, which system calls preserve. */
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

export type Operand = number | { readonly register: Register } | { readonly address: string };

export const inRegister = (register: Register): { readonly register: Register } => ({ register });

/** A jump compares signed numbers. */
export type Condition = "equal" | "unequal" | "less" | "lessOrEqual";

/**
 * How one processor encodes the few instructions that programs need. An instruction's encoding has the same length
 * whatever the addresses are.
 */
export interface Encoding {
  readonly elfMachine: number;
  stackPointer(to: Register): Uint8Array;
  /** Sets a 32-bit number. The upper bits become zero. */
  set(to: Register, value: number): Uint8Array;
  copy(to: Register, from: Register): Uint8Array;
  /** Adds a number from -4095 to 4095. */
  addNumber(to: Register, value: number): Uint8Array;
  add(to: Register, from: Register): Uint8Array;
  subtract(to: Register, from: Register): Uint8Array;
  /** Loads one, four or eight bytes. The upper bits become zero. `offset` must be a multiple of the size. */
  load(to: Register, base: Register, offset: number, size: 1 | 4 | 8): Uint8Array;
  storeByte(from: Register, base: Register): Uint8Array;
  compare(left: Register, right: Register): Uint8Array;
  compareNumber(left: Register, right: number): Uint8Array;
  /** `distance` counts from this instruction's first byte. */
  jump(distance: number): Uint8Array;
  jumpIf(condition: Condition, distance: number): Uint8Array;
  setArgument(index: number, value: number): Uint8Array;
  copyArgument(index: number, from: Register): Uint8Array;
  systemCall(call: SystemCall): Uint8Array;
  systemCallOf(number: Register): Uint8Array;
  copyResult(to: Register): Uint8Array;
}

/** One instruction. It is encoded after all labels have addresses. */
type Instruction = (own: number, placeOf: (label: string) => number) => Uint8Array;

/** Collects a program's instructions and constants, and assigns addresses. */
export class Machine {
  readonly #encoding: Encoding;
  readonly #base: number;
  /** Labels of memory outside the file, which have given addresses. */
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
  /** Makes a system call. Its result is in `to`. A negative result is an errno. */
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

  /** Sets an argument for the next {@link systemOf}. Between the two, only instructions that load or add may follow. */
  argument(index: number, from: Register): void {
    this.#emit(() => this.#encoding.copyArgument(index, from));
  }
  /** Makes the system call whose number a register holds. Its result is in `to`. A negative result is an errno. */
  systemOf(to: Register, number: Register): void {
    this.#emit(() => this.#encoding.systemCallOf(number));
    this.#emit(() => this.#encoding.copyResult(to));
  }

  assemble(): Uint8Array {
    const places = new Map(this.#fixed);
    let end = this.#base;
    for (const { label, instruction } of this.#code) {
      if (label !== undefined) places.set(label, end);
      // An instruction's length does not depend on addresses, so any do here.
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
      if (place === undefined) throw internalError("unexpected", `the program has no label ${label}`);
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
