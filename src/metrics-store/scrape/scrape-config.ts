import { createHash } from "node:crypto";
import { parse, YAMLParseError } from "yaml";
import { messageOf, nearestName, userError, type Tree } from "../../base/index.ts";
import { compileWhole, parseDurationMs } from "../../promql/index.ts";
import { relabelActions, type RelabelRule } from "./relabel.ts";

/** The part of `prometheus.yml` that is about scraping. */
export interface ScrapeConfig {
  readonly externalLabels: ReadonlyMap<string, string>;
  readonly evaluationIntervalMs: number;
  readonly jobs: readonly ScrapeJob[];
  /** Messages about unsupported settings, each with its path in the file. */
  readonly warnings: readonly string[];
}

export interface ScrapeJob {
  readonly name: string;
  /** A text that is equal for equal configurations of the job only. */
  readonly fingerprint: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly scheme: "http" | "https";
  readonly metricsPath: string;
  readonly params: ReadonlyMap<string, readonly string[]>;
  readonly honorLabels: boolean;
  readonly honorTimestamps: boolean;
  /** A scrape with more samples fails. 0 means without limit. */
  readonly sampleLimit: number;
  readonly access: ScrapeAccess;
  readonly staticTargets: readonly {
    readonly targets: readonly string[];
    readonly labels: ReadonlyMap<string, string>;
  }[];
  readonly discoveries: readonly KubernetesDiscovery[];
  readonly relabelRules: readonly RelabelRule[];
  readonly metricRelabelRules: readonly RelabelRule[];
}

/** The credentials for targets, and the roots that verify the targets. Files are read again for each scrape. */
export interface ScrapeAccess {
  readonly bearerToken?: string | undefined;
  readonly bearerTokenFile?: string | undefined;
  readonly basic?: { readonly username: string; readonly password: string } | undefined;
  readonly caFile?: string | undefined;
  readonly certificateFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly serverName?: string | undefined;
  readonly insecure: boolean;
}

export const discoveryRoles = ["pod", "endpoints", "service", "node"] as const;
export type DiscoveryRole = (typeof discoveryRoles)[number];

export interface KubernetesDiscovery {
  readonly role: DiscoveryRole;
  /** The namespaces in which targets are discovered. Empty means all. */
  readonly namespaces: readonly string[];
  readonly ownNamespace: boolean;
}

const defaultIntervalMs = 60_000;
const defaultTimeoutMs = 10_000;

/** Parses Prometheus' configuration. Throws a user error with the path of the wrong field, and what was expected. */
export function parseScrapeConfig(text: string, source: string): ScrapeConfig {
  let document: unknown;
  try {
    document = parse(text, { logLevel: "error" });
  } catch (error) {
    const [place] = error instanceof YAMLParseError ? (error.linePos ?? []) : [];
    throw userError(
      "file-invalid",
      `${source}${place === undefined ? "" : `:${place.line}:${place.col}`}: not valid YAML: ${messageOf(error)}`,
    );
  }
  const warnings: string[] = [];
  const root = new Section(document ?? {}, source, warnings);
  const global = root.section("global");
  const defaults = {
    intervalMs: global.durationMs("scrape_interval", defaultIntervalMs),
    timeoutMs: global.durationMs("scrape_timeout", defaultTimeoutMs),
  };
  const externalLabels = global.strings("external_labels");
  const evaluationIntervalMs = global.durationMs("evaluation_interval", defaultIntervalMs);
  const jobs = root.sections("scrape_configs").map((section) => parseJob(section, defaults, warnings));
  const names = new Set<string>();
  for (const { name } of jobs) {
    if (names.has(name))
      throw userError("file-invalid", `${source}: several scrape_configs have the job_name "${name}"`);
    names.add(name);
  }
  if (root.has("remote_write") || root.has("remote_read"))
    warnings.push("remote_write and remote_read have no effect here: samples stay in this process");
  if (root.has("alerting")) warnings.push("alerting has no effect here: no rule is evaluated");
  return { externalLabels, evaluationIntervalMs, jobs, warnings };
}

function parseJob(
  section: Section,
  defaults: { readonly intervalMs: number; readonly timeoutMs: number },
  warnings: string[],
): ScrapeJob {
  const name = section.text("job_name");
  if (name === undefined || name === "") throw section.fault("job_name", "a name is required");
  const scheme = section.text("scheme") ?? "http";
  if (scheme !== "http" && scheme !== "https") throw section.fault("scheme", `expected http or https, got "${scheme}"`);
  const intervalMs = section.durationMs("scrape_interval", defaults.intervalMs);
  for (const key of section.keys()) {
    if (key.endsWith("_sd_configs") && key !== "kubernetes_sd_configs")
      warnings.push(
        `job ${name}: ${key} has no effect here: targets come from static_configs and kubernetes_sd_configs`,
      );
  }
  const limit = section.number("sample_limit") ?? 0;
  return {
    name,
    fingerprint: section.fingerprint(defaults),
    intervalMs,
    timeoutMs: Math.min(section.durationMs("scrape_timeout", defaults.timeoutMs), intervalMs),
    scheme,
    metricsPath: section.text("metrics_path") ?? "/metrics",
    params: section.stringLists("params"),
    honorLabels: section.flag("honor_labels", false),
    honorTimestamps: section.flag("honor_timestamps", true),
    sampleLimit: limit,
    access: parseAccess(section),
    staticTargets: section
      .sections("static_configs")
      .map((part) => ({ targets: part.list("targets"), labels: part.strings("labels") })),
    discoveries: section.sections("kubernetes_sd_configs").flatMap((part) => parseDiscovery(part, name, warnings)),
    relabelRules: section.sections("relabel_configs").map(parseRule),
    metricRelabelRules: section.sections("metric_relabel_configs").map(parseRule),
  };
}

function parseAccess(section: Section): ScrapeAccess {
  const tls = section.section("tls_config");
  const authorization = section.section("authorization");
  const basic = section.section("basic_auth");
  const username = basic.text("username");
  return {
    bearerToken: section.text("bearer_token") ?? authorization.text("credentials"),
    bearerTokenFile: section.text("bearer_token_file") ?? authorization.text("credentials_file"),
    basic: username === undefined ? undefined : { username, password: basic.text("password") ?? "" },
    caFile: tls.text("ca_file"),
    certificateFile: tls.text("cert_file"),
    keyFile: tls.text("key_file"),
    serverName: tls.text("server_name"),
    insecure: tls.flag("insecure_skip_verify", false),
  };
}

function parseDiscovery(section: Section, job: string, warnings: string[]): KubernetesDiscovery[] {
  const role = section.text("role") ?? "";
  const known = discoveryRoles.find((candidate) => candidate === role);
  const namespaces = section.section("namespaces");
  if (known === undefined) {
    if (role !== "ingress" && role !== "endpointslice")
      throw section.fault("role", `expected one of ${discoveryRoles.join(", ")}, got "${role}"`);
    warnings.push(`job ${job}: targets are not discovered from ${role} objects here`);
    return [];
  }
  if (section.has("selectors"))
    warnings.push(`job ${job}: selectors have no effect here: use a relabel rule with the action keep`);
  if (section.has("api_server") || section.has("kubeconfig_file"))
    warnings.push(`job ${job}: targets are discovered in this cluster only`);
  return [{ role: known, namespaces: namespaces.list("names"), ownNamespace: namespaces.flag("own_namespace", false) }];
}

function parseRule(section: Section): RelabelRule {
  const action = (section.text("action") ?? "replace").toLowerCase();
  const known = relabelActions.find((candidate) => candidate === action);
  if (known === undefined) {
    const near = nearestName(action, [...relabelActions]);
    throw section.fault("action", `"${action}" is unknown${near === undefined ? "" : `; did you mean ${near}?`}`);
  }
  const targetLabel = section.text("target_label") ?? "";
  if (targetLabel === "" && ["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"].includes(known))
    throw section.fault("target_label", `the action ${known} needs one`);
  const modulus = section.number("modulus") ?? 0;
  if (known === "hashmod" && !(modulus > 0))
    throw section.fault("modulus", "the action hashmod needs a number above 0");
  const expression = section.text("regex") ?? "(.*)";
  try {
    const regex = compileWhole(expression);
    return {
      action: known,
      sourceLabels: section.list("source_labels"),
      separator: section.text("separator") ?? ";",
      regex,
      targetLabel,
      replacement: section.text("replacement") ?? "$1",
      modulus,
    };
  } catch (error) {
    throw section.fault("regex", messageOf(error));
  }
}

class Section {
  readonly #fields: Tree;
  readonly #path: string;
  readonly #warnings: string[];

  constructor(value: unknown, path: string, warnings: string[]) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw userError("file-invalid", `${path}: expected a map`);
    this.#fields = value as Tree;
    this.#path = path;
    this.#warnings = warnings;
  }

  fault(name: string, reason: string): Error {
    return userError("file-invalid", `${this.#path}: ${name}: ${reason}`);
  }

  has(name: string): boolean {
    const value = this.#fields[name];
    return value !== undefined && value !== null;
  }

  fingerprint(context: unknown): string {
    return createHash("sha256")
      .update(JSON.stringify([this.#fields, context]))
      .digest("hex");
  }

  keys(): string[] {
    return Object.keys(this.#fields);
  }

  section(name: string): Section {
    return new Section(this.#fields[name] ?? {}, `${this.#path}: ${name}`, this.#warnings);
  }

  sections(name: string): Section[] {
    const value = this.#fields[name] ?? [];
    if (!Array.isArray(value)) throw this.fault(name, "expected a list");
    return value.map((entry, index) => new Section(entry, `${this.#path}: ${name}[${index}]`, this.#warnings));
  }

  /** A string field. Numbers and booleans become strings, because a regex may be `true`. */
  text(name: string): string | undefined {
    return this.has(name) ? textOf(this.#fields[name], () => this.fault(name, "expected a string")) : undefined;
  }

  number(name: string): number | undefined {
    const value = this.#fields[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "number") throw this.fault(name, "expected a number");
    return value;
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.#fields[name] ?? otherwise;
    if (typeof value !== "boolean") throw this.fault(name, "expected true or false");
    return value;
  }

  durationMs(name: string, otherwiseMs: number): number {
    const text = this.text(name);
    if (text === undefined) return otherwiseMs;
    const durationMs = parseDurationMs(text);
    if (durationMs === undefined || durationMs === 0)
      throw this.fault(name, `expected a duration such as 15s, got "${text}"`);
    return durationMs;
  }

  list(name: string): string[] {
    const value = this.#fields[name] ?? [];
    if (!Array.isArray(value)) throw this.fault(name, "expected a list of strings");
    return value.map((entry, index) => textOf(entry, () => this.fault(`${name}[${index}]`, "expected a string")));
  }

  strings(name: string): Map<string, string> {
    const section = this.section(name);
    return new Map(section.keys().map((key) => [key, section.text(key) ?? ""]));
  }

  stringLists(name: string): Map<string, string[]> {
    const section = this.section(name);
    return new Map(section.keys().map((key) => [key, section.list(key)]));
  }
}

function textOf(value: unknown, fault: () => Error): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw fault();
}
