import { userError } from "../../base/index.ts";
import { Inventory, messageTypes, nameOf, type ParsedIssues } from "../../analyze/index.ts";
import { formatIssues, type KindDefinition } from "../../api/index.ts";
import {
  authorizationPolicyKind,
  closedPolicySpec,
  defaultRevision,
  istioKinds,
  virtualServiceKind,
  withCorrectedHeaders,
  type VirtualService,
} from "../../api/istio/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { readAnalysedCluster } from "../../preflight/analysed-cluster/index.ts";
import {
  gatewayDefinitions,
  lackedVersions,
  oldestMinor,
  readJson,
  serverVersion,
  whyNot,
} from "../cluster-readiness/index.ts";
import { paint } from "../terminal/colour.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, type CommonFlags } from "../flags.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";

export interface PrecheckFlags extends CommonFlags {
  readonly revision?: string;
  readonly skipControlplane?: boolean;
  readonly outputThreshold: string;
  readonly output?: string;
  readonly fromVersion?: string;
}

type Level = "Error" | "Warning" | "Info";

/** A finding. Users find its documentation by istioctl's code. */
interface Finding {
  readonly code: string;
  readonly level: Level;
  readonly origin: string;
  readonly message: string;
}

const levels: readonly Level[] = ["Info", "Warning", "Error"];

/** Checks whether a mesh can be installed or upgraded in the cluster. Throws if something prevents it. */
export async function precheck(flags: PrecheckFlags, context: CliContext): Promise<void> {
  const threshold = levels.find((level) => level.toLowerCase() === flags.outputThreshold.toLowerCase());
  if (threshold === undefined)
    throw userError(
      "argument-invalid",
      `--output-threshold ${flags.outputThreshold} is unknown: expected one of ${levels.join(", ")}`,
    );
  const format = flags.output === "log" ? "table" : outputFormat(flags.output, ["log", "json", "yaml"]);
  const client = await context.connect(flags);
  const scope = { istioNamespace: istioNamespaceOf(flags), revision: flags.revision ?? defaultRevision };
  const found = flags.skipControlplane === true ? [] : await checkControlPlane(client, scope);
  if (flags.fromVersion !== undefined) found.push(...(await checkFromVersion(client, flags.fromVersion)));
  const shown = found.filter(({ level }) => levels.indexOf(level) >= levels.indexOf(threshold));
  if (format !== "table") context.out(await renderValue(shown, format));
  else
    for (const { code, level, origin, message } of shown)
      context.out(`${paint(context, level === "Error" ? "red" : "yellow", level)} [${code}] (${origin}) ${message}\n`);
  if (found.some(({ level }) => level !== "Info")) {
    throw userError(
      "problem-found",
      "Issues found when checking the cluster. Istio may not be safe to install or upgrade.",
      { hint: "each line above says what to change; its code is a code of Istio's configuration analysis" },
    );
  }
  if (shown.length === 0)
    context.err(
      `${paint(context, "green", "✔")} No issues found when checking the cluster. Istio is safe to install or upgrade!\n`,
    );
}

interface Scope {
  readonly istioNamespace: string;
  readonly revision: string;
}

async function checkControlPlane(client: KubeClient, scope: Scope): Promise<Finding[]> {
  const parts = await Promise.all([
    checkServerVersion(client),
    checkPermissions(client, scope.istioNamespace),
    checkGatewayApi(client),
    checkStoredObjects(client, scope),
  ]);
  return parts.flat();
}

async function checkServerVersion(client: KubeClient): Promise<Finding[]> {
  const { text, supported } = await serverVersion(client);
  if (supported) return [];
  return [
    {
      code: "IST0142",
      level: "Error",
      origin: "Cluster",
      message: `The Kubernetes Version "${text}" is lower than the minimum version: 1.${oldestMinor}`,
    },
  ];
}

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
      const reason = await whyNot(client, {
        verb: "create",
        group,
        resource,
        ...(namespaced ? { namespace: istioNamespace } : {}),
      });
      if (reason === undefined) return [];
      return [
        {
          code: "IST0141",
          level: "Error",
          origin: "Cluster",
          message: `Missing required permission to create resource ${resource}${namespaced ? ` in namespace ${istioNamespace}` : ""} (${reason})`,
        },
      ];
    }),
  );
  return findings.flat();
}

async function checkGatewayApi(client: KubeClient): Promise<Finding[]> {
  const read = await gatewayDefinitions(client);
  if (read.state === "forbidden")
    throw userError("forbidden", `you may not read the definitions of kinds: ${read.reason}`, {
      hint: "kubectl auth can-i list customresourcedefinitions",
    });
  if (read.state === "absent") return [];
  return read.value.flatMap((definition) =>
    lackedVersions(definition).map(({ code, level, version }) => ({
      code,
      level,
      origin: `CustomResourceDefinition ${definition.name}`,
      message: `The Gateway API CRD version ${definition.served.length === 0 ? "none" : definition.served.toSorted().join(",")} is lower than the minimum version: ${version}`,
    })),
  );
}

/** The time limit of all lists together. A large cluster has many thousand objects, which take time to list. */
const readTimeoutMs = 300_000;

/**
 * Finds stored objects of Istio's kinds that this release's control plane refuses, or does not fully serve. Leaves out
 * objects that belong to other revisions, because this control plane does not read them.
 */
async function checkStoredObjects(client: KubeClient, scope: Scope): Promise<Finding[]> {
  const { objects, unread } = await readAnalysedCluster(
    client,
    { ...scope, kinds: istioKinds },
    { timeoutMs: readTimeoutMs },
  );
  const inventory = new Inventory(
    objects.map((object) => ({ object })),
    { scope: "cluster", istioNamespace: scope.istioNamespace },
  );
  const code = messageTypes.schemaValidationError.code;
  return istioKinds.flatMap((kind): Finding[] => {
    const reason = unread.get(`${kind.group}/${kind.kind}`);
    if (reason !== undefined)
      return [
        { code, level: "Warning", origin: kind.kind, message: `Stored objects are not checked: ${reason.message}` },
      ];
    return inventory
      .issuesOf(kind)
      .filter(({ errors }) => errors.length > 0)
      .map((found) => ({ code, origin: nameOf(found.resource), ...verdict(kind, found) }));
  });
}

/** Says what the control plane does with an object that has errors and of which it remembers no valid version. */
function verdict(kind: KindDefinition, { resource, errors }: ParsedIssues): Pick<Finding, "level" | "message"> {
  const { object } = resource;
  const corrected =
    kind === virtualServiceKind ? withCorrectedHeaders(object as unknown as VirtualService, errors) : undefined;
  if (corrected !== undefined)
    return { level: "Warning", message: `is served except for faulty fields: ${formatIssues(corrected.issues)}` };
  const closed = kind === authorizationPolicyKind ? closedPolicySpec(object) : undefined;
  const instead =
    closed === undefined ? "" : `, and ${closed.action === "ALLOW" ? "allows nothing" : "denies all that it selects"}`;
  return { level: "Error", message: `is refused${instead}: ${formatIssues(errors)}` };
}

/** The last minor release that sent traces to Zipkin by default. */
const lastWithTracing = 21;

async function checkFromVersion(client: KubeClient, version: string): Promise<Finding[]> {
  const [, minor] = /^1\.(\d+)(?:\.\d+)?$/.exec(version) ?? [];
  if (minor === undefined)
    throw userError("argument-invalid", `--from-version must be a version of Istio such as 1.21, got "${version}"`);
  if (Number(minor) > lastWithTracing) return [];
  const { state } = await readJson(client, "/api/v1/namespaces/istio-system/services/zipkin");
  if (state !== "read") return [];
  return [
    {
      code: "IST0169",
      level: "Warning",
      origin: "Service istio-system/zipkin",
      message:
        'The configuration "meshConfig.defaultConfig.tracer" changed in release 1.21: traces no longer go to zipkin.istio-system.svc by default; add it as an extension provider, and select it in a Telemetry',
    },
  ];
}
