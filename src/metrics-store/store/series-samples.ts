import { indexAtOrBefore } from "../../promql/index.ts";

/** The number of samples in a chunk. It is small, because the open chunk at the end of a series is never dropped. */
const samplesAChunk = 64;
const firstCapacity = 8;
/** The approximate memory of a chunk's objects, apart from its samples. */
const chunkOverheadBytes = 200;

/** A full chunk. If all of its samples have the same value, as most chunks' samples do, it stores the value once. */
interface SealedChunk {
  readonly startMs: number;
  readonly endMs: number;
  readonly offsetsMs: Uint32Array;
  readonly values: Float64Array | number;
}

/** The maximum time span of a chunk. Offsets in it fit into 32 bits. */
const maxChunkMs = 0xff_ff_ff_ff;

/** The samples of one series in order of time. */
export class SeriesSamples {
  #sealed: SealedChunk[] = [];
  #timesMs = new Float64Array(firstCapacity);
  #values = new Float64Array(firstCapacity);
  #length = 0;
  #staleMs: number[] = [];
  #lastMs = -Infinity;
  /** The approximate memory of the samples. */
  bytes = chunkOverheadBytes;

  get lastMs(): number {
    return this.#lastMs;
  }

  get firstMs(): number | undefined {
    return this.#sealed[0]?.startMs ?? (this.#length > 0 ? this.#timesMs[0] : undefined);
  }

  /** Whether the series is no longer exposed. */
  get isEnded(): boolean {
    return this.#staleMs.length > 0 && (this.#staleMs.at(-1) ?? 0) >= this.#lastMs;
  }

  /** Appends a sample. Returns false if it is not newer than the last one. */
  append(timestampMs: number, value: number): boolean {
    if (timestampMs <= this.#lastMs) return false;
    const startMs = this.#timesMs[0] ?? timestampMs;
    if (this.#length === samplesAChunk || (this.#length > 0 && timestampMs - startMs > maxChunkMs)) this.#seal();
    if (this.#length === this.#timesMs.length) this.#grow();
    this.#timesMs[this.#length] = timestampMs;
    this.#values[this.#length] = value;
    this.#length += 1;
    this.#lastMs = timestampMs;
    return true;
  }

  /** Marks the end of the series. Later queries do not look back beyond it. */
  end(timestampMs: number): void {
    if (this.isEnded) return;
    this.#staleMs.push(Math.max(timestampMs, this.#lastMs));
    this.bytes += Float64Array.BYTES_PER_ELEMENT;
  }

  #grow(): void {
    const capacity = Math.min(this.#timesMs.length * 2, samplesAChunk);
    const timesMs = new Float64Array(capacity);
    const values = new Float64Array(capacity);
    timesMs.set(this.#timesMs);
    values.set(this.#values);
    this.bytes += 2 * (capacity - this.#timesMs.length) * Float64Array.BYTES_PER_ELEMENT;
    this.#timesMs = timesMs;
    this.#values = values;
  }

  #seal(): void {
    const startMs = this.#timesMs[0] ?? 0;
    const times = this.#timesMs.subarray(0, this.#length);
    const values = this.#values.subarray(0, this.#length);
    const [first = NaN] = values;
    const isConstant = values.every((value) => value === first);
    const sealed = {
      startMs,
      endMs: this.#lastMs,
      offsetsMs: Uint32Array.from(times, (time) => time - startMs),
      values: isConstant ? first : values.slice(),
    };
    this.#sealed.push(sealed);
    this.bytes += chunkBytes(sealed);
    this.#length = 0;
  }

  /** The samples in (fromMs, toMs], and the times up to toMs at which the series ended. */
  between(
    fromMs: number,
    toMs: number,
  ): { readonly timesMs: Float64Array; readonly values: Float64Array; readonly staleMs: readonly number[] } {
    const chunks = this.#sealed.filter(({ startMs, endMs }) => endMs > fromMs && startMs <= toMs);
    const length = chunks.reduce((sum, { offsetsMs }) => sum + offsetsMs.length, this.#length);
    const timesMs = new Float64Array(length);
    const values = new Float64Array(length);
    let at = 0;
    for (const chunk of chunks) {
      for (const [index, offsetMs] of chunk.offsetsMs.entries()) timesMs[at + index] = chunk.startMs + offsetMs;
      if (typeof chunk.values === "number") values.fill(chunk.values, at, at + chunk.offsetsMs.length);
      else values.set(chunk.values, at);
      at += chunk.offsetsMs.length;
    }
    timesMs.set(this.#timesMs.subarray(0, this.#length), at);
    values.set(this.#values.subarray(0, this.#length), at);
    const first = indexAtOrBefore(timesMs, fromMs) + 1;
    const end = indexAtOrBefore(timesMs, toMs) + 1;
    return { timesMs: timesMs.subarray(first, end), values: values.subarray(first, end), staleMs: this.#staleMs };
  }

  hasBetween(fromMs: number, toMs: number): boolean {
    if (this.#lastMs <= fromMs || (this.firstMs ?? Infinity) > toMs) return false;
    return this.between(fromMs, toMs).timesMs.length > 0;
  }

  /** Drops chunks that end before the time. Returns false if even the last sample is older. */
  forgetBefore(timeMs: number): boolean {
    const kept = this.#sealed.filter(({ endMs }) => endMs >= timeMs);
    if (kept.length < this.#sealed.length) {
      for (const chunk of this.#sealed) if (chunk.endMs < timeMs) this.bytes -= chunkBytes(chunk);
      this.#sealed = kept;
      const first = indexAtOrBefore(this.#staleMs, timeMs);
      if (first >= 0) this.#staleMs = this.#staleMs.slice(first);
    }
    return this.#lastMs >= timeMs;
  }
}

function chunkBytes({ offsetsMs, values }: SealedChunk): number {
  return chunkOverheadBytes + offsetsMs.byteLength + (typeof values === "number" ? 0 : values.byteLength);
}
