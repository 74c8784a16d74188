import { stringOf } from "../../base/index.ts";
import type { ConfigDump, Json } from "../../proxy-dump/index.ts";

interface BuildVersion {
  readonly version?: { readonly majorNumber?: number; readonly minorNumber?: number; readonly patch?: number };
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The versions of Istio and Envoy that a proxy reports. A proxy other than Envoy reports its name too. */
export function bootstrapSummary(dump: ConfigDump): string {
  const node = dump.node();
  const metadata = (node["metadata"] ?? {}) as Json;
  const lines: [string, string][] = [
    ["Istio Version:", stringOf(metadata["ISTIO_VERSION"])],
    ["Istio Proxy Version:", stringOf(metadata["ISTIO_PROXY_SHA"]).split(":").at(-1) ?? ""],
    ["Envoy Version:", envoyVersion(node)],
  ];
  const known = lines.filter(([, value]) => value !== "");
  const width = Math.max(0, ...known.map(([label]) => label.length)) + 1;
  return known.map(([label, value]) => `${label.padEnd(width)}${value}\n`).join("");
}

function envoyVersion({ userAgentBuildVersion, userAgentName, userAgentVersion }: Json): string {
  if (userAgentBuildVersion === undefined)
    return [userAgentName, userAgentVersion].filter((part) => typeof part === "string").join("/");
  const { version: { majorNumber = 0, minorNumber = 0, patch = 0 } = {}, metadata = {} } =
    userAgentBuildVersion as BuildVersion;
  const label = metadata["build.label"] === undefined ? "" : `-${metadata["build.label"]}`;
  const rest = ["revision.status", "build.type", "ssl.version"].flatMap((key) =>
    metadata[key] === undefined ? [] : [`/${metadata[key]}`],
  );
  return `${majorNumber}.${minorNumber}.${patch}${label}${rest.join("")}`;
}
