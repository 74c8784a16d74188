import { userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { paint } from "../colour.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, type CommonFlags } from "../flags.ts";
import { outputFormat, renderValue } from "../output.ts";

export interface PrecheckFlags extends CommonFlags {
  readonly skipControlplane?: boolean;
  readonly outputThreshold: string;
  readonly output?: string;
  readonly fromVersion?: string;
}

type Level = "Error" | "Warning" | "Info";

/** With istioctl's codes, so that what is written about them can be found. */
interface Finding {
  readonly code: string;
  readonly level: Level;
  readonly origin: string;
  readonly message: string;
}

const levels: readonly Level[] = ["Info", "Warning", "Error"];

/** Whether a mesh can be installed into the cluster, or upgraded there. Throws when something is in the way. */
export async function precheck(flags: PrecheckFlags, context: CliContext): Promise<void> {
  const threshold = levels.find((level) => level.toLowerCase() === flags.outputThreshold.toLowerCase());
  if (threshold === undefined)
    throw userError(
      "level-unknown",
      `--output-threshold ${flags.outputThreshold} is unknown: expected one of ${levels.join(", ")}`,
    );
  const format = flags.output === "log" ? "table" : outputFormat(flags.output, ["log", "json", "yaml"]);
  const client = await context.connect(flags);
  const found = flags.skipControlplane === true ? [] : await checkControlPlane(client, istioNamespaceOf(flags));
  if (flags.fromVersion !== undefined) found.push(...(await checkFromVersion(client, flags.fromVersion)));
  const shown = found.filter(({ level }) => levels.indexOf(level) >= levels.indexOf(threshold));
  if (format !== "table") context.out(await renderValue(shown, format));
  else
    for (const { code, level, origin, message } of shown)
      context.out(`${paint(context, level === "Error" ? "red" : "yellow", level)} [${code}] (${origin}) ${message}\n`);
  if (found.some(({ level }) => level !== "Info")) {
    throw userError(
      "precheck-failed",
      "Issues found when checking the cluster. Istio may not be safe to install or upgrade.",
      { hint: "each of the lines above says what to change; the codes are those of Istio's configuration analysis" },
    );
  }
  if (shown.length === 0)
    context.err(
      `${paint(context, "green", "✔")} No issues found when checking the cluster. Istio is safe to install or upgrade!\n`,
    );
}

async function checkControlPlane(client: KubeClient, istioNamespace: string): Promise<Finding[]> {
  const parts = await Promise.all([
    checkServerVersion(client),
    checkPermissions(client, istioNamespace),
    checkGatewayApi(client),
  ]);
  return parts.flat();
}

/** The oldest minor version that Istio 1.31 supports. */
const oldestMinor = 32;

async function checkServerVersion(client: KubeClient): Promise<Finding[]> {
  const { gitVersion = "" } = (await getJson(client, "/version")) as { readonly gitVersion?: string };
  const [, major = "0", minor = "0"] = /^v?(\d+)\.(\d+)/.exec(gitVersion) ?? [];
  if (Number(major) > 1 || Number(minor) >= oldestMinor) return [];
  return [
    {
      code: "IST0142",
      level: "Error",
      origin: "Cluster",
      message: `The Kubernetes Version "${gitVersion}" is lower than the minimum version: 1.${oldestMinor}`,
    },
  ];
}

/** What an installation creates. */
const created: readonly { readonly group: string; readonly resource: string; readonly namespaced: boolean }[] = [
  { group: "", resource: "namespaces", namespaced: false },
  { group: "rbac.authorization.k8s.io", resource: "clusterroles", namespaced: false },
  { group: "rbac.authorization.k8s.io", resource: "clusterrolebindings", namespaced: false },
  { group: "apiextensions.k8s.io", resource: "customresourcedefinitions", namespaced: false },
  { group: "rbac.authorization.k8s.io", resource: "roles", namespaced: true },
  { group: "", resource: "serviceaccounts", namespaced: true },
  { group: "", resource: "services", namespaced: true },
  { group: "apps", resource: "deployments", namespaced: true },
  { group: "apps", resource: "daemonsets", namespaced: true },
  { group: "", resource: "configmaps", namespaced: true },
  { group: "admissionregistration.k8s.io", resource: "mutatingwebhookconfigurations", namespaced: false },
  { group: "admissionregistration.k8s.io", resource: "validatingwebhookconfigurations", namespaced: false },
];

async function checkPermissions(client: KubeClient, istioNamespace: string): Promise<Finding[]> {
  const findings = await Promise.all(
    created.map(async ({ group, resource, namespaced }): Promise<Finding[]> => {
      const resourceAttributes = {
        ...(namespaced ? { namespace: istioNamespace } : {}),
        verb: "create",
        group,
        version: "v1",
        resource,
      };
      const body = {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes },
      };
      const answer = await client.raw("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { body });
      const { status } =
        answer.status < 300
          ? (JSON.parse(answer.text) as { readonly status?: { readonly allowed?: boolean; readonly reason?: string } })
          : { status: { allowed: false, reason: `the review was answered ${answer.status}` } };
      if (status?.allowed === true) return [];
      const reason = status?.reason === undefined || status.reason === "" ? "permission denied" : status.reason;
      return [
        {
          code: "IST0143",
          level: "Error",
          origin: "Cluster",
          message: `Missing required permission to create resource ${resource}${namespaced ? ` in namespace ${istioNamespace}` : ""} (${reason})`,
        },
      ];
    }),
  );
  return findings.flat();
}

interface Definition {
  readonly metadata?: { readonly name?: string };
  readonly spec?: {
    readonly group?: string;
    readonly names?: { readonly kind?: string };
    readonly versions?: readonly { readonly name?: string; readonly served?: boolean }[];
  };
}

/** Kinds that must be served in a version, if they are there at all. */
const gatewayVersions: readonly {
  readonly version: string;
  readonly code: string;
  readonly level: Level;
  readonly kinds: readonly string[];
}[] = [
  {
    version: "v1beta1",
    code: "IST0156",
    level: "Error",
    kinds: ["Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant"],
  },
  { version: "v1", code: "IST0172", level: "Warning", kinds: ["Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute"] },
];

async function checkGatewayApi(client: KubeClient): Promise<Finding[]> {
  const { items = [] } = (await getJson(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")) as {
    readonly items?: readonly Definition[];
  };
  return items
    .filter(({ spec }) => spec?.group === "gateway.networking.k8s.io")
    .flatMap(({ metadata, spec }) => {
      const served = (spec?.versions ?? []).filter((version) => version.served === true).map(({ name = "" }) => name);
      return gatewayVersions
        .filter(({ kinds, version }) => kinds.includes(spec?.names?.kind ?? "") && !served.includes(version))
        .map(({ code, level, version }) => ({
          code,
          level,
          origin: `CustomResourceDefinition ${metadata?.name ?? ""}`,
          message: `The Gateway API CRD version ${served.length === 0 ? "none" : served.toSorted().join(",")} is lower than the minimum version: ${version}`,
        }));
    });
}

async function getJson(client: KubeClient, path: string): Promise<unknown> {
  const answer = await client.raw("GET", path);
  if (answer.status === 403)
    throw userError("forbidden", `you may not read ${path}`, { hint: "kubectl auth can-i --list" });
  return answer.status === 200 ? JSON.parse(answer.text) : {};
}

/** The last minor release whose defaults sent traces to Zipkin. */
const lastWithTracing = 21;

async function checkFromVersion(client: KubeClient, version: string): Promise<Finding[]> {
  const [, minor] = /^1\.(\d+)(?:\.\d+)?$/.exec(version) ?? [];
  if (minor === undefined)
    throw userError("version-invalid", `--from-version must be a version of Istio such as 1.21, got "${version}"`);
  if (Number(minor) > lastWithTracing) return [];
  const answer = await client.raw("GET", "/api/v1/namespaces/istio-system/services/zipkin");
  if (answer.status !== 200) return [];
  return [
    {
      code: "IST0169",
      level: "Warning",
      origin: "Service istio-system/zipkin",
      message:
        'The configuration "meshConfig.defaultConfig.tracer" changed in release 1.21: traces go to zipkin.istio-system.svc no longer by default; name it as an extension provider, and choose it by a Telemetry',
    },
  ];
}
