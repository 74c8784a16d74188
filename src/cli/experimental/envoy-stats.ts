import { jsonText, userError } from "../../base/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { CliContext } from "../context.ts";
import { findPods, findPodsByLabel } from "../proxies/pods.ts";
import { asProxyPod, askAdmin, type AdminFlags } from "../proxies/proxy-admin.ts";

export interface StatsFlags extends AdminFlags {
  readonly output: string;
  readonly type: string;
  readonly selector?: string;
}

const outputs = ["short", "json", "yaml", "prom", "prom-merged"];

export async function envoyStats(name: string | undefined, flags: StatsFlags, context: CliContext): Promise<void> {
  if (!outputs.includes(flags.output))
    throw userError("argument-invalid", `--output ${flags.output} is unknown: expected one of ${outputs.join(", ")}`);
  if (!["server", "cluster", "clusters"].includes(flags.type))
    throw userError("argument-invalid", `unknown stats type ${flags.type}: expected server or clusters`);
  if ((name === undefined) === (flags.selector === undefined)) {
    throw userError(
      "argument-missing",
      name === undefined
        ? "stats requires pod name or label selector"
        : "name cannot be provided when the label selector is specified",
      { hint: `${context.programName} experimental envoy-stats deployment/web -n shop` },
    );
  }
  const client = await context.connect(flags);
  const pods =
    name === undefined
      ? await findPodsByLabel(client, flags.selector ?? "", flags, context)
      : await findPods(client, name, flags, context);
  for (const pod of pods) {
    const text = await statsOf(pod, flags, context);
    const shown =
      flags.output === "json"
        ? jsonText(JSON.parse(text))
        : flags.output === "yaml"
          ? (await import("yaml")).stringify(JSON.parse(text))
          : text;
    context.out(`\nThe result of pod ${pod.metadata.name ?? ""}:\n\n${shown}`);
  }
}

async function statsOf(pod: Pod, flags: StatsFlags, context: CliContext): Promise<string> {
  const proxy = asProxyPod(pod, context);
  const asJson = flags.output === "json" || flags.output === "yaml" ? "?format=json" : "";
  if (flags.type !== "server") {
    if (flags.output.startsWith("prom"))
      throw userError("argument-invalid", "--type clusters has no Prometheus form: expected short, json or yaml");
    return await askAdmin(proxy, "GET", `/clusters${asJson}`, flags, context);
  }
  if (flags.output === "prom") return await askAdmin(proxy, "GET", "/stats/prometheus", flags, context);
  if (flags.output !== "prom-merged") return await askAdmin(proxy, "GET", `/stats${asJson}`, flags, context);
  // These annotations of the pod name the endpoint that serves the metrics of the application and of the proxy.
  const { "prometheus.io/path": path = "/stats/prometheus", "prometheus.io/port": port = "15020" } =
    pod.metadata.annotations ?? {};
  return await askAdmin(proxy, "GET", path, { ...flags, proxyAdminPort: Number(port) }, context);
}
