import { defineKind } from "../../kind.ts";
import type { KubernetesObject } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import type { Reader } from "../../reader.ts";
import { checkLabels } from "../checks.ts";
import {
  openObject,
  readPortNumber,
  readText,
  refuseDryRun,
  refuseUnknown,
  requireText,
  warnOfUnknown,
} from "../fields.ts";
import { networkingGroup, networkingVersions } from "../networking-group.ts";
import { readWorkloadEntry, type WorkloadEntrySpec } from "./workload-entry.ts";

export interface WorkloadGroup extends KubernetesObject {
  spec: WorkloadGroupSpec;
}

export interface WorkloadGroupSpec {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  /** The spec of each WorkloadEntry. It has no address, because the workload adds its own. */
  readonly template: WorkloadEntrySpec;
  readonly probe?: WorkloadProbe | undefined;
}

/** The readiness probe of a workload. Absent numbers get Kubernetes' defaults. */
export interface WorkloadProbe {
  readonly method: ProbeMethod;
  readonly initialDelaySeconds?: number | undefined;
  readonly timeoutSeconds?: number | undefined;
  readonly periodSeconds?: number | undefined;
  readonly successThreshold?: number | undefined;
  readonly failureThreshold?: number | undefined;
}

export type ProbeMethod =
  | {
      readonly kind: "httpGet";
      readonly path: string;
      readonly port: number;
      readonly host: string;
      readonly scheme: "HTTP" | "HTTPS";
      readonly httpHeaders: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly kind: "tcpSocket"; readonly host: string; readonly port: number }
  | { readonly kind: "exec"; readonly command: readonly string[] }
  | { readonly kind: "grpc"; readonly port: number; readonly service: string };

const numbers = [
  "initialDelaySeconds",
  "timeoutSeconds",
  "periodSeconds",
  "successThreshold",
  "failureThreshold",
] as const;
const methods = ["httpGet", "tcpSocket", "exec", "grpc"] as const;

function parseWorkloadGroup(raw: unknown): Parsed<WorkloadGroup> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const metadata = reader.object("metadata");
  const template = reader.required("template", reader.object("template")) ?? reader.empty("template");
  const spec: WorkloadGroupSpec = {
    metadata: { labels: metadata?.stringMap("labels") ?? {}, annotations: metadata?.stringMap("annotations") ?? {} },
    template: readWorkloadEntry(template, { allowNames: true, isTemplate: true }),
    probe: readProbe(reader.object("probe")),
  };
  if (metadata !== undefined) checkLabels(metadata, "labels", spec.metadata.labels);
  warnOfUnknown(metadata);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as WorkloadGroup), spec }));
}

function readProbe(reader: Reader | undefined): WorkloadProbe | undefined {
  if (reader === undefined) return undefined;
  const found = methods.filter((method) => reader.has(method));
  if (found.length !== 1) reader.error(`must have exactly one of ${methods.join(", ")}, got ${found.length}`);
  const method = readMethod(reader, found[0] ?? "tcpSocket");
  const probe: WorkloadProbe = {
    method,
    ...Object.fromEntries(numbers.map((field) => [field, reader.integer(field, 0)])),
  };
  refuseUnknown(reader);
  return probe;
}

function readMethod(probe: Reader, kind: ProbeMethod["kind"]): ProbeMethod {
  const reader = probe.object(kind) ?? probe.empty(kind);
  const method = readMethodOf(reader, kind);
  if (probe.has(kind)) refuseUnknown(reader);
  return method;
}

function readMethodOf(reader: Reader, kind: ProbeMethod["kind"]): ProbeMethod {
  if (kind === "exec") {
    const command = reader.strings("command");
    if (command.length === 0) reader.error("must have at least one word", "command");
    return { kind, command };
  }
  const port = reader.required("port", readPortNumber(reader, "port")) ?? 0;
  if (kind === "grpc") return { kind, port, service: reader.string("service") ?? "" };
  const host = reader.string("host") ?? "";
  if (kind === "tcpSocket") return { kind, port, host };
  return {
    kind,
    port,
    host,
    path: readText(reader, "path") ?? "/",
    scheme: reader.string("scheme") === "" ? "HTTP" : (reader.oneOf("scheme", ["HTTP", "HTTPS"]) ?? "HTTP"),
    httpHeaders: reader.objects("httpHeaders").map(readHeader),
  };
}

function readHeader(reader: Reader): { name: string; value: string } {
  const header = { name: requireText(reader, "name"), value: reader.string("value") ?? "" };
  if (header.name !== "" && !/^[-A-Za-z0-9]+$/.test(header.name))
    reader.error(`must be the name of a header of letters, digits and dashes, got "${header.name}"`, "name");
  refuseUnknown(reader);
  return header;
}

export const workloadGroupKind = defineKind<WorkloadGroup>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "WorkloadGroup",
  plural: "workloadgroups",
  namespaced: true,
  parse: parseWorkloadGroup,
});
