import { grpcPrefixBytes } from "../terms/grpc-call.ts";

/** The gRPC status of a proxy's reply by its HTTP status, as gRPC's documentation maps them. */
const grpcStatusOf: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};
const unknown = 2;

export function grpcStatusOfHttp(status: number): number {
  return grpcStatusOf[status] ?? unknown;
}

/** Encodes a text for `grpc-message`: everything except printable ASCII is percent-encoded. */
export function encodeGrpcMessage(text: string): string {
  return text.replaceAll(/[^\x20-\x24\x26-\x7e]+/g, (part) =>
    Buffer.from(part).toString("hex").toUpperCase().replaceAll(/../g, "%$&"),
  );
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 };

/** Parses `grpc-timeout` to milliseconds. Undefined if it is invalid. */
export function parseGrpcTimeout(value: string | undefined): number | undefined {
  const parts = value === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(value);
  return parts === null ? undefined : Number(parts[1]) * (unitMs[parts[2] ?? ""] ?? 0);
}

const maxGrpcTimeout = 99_999_999;

/** Formats a time for `grpc-timeout`, whose number has at most eight digits. */
export function formatGrpcTimeout(timeoutMs: number): string {
  if (timeoutMs <= maxGrpcTimeout) return `${timeoutMs}m`;
  const seconds = Math.floor(timeoutMs / 1000);
  if (seconds <= maxGrpcTimeout) return `${seconds}S`;
  const minutes = Math.floor(seconds / 60);
  if (minutes <= maxGrpcTimeout) return `${minutes}M`;
  return `${Math.min(maxGrpcTimeout, Math.floor(minutes / 60))}H`;
}

/** Counts the messages of a gRPC body by their prefixes: one byte of flags, and four bytes of length. */
export class GrpcMessageCounter {
  messages = 0;
  #prefixLeft = grpcPrefixBytes;
  #length = 0;
  #bodyLeft = 0;

  reset(): void {
    this.messages = 0;
    this.#prefixLeft = grpcPrefixBytes;
    this.#length = 0;
    this.#bodyLeft = 0;
  }

  add(bytes: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (this.#bodyLeft > 0) {
        const take = Math.min(this.#bodyLeft, to - at);
        this.#bodyLeft -= take;
        at += take;
        continue;
      }
      if (this.#prefixLeft === grpcPrefixBytes && to - at >= grpcPrefixBytes) {
        this.messages += 1;
        this.#bodyLeft = bytes.readUInt32BE(at + 1);
        at += grpcPrefixBytes;
        continue;
      }
      if (this.#prefixLeft < grpcPrefixBytes) this.#length = this.#length * 256 + (bytes[at] ?? 0);
      this.#prefixLeft -= 1;
      at += 1;
      if (this.#prefixLeft > 0) continue;
      this.messages += 1;
      this.#bodyLeft = this.#length;
      this.#prefixLeft = grpcPrefixBytes;
      this.#length = 0;
    }
  }
}
