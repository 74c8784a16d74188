/**
 * The increase of one series in one time slot. It is stored as variable-length integers, because most are small and
 * most buckets are empty: `series, requests, buckets, (bucket, count)…, bytes, opened`
 */
export interface SlotRecord {
  readonly series: number;
  readonly requests: number;
  /** By the index of the bucket. Buckets without an increase are missing. */
  readonly buckets: ReadonlyMap<number, number>;
  readonly bytes: number;
  readonly opened: number;
}

const startBytes = 256;
/** The maximum length of an encoded number: it has up to 53 bits, and a byte holds seven. */
const maxNumberBytes = 8;

/** Appends records. `finish` returns the bytes of all. */
export class SlotWriter {
  #buffer = new Uint8Array(startBytes);
  #length = 0;

  add({ series, requests, buckets, bytes, opened }: SlotRecord): void {
    this.#number(series);
    this.#number(requests);
    this.#number(buckets.size);
    for (const [bucket, count] of buckets) {
      this.#number(bucket);
      this.#number(count);
    }
    this.#number(bytes);
    this.#number(opened);
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #number(value: number): void {
    if (this.#length + maxNumberBytes > this.#buffer.length) {
      const larger = new Uint8Array(this.#buffer.length * 2);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    // Limit the value to that of a valid count, so that it fits into the reserved bytes.
    let rest = Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.round(value)));
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }
}

export interface SlotSink {
  series(id: number, requests: number, bytes: number, opened: number): void;
  bucket(id: number, bucket: number, count: number): void;
}

/** Reads all records. The sink gets the buckets of a series before the series. */
export function readSlot(bytes: Uint8Array, sink: SlotSink): void {
  let at = 0;
  const number = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  };
  while (at < bytes.length) {
    const id = number();
    const requests = number();
    for (let left = number(); left > 0; left -= 1) {
      const bucket = number();
      sink.bucket(id, bucket, number());
    }
    const moved = number();
    sink.series(id, requests, moved, number());
  }
}
