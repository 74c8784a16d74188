import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  ComparisonFilter_Op,
  ExpressionFilterSchema,
  type AccessLogFilter,
  type ComparisonFilter,
  type HeaderMatcher,
} from "../../../wire/envoy/index.ts";
import type { ExchangeRecord } from "../../record/exchange-record.ts";
import { eachFlag, flagLetters } from "../../terms/response-flags.ts";
import type { CaptureIndex } from "../../record/capture-index.ts";
import { compileRecordCondition, type RecordExpression } from "../../record/record-expression.ts";
import { unsupported } from "../config-check.ts";
import { compileString } from "../matchers/matcher-config.ts";
import { resolveTypedStruct } from "../typed-struct.ts";

type Wants = (record: ExchangeRecord, capture: CaptureIndex) => boolean;

/** The condition for a line in an access log, and the headers that must be captured to evaluate the condition. */
export interface LogFilter {
  readonly wants: Wants;
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

/** Compiles an access log's filter. Throws an error that names an unsupported filter. */
export function compileLogFilter(message: AccessLogFilter, where: string): LogFilter {
  const requestCapture: string[] = [];
  const responseCapture: string[] = [];
  const wants = compileWants(message, where, (expression) => {
    requestCapture.push(...expression.requestCapture);
    responseCapture.push(...expression.responseCapture);
  });
  return { wants, requestCapture, responseCapture };
}

function compileWants(
  message: AccessLogFilter,
  where: string,
  captures: (expression: RecordExpression) => void,
): Wants {
  const { filterSpecifier: filter } = message;
  switch (filter.case) {
    case "statusCodeFilter": {
      const holds = compileComparison(filter.value.comparison);
      return ({ status }) => holds(status);
    }
    case "durationFilter": {
      const holds = compileComparison(filter.value.comparison);
      return ({ durationMs }) => holds(durationMs);
    }
    case "responseFlagFilter": {
      const flags = new Set(filter.value.flags);
      return ({ flag }) =>
        flags.size === 0 ? flag !== 0 : eachFlag(flag).some((plain) => flags.has(flagLetters(plain)));
    }
    case "headerFilter":
      return compileHeaderFilter(filter.value.header, where);
    case "notHealthCheckFilter":
      return ({ isHealthCheck }) => !isHealthCheck;
    case "orFilter": {
      const any = filter.value.filters.map((inner) => compileWants(inner, where, captures));
      return (record, capture) => any.some((wants) => wants(record, capture));
    }
    case "andFilter": {
      const all = filter.value.filters.map((inner) => compileWants(inner, where, captures));
      return (record, capture) => all.every((wants) => wants(record, capture));
    }
    case "extensionFilter": {
      const typed = filter.value.configType.case === "typedConfig" ? filter.value.configType.value : undefined;
      const message =
        typed === undefined ? undefined : anyUnpack(resolveTypedStruct(typed, where), ExpressionFilterSchema);
      if (message === undefined) throw unsupported(where, `filter.extensionFilter ${filter.value.name}`);
      const condition = compileRecordCondition(message.expression, (problem) =>
        unsupported(where, `the expression "${message.expression}" (${problem})`),
      );
      captures(condition);
      return condition.holds;
    }
    default:
      throw unsupported(where, `filter.${filter.case ?? "(none)"}`);
  }
}

/** Compiles a condition on a header. Only values that every record contains can be compared. */
function compileHeaderFilter(header: HeaderMatcher | undefined, where: string): Wants {
  const specifier = header?.headerMatchSpecifier;
  if (specifier?.case !== "stringMatch" || header?.invertMatch === true)
    throw unsupported(where, "filter.headerFilter without stringMatch");
  const matches = compileString(specifier.value, where);
  switch (header?.name.toLowerCase()) {
    case ":authority":
      return ({ authority }) => matches(authority);
    case ":method":
      return ({ method }) => matches(method);
    default:
      throw unsupported(where, `filter.headerFilter of ${header?.name ?? "no header"}`);
  }
}

function compileComparison(comparison: ComparisonFilter | undefined): (value: number) => boolean {
  const limit = comparison?.value?.defaultValue ?? 0;
  switch (comparison?.op) {
    case ComparisonFilter_Op.GE:
      return (value) => value >= limit;
    case ComparisonFilter_Op.LE:
      return (value) => value <= limit;
    case ComparisonFilter_Op.NE:
      return (value) => value !== limit;
    default:
      return (value) => value === limit;
  }
}
