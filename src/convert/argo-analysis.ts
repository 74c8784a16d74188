import { definedFields, valueAt } from "../base/index.ts";
import { Reader, type UntypedObject } from "../api/index.ts";
import { celOf } from "./condition.ts";
import { at, durationSeconds, Notes, type ConversionNote } from "./conversion.ts";

/** The spec of a Check, not parsed yet. */
export type CheckFields = Readonly<Record<string, unknown>>;

export interface ConvertedCheck {
  readonly name: string;
  readonly spec: CheckFields;
}

type Arguments = Readonly<Record<string, string>>;

/**
 * Converts the metrics of an AnalysisTemplate (argoproj.io/v1alpha1) to Checks, with the arguments of one use of the
 * template.
 */
export function checksOfTemplate(
  template: UntypedObject,
  label: string,
  given: Arguments,
): { readonly checks: readonly ConvertedCheck[]; readonly notes: readonly ConversionNote[] } {
  const notes = new Notes(label);
  const spec = new Reader(template["spec"] ?? {}, "spec");
  const values = { ...defaultsOf(spec, notes), ...given };
  const dry = new Set(spec.list("dryRun").flatMap((entry) => entry.string("metricName") ?? []));
  notes.dropped(spec, {
    measurementRetention: "the journal keeps every decision",
    templates: "list the templates directly",
  });
  const checks = spec.list("metrics").flatMap((metric) => {
    const made = checkOfMetric(metric, template.metadata.name ?? "", values, notes);
    return made === undefined
      ? []
      : [
          dry.has(metric.string("name") ?? "") || dry.has(".*")
            ? { ...made, spec: { ...made.spec, dryRun: true } }
            : made,
        ];
  });
  notes.rest(spec);
  return { checks, notes: notes.all };
}

function defaultsOf(spec: Reader, notes: Notes): Arguments {
  const values: Record<string, string> = {};
  for (const argument of spec.list("args")) {
    const name = argument.string("name") ?? "";
    const value = argument.string("value");
    if (value !== undefined) values[name] = value;
    notes.dropped(argument, { valueFrom: `give the value of ${name} in the query, or a header of the webhook` });
  }
  return values;
}

function checkOfMetric(metric: Reader, template: string, values: Arguments, notes: Notes): ConvertedCheck | undefined {
  const name = metric.string("name") ?? "metric";
  const limits = limitsOf(metric, values, notes);
  const conditions = {
    ...conditionOf(metric, "successCondition", "passWhen", values, notes),
    ...conditionOf(metric, "failureCondition", "failWhen", values, notes),
  };
  const provider = metric.object("provider");
  const source = provider === undefined ? undefined : sourceOf(provider, values, notes);
  notes.dropped(metric, {
    consecutiveSuccessLimit: "count sets how many measurements in a row must pass",
    initialDelay: "samples count from the time when a step has settled",
  });
  notes.rest(metric);
  if (source === undefined) {
    notes.note(
      at(metric, "provider"),
      "is not carried over: Serin has prometheus and web; use a webhook for other providers",
    );
    return undefined;
  }
  if (source["type"] === "query" && Object.keys(conditions).length === 0) {
    notes.note(metric.path, "is not carried over: no condition is left to judge it");
    return undefined;
  }
  return { name: checkName(`${template}-${name}`), spec: { ...source, ...limits, ...conditions } };
}

function limitsOf(metric: Reader, values: Arguments, notes: Notes): CheckFields {
  const whole = (field: string): number | undefined => {
    const declared = valueAt(metric.raw, field);
    metric.ignore(field);
    if (declared === undefined) return undefined;
    const value = typeof declared === "string" ? Number(filled(declared, values).text) : declared;
    if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
    notes.note(at(metric, field), `is not carried over: it is not a whole number (${JSON.stringify(declared)})`);
    return undefined;
  };
  const interval = durationSeconds(valueAt(metric.raw, "interval"));
  metric.ignore("interval");
  const [count, failureLimit, errorLimit, waitLimit] = [
    whole("count"),
    whole("failureLimit"),
    whole("consecutiveErrorLimit"),
    whole("inconclusiveLimit"),
  ];
  return definedFields({
    intervalSeconds: interval,
    count: count === 0 ? undefined : count,
    failureLimit: failureLimit,
    errorLimit,
    waitLimit,
  });
}

function conditionOf(metric: Reader, from: string, to: string, values: Arguments, notes: Notes): CheckFields {
  const declared = metric.string(from);
  if (declared === undefined) return {};
  const converted = celOf(filled(declared, values).text);
  if ("cel" in converted) return { [to]: converted.cel };
  notes.note(at(metric, from), `is not carried over: it ${converted.problem}; write ${to} in CEL`);
  return {};
}

function sourceOf(provider: Reader, values: Arguments, notes: Notes): CheckFields | undefined {
  const prometheus = provider.object("prometheus");
  const web = provider.object("web");
  const declared =
    prometheus === undefined
      ? web === undefined
        ? undefined
        : webhookOf(web, values, notes)
      : queryOf(prometheus, values, notes);
  for (const other of Object.keys(provider.raw ?? {})) if (declared === undefined) provider.ignore(other);
  notes.rest(prometheus);
  notes.rest(web);
  notes.rest(provider);
  return declared;
}

function queryOf(prometheus: Reader, values: Arguments, notes: Notes): CheckFields {
  const expression = named(prometheus, "query", values, notes);
  const address = named(prometheus, "address", values, notes);
  const timeoutSeconds = durationSeconds(valueAt(prometheus.raw, "timeout"));
  prometheus.ignore("timeout");
  notes.dropped(prometheus, {
    authentication: "put an authenticating proxy between Serin and Prometheus",
    headers: "use a webhook for requests that need headers",
    insecure: "certificates are verified",
    rangeQuery: "a query has one result",
  });
  return {
    type: "query",
    query: definedFields({
      provider: address === undefined || address === "" ? "mesh" : "prometheus",
      address: address === "" ? undefined : address,
      expression,
      timeoutSeconds,
    }),
  };
}

function webhookOf(web: Reader, values: Arguments, notes: Notes): CheckFields {
  const url = named(web, "url", values, notes);
  const method = web.string("method");
  const headers: Record<string, string> = {};
  for (const header of web.list("headers"))
    headers[header.string("key") ?? ""] = filled(header.string("value") ?? "", values).text;
  const body = web.object("jsonBody")?.raw;
  const timeoutSeconds = web.integer("timeoutSeconds");
  notes.dropped(web, {
    jsonPath: "result is the whole answer: use result.<field> in passWhen",
    body: "write it as JSON under webhook.body",
    insecure: "certificates are verified",
    authentication: "set a header",
  });
  return {
    type: "webhook",
    webhook: definedFields({
      url,
      method,
      headers: Object.keys(headers).length === 0 ? undefined : headers,
      body,
      timeoutSeconds,
    }),
  };
}

function named(reader: Reader, field: string, values: Arguments, notes: Notes): string | undefined {
  const declared = reader.string(field);
  if (declared === undefined) return undefined;
  const { text, missing } = filled(declared, values);
  if (missing.length > 0)
    notes.note(
      at(reader, field),
      `has arguments without a value: ${missing.join(", ")}; use {{ canary.service }}, {{ canary.workload }} or a fixed text instead`,
    );
  return text;
}

/**
 * Replaces `{{args.name}}` with the argument's value. In place of an argument without a value stands a name that the
 * parser of Checks refuses, so that nobody overlooks it.
 */
export function filled(
  text: string,
  values: Arguments,
): { readonly text: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  const result = text.replaceAll(/\{\{\s*args\.([\w.-]+)\s*\}\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) missing.push(name);
    return value ?? whole;
  });
  return { text: result, missing };
}

const longestName = 63;

export function checkName(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, "-")
    .slice(0, longestName)
    .replaceAll(/^-+|(?<!-)-+$/g, "");
}
