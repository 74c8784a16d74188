import { addressBytes, cidrOf, userError } from "../../base/index.ts";
import { bytesToIp } from "../../wire/netlink/index.ts";

/** Allocates the addresses of a range in turn. A released address is allocated again only after all others. */
export class AddressPool {
  readonly range: string;
  readonly #first: bigint;
  readonly #last: bigint;
  readonly #bytes: number;
  #next: bigint;

  /** Throws a user error for an invalid range. The range's network address is never allocated. */
  constructor(range: string) {
    const found = cidrOf(range);
    if (found === undefined || !range.includes("/"))
      throw userError("address-invalid", `a range of addresses must be <address>/<length>, got "${range}"`);
    this.range = range;
    this.#bytes = found.address.length;
    const [base, last] = boundsOf(found);
    this.#first = base + 1n;
    this.#last = last;
    this.#next = this.#first;
  }

  contains(address: string): boolean {
    const bytes = addressBytes(address);
    if (bytes?.length !== this.#bytes) return false;
    const number = numberOf(bytes);
    return number >= this.#first && number <= this.#last;
  }

  overlaps(range: string): boolean {
    const found = cidrOf(range);
    if (found?.address.length !== this.#bytes) return false;
    const [first, last] = boundsOf(found);
    return first <= this.#last && last >= this.#first;
  }

  get size(): bigint {
    return this.#last - this.#first + 1n;
  }

  /**
   * Takes the first free address outside of these ranges. Undefined if there is none. A range is skipped in one step,
   * because it may have too many addresses to try one by one.
   */
  take(isTaken: (address: string) => boolean, ranges: readonly AddressRange[] = []): string | undefined {
    for (let left = this.size; left > 0n;) {
      const address = bytesToIp(bytesOf(this.#next, this.#bytes));
      const range = ranges.find((candidate) => candidate.contains(address));
      const end = range === undefined ? this.#next : range.last < this.#last ? range.last : this.#last;
      left -= end - this.#next + 1n;
      this.#next = end === this.#last ? this.#first : end + 1n;
      if (range === undefined && !isTaken(address)) return address;
    }
    return undefined;
  }
}

export class AddressRange {
  readonly #first: bigint;
  readonly #bytes: number;
  readonly last: bigint;

  /** Reads an address and a prefix length. */
  constructor(text: string) {
    const found = cidrOf(text);
    if (found === undefined)
      throw userError("address-invalid", `a range of addresses must be <address>/<length>, got "${text}"`);
    this.#bytes = found.address.length;
    [this.#first, this.last] = boundsOf(found);
  }

  contains(address: string): boolean {
    const bytes = addressBytes(address);
    if (bytes?.length !== this.#bytes) return false;
    const number = numberOf(bytes);
    return number >= this.#first && number <= this.last;
  }
}

/** The spelling of a single address that pools use. Undefined for anything else. */
export function canonicalAddress(text: string): string | undefined {
  const found = cidrOf(text);
  return found === undefined || found.length !== found.address.length * 8 ? undefined : bytesToIp(found.address);
}

function boundsOf({
  address,
  length,
}: {
  readonly address: Uint8Array;
  readonly length: number;
}): readonly [first: bigint, last: bigint] {
  const size = 1n << BigInt(address.length * 8 - length);
  const first = (numberOf(address) / size) * size;
  return [first, first + size - 1n];
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);
}

function bytesOf(number: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_byte, index) => Number((number >> BigInt((length - 1 - index) * 8)) & 255n));
}
