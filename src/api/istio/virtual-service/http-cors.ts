import { httpMethods } from "../../../base/index.ts";
import type { Reader } from "../../reader.ts";
import { checkEach } from "../checks.ts";
import { readDurationMs, refuseUnknown } from "../fields.ts";
import { headerNameFault } from "../expressions/http-headers.ts";
import { readStringMatchIn, type StringMatch } from "./string-match.ts";

export interface HttpCorsPolicy {
  /** `allowOrigins`, and the deprecated `allowOrigin` as exact matches. */
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeMs?: number | undefined;
  readonly allowCredentials?: boolean | undefined;
  readonly unmatchedPreflights: "UNSPECIFIED" | "FORWARD" | "IGNORE";
}

const methods: readonly string[] = [...httpMethods, "*"];
const secondMs = 1000;

export function readCors(reader: Reader | undefined): HttpCorsPolicy | undefined {
  if (reader === undefined) return undefined;
  const exact = reader.strings("allowOrigin").map((value) => ({ kind: "exact", value }) as const);
  const cors: HttpCorsPolicy = {
    allowOrigins: [...reader.objects("allowOrigins").map(readOrigin), ...exact],
    allowMethods: reader.strings("allowMethods"),
    allowHeaders: reader.strings("allowHeaders"),
    exposeHeaders: reader.strings("exposeHeaders"),
    maxAgeMs: readDurationMs(reader, "maxAge", 1),
    allowCredentials: reader.boolean("allowCredentials"),
    unmatchedPreflights: reader.oneOf("unmatchedPreflights", ["UNSPECIFIED", "FORWARD", "IGNORE"]) ?? "UNSPECIFIED",
  };
  checkEach(reader, "allowMethods", cors.allowMethods, (method) =>
    methods.includes(method) ? undefined : `must be one of ${methods.join(", ")}, got "${method}"`,
  );
  for (const field of ["allowHeaders", "exposeHeaders"] as const)
    checkEach(reader, field, cors[field], headerNameFault);
  if (cors.maxAgeMs !== undefined && cors.maxAgeMs % secondMs !== 0) reader.error("must be in whole seconds", "maxAge");
  refuseUnknown(reader);
  return cors;
}

function readOrigin(reader: Reader): StringMatch {
  const match = readStringMatchIn(reader);
  if (match === undefined || match.value === "") reader.error("must have a value for exact, prefix or regex");
  return match ?? { kind: "exact", value: "" };
}
