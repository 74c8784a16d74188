import { userError } from "../../../base/index.ts";
import {
  encodings,
  inRegister,
  memoryBase,
  staticProgram,
  type Machine,
  type Register,
} from "../../../base/machine-code/index.ts";

/** The descriptor from which the starter reads its system calls. */
export const callsDescriptor = 4;
/** The address in memory at which the starter stores the calls, and the maximum number of bytes that it reads. */
export const callsAddress = memoryBase;
export const maxCallsBytes = 4 << 20;

export const longBytes = 8;
/**
 * The layout of one call in the starter's memory, in numbers of eight bytes: the call's number, six arguments, and the
 * reaction to a failure.
 */
export const callFields = { number: 0, arguments: 1, failureBytes: 7, failureAddress: 8, exitCode: 9, count: 10 };

const argumentCount = 6;
const unreadableExitCode = 126;

const place: Register = 0;
const number: Register = 1;
const value: Register = 2;
const end: Register = 3;

/**
 * A static program that reads a list of system calls and makes them. If a call with a failure message fails, the
 * program prints the message and ends. The last call runs another program.
 *
 * The starter reads no environment, no file and no library, so nothing that a container controls has an effect before
 * the lab's rights are dropped.
 */
export function starterProgram(architecture: string): Uint8Array {
  const encoding = encodings[architecture];
  if (encoding === undefined)
    throw userError("unsupported", `the lab starts no containers on ${architecture}`, {
      hint: `use a machine of ${Object.keys(encodings).join(" or ")}`,
    });
  const labels = new Map([
    ["calls", callsAddress],
    ["callsEnd", callsAddress + maxCallsBytes],
  ]);
  return staticProgram(encoding, { bytes: maxCallsBytes, labels }, (machine) => {
    readCalls(machine);
    makeCalls(machine);
  });
}

function readCalls(machine: Machine): void {
  machine.set(place, { address: "calls" });
  machine.label("read");
  machine.set(end, { address: "callsEnd" });
  machine.subtract(end, place);
  machine.system(number, "read", callsDescriptor, inRegister(place), inRegister(end));
  machine.jumpIf(number, "less", 0, "unreadable");
  machine.add(place, inRegister(number));
  machine.jumpIf(number, "unequal", 0, "read");
}

function makeCalls(machine: Machine): void {
  const field = (to: Register, index: number): void => machine.load(to, place, index * longBytes, longBytes);
  machine.set(place, { address: "calls" });
  machine.label("next");
  field(number, callFields.number);
  for (let index = 0; index < argumentCount; index += 1) {
    field(value, callFields.arguments + index);
    machine.argument(index, value);
  }
  machine.systemOf(value, number);
  machine.jumpIf(value, "less", 0, "failed");
  machine.label("passed");
  machine.add(place, callFields.count * longBytes);
  machine.jump("next");
  machine.label("failed");
  field(number, callFields.failureBytes);
  machine.jumpIf(number, "equal", 0, "passed");
  field(value, callFields.failureAddress);
  machine.system(end, "write", 2, inRegister(value), inRegister(number));
  field(value, callFields.exitCode);
  machine.system(end, "exit_group", inRegister(value));
  machine.label("unreadable");
  machine.system(end, "exit_group", unreadableExitCode);
}
