import { CorsPolicySchema, type CorsPolicy as CorsPolicyMessage } from "../../wire/envoy/index.ts";
import type { CorsPolicy } from "../routing/cors.ts";
import { checkFields, type ConfigNotes } from "./config-check.ts";
import { compileString } from "./matcher-config.ts";

/** Compiles a policy of the filter `envoy.filters.http.cors`. */
export function compileCors(message: CorsPolicyMessage, where: string, notes: ConfigNotes): CorsPolicy {
  checkFields(CorsPolicySchema, message, where, notes, {
    used: ["allowOriginStringMatch", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge", "allowCredentials", "forwardNotMatchingPreflights"],
    harmless: ["filterEnabled", "shadowEnabled"],
  });
  return {
    origins: message.allowOriginStringMatch.map((matcher) => compileString(matcher, where)),
    allowMethods: message.allowMethods,
    allowHeaders: message.allowHeaders,
    exposeHeaders: message.exposeHeaders,
    maxAge: message.maxAge,
    allowCredentials: message.allowCredentials ?? false,
    forwardsOthers: message.forwardNotMatchingPreflights ?? true,
  };
}
