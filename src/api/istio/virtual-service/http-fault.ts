import type { Reader } from "../../reader.ts";
import { readDurationMs, refuseUnknown } from "../fields.ts";

/** Faults that a proxy injects. Each affects a percentage of the requests, from 0 to 100. */
export interface HttpFault {
  readonly delay?: { readonly fixedDelayMs: number; readonly percentage: number } | undefined;
  readonly abort?: { readonly error: HttpAbortError; readonly percentage: number } | undefined;
}

/** `grpcStatus` is a name from the gRPC specification, such as `UNAVAILABLE`. */
export type HttpAbortError =
  | { readonly kind: "httpStatus"; readonly status: number }
  | { readonly kind: "grpcStatus"; readonly status: GrpcStatusName };

/** The names of gRPC statuses, by code from 0 to 16. */
export const grpcStatusNames = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;
export type GrpcStatusName = (typeof grpcStatusNames)[number];

export const minHttpStatus = 200;
export const maxHttpStatus = 599;
const allPercent = 100;
/** The smallest percentage above 0. Proxies store percentages as millionths. */
const smallestPercentage = 0.0001;

export function readFault(reader: Reader | undefined): HttpFault | undefined {
  if (reader === undefined) return undefined;
  if (!reader.has("delay") && !reader.has("abort")) reader.error("must have a delay or an abort");
  const fault = { delay: readDelay(reader.object("delay")), abort: readAbort(reader.object("abort")) };
  refuseUnknown(reader);
  return fault;
}

function readDelay(reader: Reader | undefined): HttpFault["delay"] {
  if (reader === undefined) return undefined;
  if (reader.has("exponentialDelay")) reader.error("is not supported by proxies; use fixedDelay", "exponentialDelay");
  else if (!reader.has("fixedDelay")) reader.warn("has no fixedDelay, so nothing is delayed");
  const fixedDelayMs = readDurationMs(reader, "fixedDelay", 1);
  if (reader.has("percent")) reader.warnDeprecated("is deprecated; use percentage", "percent");
  const percentage = readShare(reader) ?? reader.integer("percent", 0, allPercent) ?? 0;
  refuseUnknown(reader);
  return fixedDelayMs === undefined ? undefined : { fixedDelayMs, percentage };
}

function readAbort(reader: Reader | undefined): HttpFault["abort"] {
  if (reader === undefined) return undefined;
  const httpStatus = reader.integer("httpStatus", minHttpStatus, maxHttpStatus);
  const grpcStatus = reader.oneOf("grpcStatus", grpcStatusNames);
  if (reader.has("http2Error")) reader.error("is not supported by proxies; use httpStatus or grpcStatus", "http2Error");
  else if (!reader.has("httpStatus") && !reader.has("grpcStatus"))
    reader.warn("has neither httpStatus nor grpcStatus, so nothing is aborted");
  if (reader.has("httpStatus") && reader.has("grpcStatus"))
    reader.error("cannot be combined with httpStatus", "grpcStatus");
  const percentage = readShare(reader) ?? 0;
  refuseUnknown(reader);
  if (httpStatus !== undefined) return { error: { kind: "httpStatus", status: httpStatus }, percentage };
  return grpcStatus === undefined ? undefined : { error: { kind: "grpcStatus", status: grpcStatus }, percentage };
}

function readShare(reader: Reader): number | undefined {
  const percentage = readPercentage(reader, "percentage");
  if (percentage !== undefined && percentage > 0 && percentage < smallestPercentage) {
    reader.error(`must be 0 or from ${smallestPercentage} to 100, got ${percentage}`, "percentage.value");
  }
  if (percentage === undefined && !reader.has("percent"))
    reader.warn("is not set, so no request is affected", "percentage");
  return percentage;
}

/** Reads a number from 0 to 100, written as `{value: 50}`. */
export function readPercentage(reader: Reader, field: string): number | undefined {
  const nested = reader.object(field);
  if (nested === undefined) return undefined;
  const value = nested.number("value") ?? 0;
  if (value < 0 || value > allPercent) nested.error(`must be from 0 to 100, got ${value}`, "value");
  refuseUnknown(nested);
  return value;
}
