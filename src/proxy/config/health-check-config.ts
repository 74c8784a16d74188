import { HttpHealthCheckSchema, type HttpHealthCheck } from "../../wire/envoy/index.ts";
import { allOf, type RequestMatcher } from "../routing/matchers.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "./config-check.ts";
import { compileHeader } from "./matcher-config.ts";

/** Compiles the conditions under which a request is a health check. */
export function compileHealthCheck(message: HttpHealthCheck, where: string, notes: ConfigNotes): RequestMatcher {
  checkFields(HttpHealthCheckSchema, message, where, notes, { used: ["passThroughMode", "headers"] });
  if (message.passThroughMode === undefined) throw invalid(where, "passThroughMode must be set");
  if (message.passThroughMode) throw unsupported(where, "passThroughMode true");
  return allOf(message.headers.map((header) => compileHeader(header, where, notes)));
}
