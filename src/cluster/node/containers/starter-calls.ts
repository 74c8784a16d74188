import { invariant, userError } from "../../../base/index.ts";
import { callFields, callsAddress, longBytes, maxCallsBytes } from "./starter-program.ts";

/** The numbers of the system calls that differ between processor architectures. */
const numbersByArchitecture = {
  x64: {
    ioctl: 16,
    execve: 59,
    umask: 95,
    setgroups: 116,
    setresuid: 117,
    setresgid: 119,
    capset: 126,
    prctl: 157,
    keyctl: 250,
    setns: 308,
  },
  arm64: {
    ioctl: 29,
    capset: 91,
    setresuid: 147,
    setresgid: 149,
    setgroups: 159,
    umask: 166,
    prctl: 167,
    keyctl: 219,
    execve: 221,
    setns: 268,
  },
} as const;
const commonNumbers = { move_mount: 429, fsopen: 430, fsconfig: 431, fsmount: 432, close_range: 436 } as const;

export type CallName = keyof typeof numbersByArchitecture.x64 | keyof typeof commonNumbers;

/** An argument of a system call: a number, or data (bytes, a text or a list of texts) whose address the kernel gets. */
export type CallArgument = number | string | Uint8Array | readonly string[];

export interface StarterCall {
  readonly name: CallName;
  readonly arguments: readonly CallArgument[];
  /**
   * The message that the starter prints before it ends if the kernel refuses the call. If absent, the starter ignores
   * the refusal.
   */
  readonly failure?: { readonly message: string; readonly exitCode: number };
}

/**
 * Encodes the calls for the starter: first all calls, then the data to which they point. Throws a user error if they
 * take more than {@link maxCallsBytes}.
 */
export function encodeCalls(calls: readonly StarterCall[], architecture: string): Buffer {
  const numbers: Readonly<Record<CallName, number>> = {
    ...commonNumbers,
    ...numbersByArchitecture[architecture === "arm64" ? "arm64" : "x64"],
  };
  const data: Buffer[] = [];
  let dataBytes = calls.length * callFields.count * longBytes;
  const place = (bytes: Uint8Array): bigint => {
    const address = BigInt(callsAddress + dataBytes);
    const padding = -bytes.length & (longBytes - 1);
    data.push(Buffer.from(bytes), Buffer.alloc(padding));
    dataBytes += bytes.length + padding;
    return address;
  };
  const placeText = (text: string): bigint => {
    invariant(!text.includes("\0"), "a text of a container's command has no zero byte");
    return place(Buffer.from(`${text}\0`));
  };
  const valueOf = (argument: CallArgument): bigint => {
    if (typeof argument === "number") return BigInt(argument);
    if (typeof argument === "string") return placeText(argument);
    if (argument instanceof Uint8Array) return place(argument);
    return place(longs([...argument.map((text) => placeText(text)), 0n]));
  };
  const heads = calls.map(({ name, arguments: given, failure }) => {
    const fields: bigint[] = Array.from({ length: callFields.count }, () => 0n);
    fields[callFields.number] = BigInt(numbers[name]);
    for (const [index, argument] of given.entries()) fields[callFields.arguments + index] = valueOf(argument);
    if (failure !== undefined) {
      const message = Buffer.from(`${failure.message}\n`);
      fields[callFields.failureBytes] = BigInt(message.length);
      fields[callFields.failureAddress] = place(message);
      fields[callFields.exitCode] = BigInt(failure.exitCode);
    }
    return longs(fields);
  });
  if (dataBytes > maxCallsBytes)
    throw userError(
      "container-start-failed",
      `the command and the environment take ${dataBytes} bytes; expected at most ${maxCallsBytes}`,
    );
  return Buffer.concat([...heads, ...data]);
}

function longs(values: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(values.length * longBytes);
  for (const [index, value] of values.entries()) bytes.writeBigInt64LE(value, index * longBytes);
  return bytes;
}
