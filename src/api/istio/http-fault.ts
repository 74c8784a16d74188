import type { Reader } from "../reader.ts";
import { readDurationMs, refuseUnknown } from "./fields.ts";

/** Faults that a proxy makes up for a share of the requests. */
export interface HttpFault {
  readonly delay?: { readonly fixedDelayMs: number; readonly percentage: number } | undefined;
  readonly abort?: { readonly error: HttpAbortError; readonly percentage: number } | undefined;
}

/** `grpcStatus` is a name as in the gRPC specification: `UNAVAILABLE`. */
export type HttpAbortError = { readonly kind: "httpStatus"; readonly status: number } | { readonly kind: "grpcStatus"; readonly status: string };

const allPercent = 100;

export function readFault(reader: Reader | undefined): HttpFault | undefined {
  if (reader === undefined) return undefined;
  const fault = { delay: readDelay(reader.object("delay")), abort: readAbort(reader.object("abort")) };
  refuseUnknown(reader);
  return fault;
}

function readDelay(reader: Reader | undefined): HttpFault["delay"] {
  if (reader === undefined) return undefined;
  const fixedDelayMs = reader.required("fixedDelay", readDurationMs(reader, "fixedDelay", 1));
  const percentage = readPercentage(reader, "percentage") ?? reader.integer("percent", 0, allPercent) ?? 0;
  refuseUnknown(reader);
  return { fixedDelayMs: fixedDelayMs ?? 0, percentage };
}

function readAbort(reader: Reader | undefined): HttpFault["abort"] {
  if (reader === undefined) return undefined;
  const status = reader.integer("httpStatus", 200, 599);
  const grpcStatus = reader.string("grpcStatus");
  if (!reader.has("httpStatus") && !reader.has("grpcStatus")) reader.error("must have httpStatus or grpcStatus");
  if (reader.has("httpStatus") && reader.has("grpcStatus")) reader.error("must not be set beside httpStatus", "grpcStatus");
  const percentage = readPercentage(reader, "percentage") ?? 0;
  refuseUnknown(reader);
  const error: HttpAbortError = grpcStatus === undefined ? { kind: "httpStatus", status: status ?? 0 } : { kind: "grpcStatus", status: grpcStatus };
  return { error, percentage };
}

/** A number from 0 to 100, written as `{value: 50}`. */
export function readPercentage(reader: Reader, field: string): number | undefined {
  const nested = reader.object(field);
  if (nested === undefined) return undefined;
  const value = nested.number("value") ?? 0;
  if (value < 0 || value > allPercent) nested.error(`must be from 0 to 100, got ${value}`, "value");
  refuseUnknown(nested);
  return value;
}
