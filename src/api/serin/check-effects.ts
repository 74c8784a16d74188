import { valueAt } from "../../base/index.ts";
import type { Reader } from "../reader.ts";
import type { CheckType } from "./check-type.ts";

/**
 * The fields that only some types of checks read. The parser accepts them on other types with a warning, because
 * earlier releases accepted them.
 */
const readers: readonly (readonly [field: string, types: readonly CheckType[]])[] = [
  [
    "minSamples",
    [
      "request-success-rate",
      "request-duration",
      "request-share",
      "tcp-connect-failures",
      "mtls-probe-matrix",
      "error-log-rate",
    ],
  ],
  ["maxErrorRate", ["request-success-rate", "tcp-connect-failures", "mtls-probe-matrix", "error-log-rate"]],
  ["shareTolerance", ["request-share"]],
];

export function warnOfCheckFields(check: Reader, type: CheckType): void {
  for (const [field, types] of readers)
    if (check.has(field) && !types.includes(type))
      check.warnNoEffect(
        `has no effect on a check of type ${type}, only on ${types.join(", ")}; remove it, or choose another type`,
        field,
      );
  if (type === "webhook" && valueAt(check.raw, "webhook", "method") === "GET" && isSet(check, "webhook", "body"))
    check.warnNoEffect("has no effect, because a GET has no body; remove it, or set method: POST", "webhook.body");
  if (type === "query" && valueAt(check.raw, "query", "provider") === "mesh" && isSet(check, "query", "timeoutSeconds"))
    check.warnNoEffect(
      "has no effect with provider mesh, because the engine has the mesh's metrics already; remove it",
      "query.timeoutSeconds",
    );
}

function isSet({ raw }: Reader, ...path: readonly string[]): boolean {
  return (valueAt(raw, ...path) ?? undefined) !== undefined;
}
