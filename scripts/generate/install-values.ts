// Reads the keys of `spec.values` from Istio's repository: from a proto file, and from the defaults of each chart.
import { execFileSync } from "node:child_process";
import { parse } from "yaml";

export function git(clone: string, ...args: readonly string[]): string {
  return execFileSync("git", ["-C", clone, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "ignore"],
  });
}

/** Returns the messages of a proto file. Each message has the type of each field by the field's name. */
export function messagesIn(proto: string): Map<string, Map<string, string>> {
  const messages = new Map<string, Map<string, string>>();
  const stack: string[] = [];
  for (const line of proto
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .split("\n")
    .map((each) => each.replace(/\/\/.*/, "").trim())) {
    const opened = /^(?:message|enum|oneof)\s+(\w+)/.exec(line);
    if (opened?.[1] !== undefined) {
      stack.push(line.startsWith("oneof") ? (stack.at(-1) ?? "") : opened[1]);
      if (line.startsWith("message")) messages.set(opened[1], new Map());
    }
    const field = /^(?:repeated\s+|optional\s+)?(map\s*<.*>|[\w.]+)\s+(\w+)\s*=\s*\d+\s*(\[.*)?/.exec(line);
    if (
      field?.[1] !== undefined &&
      field[2] !== undefined &&
      opened === null &&
      !["option", "syntax"].includes(field[1])
    ) {
      const json = /json_name\s*=\s*"([^"]+)"/.exec(field[3] ?? "")?.[1];
      messages.get(stack.at(-1) ?? "")?.set(json ?? field[2], line.startsWith("repeated") ? "repeated" : field[1]);
    }
    if (line.includes("}")) stack.pop();
  }
  return messages;
}

/** The charts of an installation, and the key of `spec.values` for each chart's own values. */
const charts: readonly (readonly [folder: string, key: string | undefined])[] = [
  ["base", undefined],
  ["istio-control/istio-discovery", undefined],
  ["gateways/istio-ingress", undefined],
  ["gateways/istio-egress", undefined],
  ["istio-cni", "cni"],
  ["ztunnel", "ztunnel"],
  ["istiod-remote", undefined],
];

/** Keys of istiod's chart that stand beside `pilot` instead of below it. */
const rootKeys: Readonly<Record<string, true>> = {
  global: true,
  pilot: true,
  sidecarInjectorWebhook: true,
  istiodRemote: true,
  telemetry: true,
  revision: true,
  revisionTags: true,
  ownerName: true,
  meshConfig: true,
  experimental: true,
  base: true,
  gateways: true,
  gatewayClasses: true,
  compatibilityVersion: true,
  profile: true,
  defaultRevision: true,
  platform: true,
  pdb: true,
  istio_cni: true,
};

export interface InstallValues {
  /** The messages of the proto file. Undefined if the release has none. */
  readonly messages: Map<string, Map<string, string>> | undefined;
  /** The default of each key of the charts, with the keys above it. */
  readonly defaults: readonly (readonly [path: readonly string[], value: unknown])[];
}

export function installValues(clone: string, reference: string, minor: number): InstallValues {
  const files = git(clone, "ls-tree", "-r", "--name-only", reference, "operator", "manifests").split("\n");
  const proto = files.find((file) => file.endsWith("values_types.proto"));
  const defaults: [string[], unknown][] = [];
  for (const [folder, under] of charts) {
    const file = `manifests/charts/${folder}/values.yaml`;
    if (!files.includes(file)) continue;
    const parsed = parse(git(clone, "show", `${reference}:${file}`)) as Record<string, unknown>;
    const given = (parsed["_internal_defaults_do_not_set"] ?? parsed["defaults"] ?? parsed) as Record<string, unknown>;
    for (const [name, value] of Object.entries(given)) {
      const own =
        under ?? (folder.endsWith("istio-discovery") && !(name in rootKeys) && minor >= 24 ? "pilot" : undefined);
      const isRoot = own === undefined || name === own || name === "global";
      defaults.push([isRoot ? [name] : [own, name], value]);
    }
  }
  return {
    messages: proto === undefined ? undefined : messagesIn(git(clone, "show", `${reference}:${proto}`)),
    defaults,
  };
}
