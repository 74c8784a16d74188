import type { Any } from "@bufbuild/protobuf/wkt";
import { CorsPolicySchema, type CorsPolicy as CorsPolicyMessage } from "../../wire/envoy/index.ts";
import type { CorsPolicy } from "../routing/cors.ts";
import { checkFields, unsupported, type ConfigNotes } from "./config-check.ts";
import { compileString } from "./matcher-config.ts";
import { unpack } from "./transport-config.ts";

const corsFilter = "envoy.filters.http.cors";

/** The CORS policy among what a route or virtual host says to filters. Anything said to another filter is refused. */
export function compileFilterConfig(configs: Readonly<Record<string, Any>>, where: string, notes: ConfigNotes): CorsPolicy | undefined {
  let policy: CorsPolicy | undefined;
  for (const [name, any] of Object.entries(configs)) {
    const message = name === corsFilter ? unpack(any) : undefined;
    if (message?.$typeName !== "envoy.extensions.filters.http.cors.v3.CorsPolicy") throw unsupported(where, `typedPerFilterConfig ${name}`);
    policy = compileCors(message as CorsPolicyMessage, `${where}: ${name}`, notes);
  }
  return policy;
}

function compileCors(message: CorsPolicyMessage, where: string, notes: ConfigNotes): CorsPolicy {
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
