import {
  LocalReplyConfigSchema,
  ResponseMapperSchema,
  type AccessLogFilter,
  type DataSource,
  type LocalReplyConfig,
  type ResponseMapper,
  type SubstitutionFormatString,
} from "../../../wire/envoy/index.ts";
import type { LocalReplyRule } from "../../http/http-connection-config.ts";
import { checkFields, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileMutation } from "../header-mutation-config.ts";

type Matches = LocalReplyRule["matches"];
type Body = NonNullable<LocalReplyRule["body"]>;

/** Compiles the rules in their order. A format for all responses becomes a last rule that matches everything. */
export function compileLocalReplies(message: LocalReplyConfig, where: string, notes: ConfigNotes): LocalReplyRule[] {
  checkFields(LocalReplyConfigSchema, message, where, notes, { used: ["mappers", "bodyFormat"] });
  const general = message.bodyFormat === undefined ? undefined : compileFormat(message.bodyFormat, where);
  const rules = message.mappers.map((mapper, index) =>
    compileMapper(mapper, general, `${where}: mapper ${index}`, notes),
  );
  if (general !== undefined) rules.push({ matches: () => true, status: undefined, headers: undefined, ...general });
  return rules;
}

interface Format {
  readonly body: Body;
  readonly contentType: string;
}

function compileMapper(
  message: ResponseMapper,
  general: Format | undefined,
  where: string,
  notes: ConfigNotes,
): LocalReplyRule {
  checkFields(ResponseMapperSchema, message, where, notes, {
    used: ["filter", "statusCode", "body", "bodyFormatOverride", "headersToAdd"],
  });
  if (message.filter === undefined) throw unsupported(where, "a mapper without a filter");
  const format = message.bodyFormatOverride === undefined ? general : compileFormat(message.bodyFormatOverride, where);
  const text = message.body === undefined ? undefined : inlineText(message.body, where);
  const body: Body | undefined =
    text === undefined ? format?.body : (reply) => format?.body({ status: reply.status, body: text }) ?? text;
  return {
    matches: compileFilter(message.filter, where),
    status: message.statusCode,
    body,
    contentType: format?.contentType,
    headers: compileMutation(message.headersToAdd, [], "response", where, notes),
  };
}

function inlineText(source: DataSource, where: string): string {
  if (source.specifier.case === "inlineString") return source.specifier.value;
  if (source.specifier.case === "inlineBytes") return Buffer.from(source.specifier.value).toString();
  throw unsupported(where, `a body by ${source.specifier.case ?? "nothing"}`);
}

function compileFilter(message: AccessLogFilter, where: string): Matches {
  const specifier = message.filterSpecifier;
  switch (specifier.case) {
    case "statusCodeFilter": {
      const { comparison } = specifier.value;
      const value = comparison?.value?.defaultValue ?? 0;
      // The comparisons by Envoy's numbers: EQ, GE, LE, NE.
      const operators: readonly ((status: number) => boolean)[] = [
        (status) => status === value,
        (status) => status >= value,
        (status) => status <= value,
        (status) => status !== value,
      ];
      const test = operators[comparison?.op ?? 0];
      if (test === undefined) throw unsupported(where, "this comparison of status codes");
      return (reply) => test(reply.status);
    }
    case "responseFlagFilter": {
      const flags = new Set(specifier.value.flags);
      return (reply) =>
        flags.size === 0 ? reply.flags !== "-" : reply.flags.split(",").some((flag) => flags.has(flag));
    }
    case "andFilter": {
      const tests = specifier.value.filters.map((filter) => compileFilter(filter, where));
      return (reply) => tests.every((test) => test(reply));
    }
    case "orFilter": {
      const tests = specifier.value.filters.map((filter) => compileFilter(filter, where));
      return (reply) => tests.some((test) => test(reply));
    }
    default:
      throw unsupported(where, `the filter ${specifier.case ?? "(none)"}`);
  }
}

function compileFormat(message: SubstitutionFormatString, where: string): Format {
  const { format } = message;
  if (format.case === "jsonFormat") {
    const fields = Object.entries(format.value).map(
      ([key, value]) => [key, compileText(typeof value === "string" ? value : JSON.stringify(value), where)] as const,
    );
    const body: Body = (reply) =>
      `${JSON.stringify(Object.fromEntries(fields.map(([key, text]) => [key, typed(text(reply))])))}\n`;
    return { body, contentType: message.contentType === "" ? "application/json" : message.contentType };
  }
  const text =
    format.case === "textFormat"
      ? format.value
      : format.case === "textFormatSource"
        ? inlineText(format.value, where)
        : undefined;
  if (text === undefined) throw unsupported(where, "an empty format");
  return {
    body: compileText(text, where),
    contentType: message.contentType === "" ? "text/plain" : message.contentType,
  };
}

function typed(text: string): string | number {
  return /^\d{1,15}$/.test(text) ? Number(text) : text;
}

function compileText(text: string, where: string): Body {
  const parts: Body[] = [];
  for (const match of text.matchAll(/%([A-Z_]+)(?:\(([^)]*)\))?%|%%|[^%]+|%/g)) {
    const [whole, operator] = match;
    if (operator === undefined) parts.push(() => (whole === "%%" ? "%" : whole));
    else if (operator === "LOCAL_REPLY_BODY") parts.push((reply) => reply.body);
    else if (operator === "RESPONSE_CODE") parts.push((reply) => String(reply.status));
    else throw unsupported(where, whole);
  }
  return (reply) => parts.map((part) => part(reply)).join("");
}
