import { addressBytes, cidrOf, userError } from "../../base/index.ts";
import { bytesToIp } from "../../wire/netlink/index.ts";

/** The addresses of a range, given out one after the other: one that came back is not given out again until all others were. */
export class AddressPool {
  readonly #first: bigint;
  readonly #last: bigint;
  readonly #bytes: number;
  #next: bigint;

  /** Throws a user error for what is no range. The range's own address is never given out. */
  constructor(range: string) {
    const found = cidrOf(range);
    if (found === undefined || !range.includes("/")) throw userError("address-range-invalid", `a range of addresses must be <address>/<length>, got "${range}"`);
    this.#bytes = found.address.length;
    const size = 1n << BigInt(this.#bytes * 8 - found.length);
    const base = (numberOf(found.address) / size) * size;
    this.#first = base + 1n;
    this.#last = base + size - 1n;
    this.#next = this.#first;
  }

  contains(address: string): boolean {
    const bytes = addressBytes(address);
    if (bytes?.length !== this.#bytes) return false;
    const number = numberOf(bytes);
    return number >= this.#first && number <= this.#last;
  }

  /** Undefined when all are taken. */
  take(isTaken: (address: string) => boolean): string | undefined {
    for (let tried = this.#first; tried <= this.#last; tried += 1n) {
      const address = bytesToIp(bytesOf(this.#next, this.#bytes));
      this.#next = this.#next === this.#last ? this.#first : this.#next + 1n;
      if (!isTaken(address)) return address;
    }
    return undefined;
  }
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);
}

function bytesOf(number: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_byte, index) => Number((number >> BigInt((length - 1 - index) * 8)) & 255n));
}
