import { ComparisonFilter_Op, type AccessLogFilter, type ComparisonFilter, type HeaderMatcher } from "../../wire/envoy/index.ts";
import type { ExchangeRecord } from "../http/exchange-record.ts";
import { flagLetters } from "../http/response-flags.ts";
import { unsupported } from "./config-check.ts";
import { compileString } from "./matcher-config.ts";

/** What filters of access logs look at. */
export type LogCriteria = Pick<ExchangeRecord, "status" | "flag" | "durationMs" | "authority" | "method">;

/** Compiles what an access log leaves out. Throws an error that names a filter which cannot be had. */
export function compileLogFilter(message: AccessLogFilter, where: string): (record: LogCriteria) => boolean {
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
      return ({ flag }) => (flags.size === 0 ? flag !== 0 : flags.has(flagLetters(flag)));
    }
    case "headerFilter":
      return compileHeaderFilter(filter.value.header, where);
    case "notHealthCheckFilter":
      return () => true;
    case "orFilter": {
      const any = filter.value.filters.map((inner) => compileLogFilter(inner, where));
      return (record) => any.some((wants) => wants(record));
    }
    case "andFilter": {
      const all = filter.value.filters.map((inner) => compileLogFilter(inner, where));
      return (record) => all.every((wants) => wants(record));
    }
    default:
      throw unsupported(where, `filter.${filter.case ?? "(none)"}`);
  }
}

/** Of a request only what every record has can be asked. */
function compileHeaderFilter(header: HeaderMatcher | undefined, where: string): (record: LogCriteria) => boolean {
  const specifier = header?.headerMatchSpecifier;
  if (specifier?.case !== "stringMatch" || header?.invertMatch === true) throw unsupported(where, "filter.headerFilter without stringMatch");
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
