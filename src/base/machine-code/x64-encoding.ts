import type { Condition, Encoding, Register, SystemCall } from "./machine.ts";

/** rbx, rbp, r12 to r15. System calls preserve these, and take no arguments in them. */
const registers: Readonly<Record<Register, number>> = { 0: 3, 1: 5, 2: 12, 3: 13, 4: 14, 5: 15 };
/** rdi, rsi, rdx, r10, r8, r9. */
const argumentRegisters = [7, 6, 2, 10, 8, 9];
const rax = 0;
const rsp = 4;

const systemCalls: Readonly<Record<SystemCall, number>> = {
  read: 0,
  write: 1,
  close: 3,
  nanosleep: 35,
  socket: 41,
  connect: 42,
  sendto: 44,
  shutdown: 48,
  setsockopt: 54,
  exit_group: 231,
};

const conditionCodes: Readonly<Record<Condition, number>> = { equal: 0x4, unequal: 0x5, less: 0xc, lessOrEqual: 0xe };

function little32(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff];
}

/** The prefix that widens an instruction to 64 bits (`wide`) and reaches the upper eight registers. */
function prefix(wide: boolean, reg: number, rm: number): number {
  return 0x40 | (wide ? 8 : 0) | (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0);
}

function betweenRegisters(opcode: number, reg: number, rm: number): Uint8Array {
  return Uint8Array.of(prefix(true, reg, rm), opcode, 0xc0 | ((reg & 7) << 3) | (rm & 7));
}

/** The bytes of an instruction that uses a register, and memory at `base` + `offset`. */
function withMemory(head: readonly number[], reg: number, base: number, offset: number): Uint8Array {
  const needsIndex = (base & 7) === rsp;
  return Uint8Array.of(
    ...head,
    0x80 | ((reg & 7) << 3) | (base & 7),
    ...(needsIndex ? [0x24] : []),
    ...little32(offset),
  );
}

function withNumber(operation: number, rm: number, value: number): Uint8Array {
  return Uint8Array.of(prefix(true, 0, rm), 0x81, 0xc0 | (operation << 3) | (rm & 7), ...little32(value));
}

function setNumber(register: number, value: number): Uint8Array {
  return Uint8Array.of(prefix(false, 0, register), 0xb8 | (register & 7), ...little32(value));
}

const argument = (index: number): number => argumentRegisters[index] ?? rax;

export const x64Encoding: Encoding = {
  elfMachine: 62,
  stackPointer: (to) => betweenRegisters(0x89, rsp, registers[to]),
  set: (to, value) => setNumber(registers[to], value),
  copy: (to, from) => betweenRegisters(0x89, registers[from], registers[to]),
  addNumber: (to, value) => withNumber(0, registers[to], value),
  add: (to, from) => betweenRegisters(0x01, registers[from], registers[to]),
  subtract: (to, from) => betweenRegisters(0x29, registers[from], registers[to]),
  load: (to, base, offset, size) => {
    const [reg, rm] = [registers[to], registers[base]];
    const head = size === 1 ? [prefix(false, reg, rm), 0x0f, 0xb6] : [prefix(size === 8, reg, rm), 0x8b];
    return withMemory(head, reg, rm, offset);
  },
  storeByte: (from, base) => {
    const [reg, rm] = [registers[from], registers[base]];
    return withMemory([prefix(false, reg, rm), 0x88], reg, rm, 0);
  },
  compare: (left, right) => betweenRegisters(0x39, registers[right], registers[left]),
  compareNumber: (left, right) => withNumber(7, registers[left], right),
  jump: (distance) => Uint8Array.of(0xe9, ...little32(distance - 5)),
  jumpIf: (condition, distance) => Uint8Array.of(0x0f, 0x80 | conditionCodes[condition], ...little32(distance - 6)),
  setArgument: (index, value) => setNumber(argument(index), value),
  copyArgument: (index, from) => betweenRegisters(0x89, registers[from], argument(index)),
  systemCall: (call) => Uint8Array.of(...setNumber(rax, systemCalls[call]), 0x0f, 0x05),
  systemCallOf: (number) => Uint8Array.of(...betweenRegisters(0x89, registers[number], rax), 0x0f, 0x05),
  copyResult: (to) => betweenRegisters(0x89, rax, registers[to]),
};
