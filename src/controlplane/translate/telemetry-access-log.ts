import type { TelemetryAccessLogging } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import { PolicySelection, type PolicySubject } from "../model/authorization-selection.ts";
import type { MeshSettings, TelemetryFacts } from "../model/facts.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { hasSelector } from "../model/selection.ts";
import { fileAccessLogs, meshAccessLogs, type AccessLogInit } from "./access-log.ts";

/** Upstream's provider that needs no definition: a file log of the mesh config's form. */
const builtInProvider = "envoy";

/** Which access logs proxies write: the mesh config's, as Telemetry of the mesh, the namespace and the workload changes it. */
export class AccessLogPolicies {
  readonly #selection: PolicySelection<TelemetryFacts>;

  constructor(inputs: MeshInputs) {
    this.#selection = new PolicySelection(inputs.telemetries);
  }

  logsFor(subject: PolicySubject, side: "CLIENT" | "SERVER", mesh: MeshSettings, reader: CollectionReader): AccessLogInit[] {
    const levels = levelsOf(this.#selection.attachedTo(subject, mesh.rootNamespace, reader), mesh.rootNamespace);
    const asked = levels.filter((telemetry) => telemetry.spec.accessLogging.length > 0);
    if (asked.length === 0 && mesh.defaultAccessLogProviders.length === 0) return meshAccessLogs(mesh);
    let providers: readonly string[] = mesh.defaultAccessLogProviders;
    for (const telemetry of asked) providers = applied(telemetry.spec.accessLogging, providers, side);
    return providers.flatMap((name) => providerLogs(name, mesh));
  }
}

/** The oldest of each level: the mesh's, the namespace's, the workload's. */
function levelsOf(attached: readonly TelemetryFacts[], rootNamespace: string): readonly TelemetryFacts[] {
  const levels: TelemetryFacts[][] = [[], [], []];
  for (const telemetry of attached) {
    const narrow = telemetry.spec.targetRefs.length > 0 || hasSelector(telemetry);
    levels[narrow ? 2 : telemetry.namespace === rootNamespace ? 0 : 1]?.push(telemetry);
  }
  return levels.flatMap(([oldest]) => oldest ?? []);
}

/** Entries of the side; who names no provider speaks of those there are, or of the built-in one. */
function applied(entries: readonly TelemetryAccessLogging[], inherited: readonly string[], side: "CLIENT" | "SERVER"): readonly string[] {
  const own = entries.filter((entry) => entry.match === undefined || entry.match.mode === "CLIENT_AND_SERVER" || entry.match.mode === side);
  let providers = own.some((entry) => entry.providers.length > 0 && entry.disabled !== true) ? [] : [...inherited];
  for (const entry of own) {
    const names = entry.providers.length > 0 ? entry.providers.map((provider) => provider.name) : inherited.length > 0 ? inherited : [builtInProvider];
    providers = providers.filter((name) => !names.includes(name));
    if (entry.disabled !== true) providers.push(...names);
  }
  return providers;
}

/** Of a provider that is not known, or that is no file, nothing is written. */
function providerLogs(name: string, mesh: MeshSettings): AccessLogInit[] {
  const { accessLogEncoding: encoding, accessLogFormat: format } = mesh;
  const provider = mesh.extensionProviders.find((candidate) => candidate.name === name);
  if (provider === undefined) return name === builtInProvider ? fileAccessLogs({ path: mesh.accessLogFile === "" ? "/dev/stdout" : mesh.accessLogFile, encoding, format }) : [];
  if (provider.kind !== "access-log-file") return [];
  const { path, text, labels } = provider.settings;
  if (labels !== undefined) return fileAccessLogs({ path, encoding: "JSON", format: JSON.stringify(labels) });
  return fileAccessLogs(text === "" ? { path, encoding, format } : { path, encoding: "TEXT", format: text });
}
