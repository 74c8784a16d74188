import { requestFieldsFault, type PseudoFields } from "../../../wire/http2/index.ts";

/** The content of a gRPC call's header list (gRPC over HTTP/2, "Requests"). */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  /** The encoding of messages, `identity` unless `grpc-encoding` says otherwise. */
  readonly encoding: string;
  /** The time in `grpc-timeout`. Undefined if absent, NaN if invalid. */
  readonly timeoutMs: number | undefined;
}

const pseudoFields = [":method", ":scheme", ":path", ":authority"];
const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 };

/** Why a header list is not a valid request (RFC 9113, 8.2 and 8.3). Undefined if it is valid. */
export function requestFault(fields: readonly string[]): string | undefined {
  const pseudo: PseudoFields = {};
  const fault = requestFieldsFault(fields, pseudoFields, pseudo);
  if (fault !== undefined) return fault;
  const { ":method": method, ":path": path, ":scheme": scheme } = pseudo;
  return method === undefined || path === undefined || scheme === undefined
    ? "the pseudo fields do not make a request"
    : undefined;
}

/** Reads a header list in which {@link requestFault} finds no fault. */
export function readRequestHead(fields: readonly string[]): RequestHead {
  const timeout = fieldOf(fields, "grpc-timeout");
  return {
    method: fieldOf(fields, ":method") ?? "",
    path: fieldOf(fields, ":path") ?? "",
    contentType: fieldOf(fields, "content-type") ?? "",
    encoding: fieldOf(fields, "grpc-encoding") ?? "identity",
    timeoutMs: timeout === undefined ? undefined : readTimeout(timeout),
  };
}

/** All values of a header, in their order. */
export function fieldValues(fields: readonly string[], name: string): readonly string[] {
  const values: string[] = [];
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) values.push(fields[at + 1] ?? "");
  return values;
}

function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

function readTimeout(text: string): number {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  return Number(digits ?? Number.NaN) * (unitMs[unit ?? ""] ?? Number.NaN);
}

/** Whether a content type is gRPC's. `application/grpc-web` is another protocol. */
export function isGrpc(contentType: string): boolean {
  return /^application\/grpc($|[+;])/i.test(contentType);
}
