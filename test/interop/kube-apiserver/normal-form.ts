// Replaces values that no two servers have in common (IDs, times, versions, addresses) with words, and finds the other
// differences of two answers.
import type { ExchangeAnswer, Json } from "./exchange.ts";

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;
const serviceAddress = /\b10\.96\.\d+\.\d+\b/g;
const age = /^(\d+[dhms])+$/;
const tokenText = /\beyJ[\w-]+\.[\w-]+\.[\w-]+/g;
const versionsInText =
  /(resource version: |ResourceVersion in precondition: |ResourceVersion in object meta: |ResourceVersion in the precondition \(|ResourceVersion in record \(|current: )\d+( \(\d+\))?/g;

/** Replaces all values in the answer that only this server can have. */
export function normalAnswer(answer: ExchangeAnswer): Json {
  return {
    status: answer.status,
    contentType: answer.contentType,
    warnings: answer.warnings.map(normalText),
    body: normal(answer.body),
  };
}

export function normalText(text: string): string {
  return text
    .replace(uuid, "<uid>")
    .replace(time, "<time>")
    .replace(serviceAddress, "<service address>")
    .replace(tokenText, "<token>")
    .replace(versionsInText, "$1<version>")
    .replace(/kube-api-access-\w{5}/g, "kube-api-access-<suffix>")
    .replace(/127\.0\.0\.1:\d+/g, "<server>");
}

function normal(value: Json, field = ""): Json {
  if (Array.isArray(value)) {
    const items = value.map((item) => normal(item, field === "cells" ? "cell" : ""));
    return field === "managedFields" ? items.sort((left, right) => compare(identity(left), identity(right))) : items;
  }
  if (typeof value === "string") return normalString(value, field);
  if (value === null || typeof value !== "object")
    return field === "nodePort" || field === "healthCheckNodePort" ? "<port>" : value;
  const result: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) result[key] = normal(item, key);
  const { generateName, name } = result;
  if (typeof generateName === "string" && typeof name === "string" && name.startsWith(generateName))
    result["name"] = `${generateName}<suffix>`;
  return result;
}

function normalString(value: string, field: string): string {
  if (field === "resourceVersion" && /^\d+$/.test(value)) return "<version>";
  if (field === "continue" && value !== "") return "<continue>";
  if (field === "cell" && age.test(value)) return "<age>";
  return normalText(value);
}

function identity(entry: Json): string {
  return [entry.manager, entry.operation, entry.subresource ?? "", entry.apiVersion].join(" ");
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

export interface Difference {
  /** For example `body.spec.ports[0].nodePort`. */
  readonly path: string;
  readonly kubernetes: Json;
  readonly serin: Json;
}

/** The differences between two values. Undefined is an absent value. */
export function differencesOf(kubernetes: Json, serin: Json, path = ""): Difference[] {
  if (Object.is(kubernetes, serin)) return [];
  if (Array.isArray(kubernetes) && Array.isArray(serin) && kubernetes.length === serin.length)
    return kubernetes.flatMap((item, index) => differencesOf(item, serin[index], `${path}[${index}]`));
  if (!isRecord(kubernetes) || !isRecord(serin)) return [{ path, kubernetes, serin }];
  const keys = [...new Set([...Object.keys(kubernetes), ...Object.keys(serin)])];
  return keys.flatMap((key) => differencesOf(kubernetes[key], serin[key], path === "" ? key : `${path}.${key}`));
}

function isRecord(value: Json): value is Record<string, Json> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
