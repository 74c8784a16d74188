import {
  FaultAbortSchema,
  FaultDelaySchema,
  HTTPFaultSchema,
  type FaultAbort as AbortMessage,
  type FaultDelay as DelayMessage,
  type HTTPFault,
} from "../../../wire/envoy/index.ts";
import { FaultSettings, type FaultAbort, type FaultDelay } from "../../filters/fault-filter.ts";
import { allOf } from "../../routing/matchers.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { denominatorOf, fractionOf } from "../fraction.ts";
import { compileHeader } from "../matchers/matcher-config.ts";

export function compileFault(message: HTTPFault, where: string, notes: ConfigNotes): FaultSettings {
  checkFields(HTTPFaultSchema, message, where, notes, {
    used: ["delay", "abort", "headers", "maxActiveFaults"],
    harmless: [
      "delayPercentRuntime",
      "abortPercentRuntime",
      "delayDurationRuntime",
      "abortHttpStatusRuntime",
      "maxActiveFaultsRuntime",
      "responseRateLimitPercentRuntime",
      "abortGrpcStatusRuntime",
      "disableDownstreamClusterStats",
      "filterMetadata",
    ],
  });
  return new FaultSettings({
    delay: message.delay === undefined ? undefined : compileDelay(message.delay, `${where}: delay`, notes),
    abort: message.abort === undefined ? undefined : compileAbort(message.abort, `${where}: abort`, notes),
    matches: allOf(message.headers.map((header) => compileHeader(header, where, notes))),
    maxActive: message.maxActiveFaults ?? Infinity,
  });
}

function compileDelay(message: DelayMessage, where: string, notes: ConfigNotes): FaultDelay {
  checkFields(FaultDelaySchema, message, where, notes, { used: ["fixedDelay", "headerDelay", "percentage"] });
  const part = { fraction: fractionOf(message.percentage, 0), denominator: denominatorOf(message.percentage) };
  const kind = message.faultDelaySecifier;
  if (kind.case === "headerDelay") return { ...part, delayMs: undefined };
  if (kind.case !== "fixedDelay") throw unsupported(where, "a delay without a duration");
  return { ...part, delayMs: durationOr(kind.value, 0) };
}

function compileAbort(message: AbortMessage, where: string, notes: ConfigNotes): FaultAbort {
  checkFields(FaultAbortSchema, message, where, notes, {
    used: ["httpStatus", "grpcStatus", "headerAbort", "percentage"],
  });
  const part = { fraction: fractionOf(message.percentage, 0), denominator: denominatorOf(message.percentage) };
  const { errorType } = message;
  switch (errorType.case) {
    case "httpStatus":
      if (errorType.value < 200 || errorType.value > 599)
        throw invalid(where, `httpStatus must be from 200 to 599, got ${errorType.value}`);
      return { ...part, with: { httpStatus: errorType.value } };
    case "grpcStatus":
      return { ...part, with: { grpcStatus: errorType.value } };
    case "headerAbort":
      return { ...part, with: "by-header" };
    default:
      throw unsupported(where, "an abort without a status");
  }
}
