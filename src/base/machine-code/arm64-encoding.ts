import { invariant } from "../index.ts";
import type { Condition, Encoding, Register, SystemCall } from "./machine.ts";

/** The number of the first of our six registers, x19 to x24. System calls preserve them. */
const firstRegister = 19;
const scratch = 9;
const systemCallRegister = 8;
const zero = 31;
const maxImmediate = 4095;

const systemCalls: Readonly<Record<SystemCall, number>> = {
  close: 57,
  read: 63,
  write: 64,
  exit_group: 94,
  nanosleep: 101,
  socket: 198,
  connect: 203,
  sendto: 206,
  setsockopt: 208,
  shutdown: 210,
};

const conditionCodes: Readonly<Record<Condition, number>> = { equal: 0x0, unequal: 0x1, less: 0xb, lessOrEqual: 0xd };

function words(...instructions: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, instruction] of instructions.entries()) view.setUint32(index * 4, instruction >>> 0, true);
  return bytes;
}

const number = (register: Register): number => firstRegister + register;

function setNumber(register: number, value: number): readonly [number, number] {
  const [low, high] = [value & 0xffff, (value >>> 16) & 0xffff];
  return [0xd280_0000 | (low << 5) | register, 0xf2a0_0000 | (high << 5) | register];
}

function copyRegister(to: number, from: number): number {
  return 0xaa00_03e0 | (from << 16) | to;
}

function compareRegisters(left: number, right: number): number {
  return 0xeb00_0000 | (right << 16) | (left << 5) | zero;
}

const loads = { 1: 0x3940_0000, 4: 0xb940_0000, 8: 0xf940_0000 } as const;

export const arm64Encoding: Encoding = {
  elfMachine: 183,
  stackPointer: (to) => words(0x9100_03e0 | number(to)),
  set: (to, value) => words(...setNumber(number(to), value)),
  copy: (to, from) => words(copyRegister(number(to), number(from))),
  addNumber: (to, value) => {
    invariant(Math.abs(value) <= maxImmediate, "a number to add has at most twelve bits");
    const opcode = value < 0 ? 0xd100_0000 : 0x9100_0000;
    return words(opcode | (Math.abs(value) << 10) | (number(to) << 5) | number(to));
  },
  add: (to, from) => words(0x8b00_0000 | (number(from) << 16) | (number(to) << 5) | number(to)),
  subtract: (to, from) => words(0xcb00_0000 | (number(from) << 16) | (number(to) << 5) | number(to)),
  load: (to, base, offset, size) => {
    invariant(offset % size === 0, "an offset is a multiple of what is loaded");
    return words(loads[size] | ((offset / size) << 10) | (number(base) << 5) | number(to));
  },
  storeByte: (from, base) => words(0x3900_0000 | (number(base) << 5) | number(from)),
  compare: (left, right) => words(compareRegisters(number(left), number(right))),
  compareNumber: (left, right) => words(...setNumber(scratch, right), compareRegisters(number(left), scratch)),
  jump: (distance) => words(0x1400_0000 | ((distance >> 2) & 0x3ff_ffff)),
  jumpIf: (condition, distance) => words(0x5400_0000 | (((distance >> 2) & 0x7_ffff) << 5) | conditionCodes[condition]),
  setArgument: (index, value) => words(...setNumber(index, value)),
  copyArgument: (index, from) => words(copyRegister(index, number(from))),
  systemCall: (call) => words(...setNumber(systemCallRegister, systemCalls[call]), 0xd400_0001),
  systemCallOf: (register) => words(copyRegister(systemCallRegister, number(register)), 0xd400_0001),
  copyResult: (to) => words(copyRegister(number(to), 0)),
};
