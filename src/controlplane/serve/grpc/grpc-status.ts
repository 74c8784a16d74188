import { grpcLimits } from "./grpc-limits.ts";

export const grpcStatus = {
  ok: 0,
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export type GrpcStatus = (typeof grpcStatus)[keyof typeof grpcStatus];

/** A `grpc-message`: UTF-8, percent-encoded except for printable ASCII, and cut to the maximum length. */
export function statusMessage(text: string): string {
  let encoded = "";
  for (const character of text) {
    const plain = character >= " " && character <= "~" && character !== "%";
    const piece = plain
      ? character
      : [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
    if (encoded.length + piece.length > grpcLimits.maxStatusMessageBytes) break;
    encoded += piece;
  }
  return encoded;
}
