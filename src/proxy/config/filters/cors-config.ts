import { CorsPolicySchema, type CorsPolicy as CorsPolicyMessage } from "../../../wire/envoy/index.ts";
import type { CorsPolicy } from "../../routing/cors.ts";
import { checkFields, unsupported, type ConfigNotes } from "../config-check.ts";
import { fractionOf } from "../fraction.ts";
import { compileString } from "../matchers/matcher-config.ts";

/** Compiles a policy of the filter `envoy.filters.http.cors`. Undefined if it is disabled. */
export function compileCors(message: CorsPolicyMessage, where: string, notes: ConfigNotes): CorsPolicy | undefined {
  checkFields(CorsPolicySchema, message, where, notes, {
    used: [
      "allowOriginStringMatch",
      "allowMethods",
      "allowHeaders",
      "exposeHeaders",
      "maxAge",
      "allowCredentials",
      "forwardNotMatchingPreflights",
      "filterEnabled",
      "shadowEnabled",
    ],
  });
  // This proxy has no runtime settings, so their default values apply.
  const enabled = fractionOf(message.filterEnabled?.defaultValue, message.filterEnabled === undefined ? 1 : 0);
  if (enabled > 0 && enabled < 1) throw unsupported(where, "filterEnabled for a part of the requests");
  if (fractionOf(message.shadowEnabled?.defaultValue, 0) > 0)
    notes.tell("envoy.filters.http.cors: shadowEnabled has no effect here: origins are not counted");
  if (enabled === 0) return undefined;
  const origins = message.allowOriginStringMatch.map((matcher) => compileString(matcher, where));
  return {
    // As in Envoy, a rule that matches `*` allows all origins.
    origins: origins.some((matches) => matches("*")) ? [() => true] : origins,
    allowMethods: message.allowMethods,
    allowHeaders: message.allowHeaders,
    exposeHeaders: message.exposeHeaders,
    maxAge: message.maxAge,
    allowCredentials: message.allowCredentials ?? false,
    forwardsOthers: message.forwardNotMatchingPreflights ?? true,
  };
}
