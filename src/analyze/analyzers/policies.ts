import { customResourceDefinitionKind, deploymentKind, namespaceKind, podKind } from "../../api/kubernetes/index.ts";
import {
  authorizationPolicyKind,
  istioLabels,
  requestAuthenticationKind,
  sidecarKind,
  telemetryKind,
  trafficExtensionKind,
  wasmPluginKind,
  type AuthorizationPolicy,
} from "../../api/istio/index.ts";
import { matchesLabels, type KubernetesObject, type LabelSelector } from "../../api/index.ts";
import { ownField, stringOf, valueAt } from "../../base/index.ts";
import { labelsText, listed, type Analyzer, type Report } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import { isInMesh, knowsAllWorkloads, pods, selected, workloads } from "../workloads.ts";

type Policy = Entry<AuthorizationPolicy>;

export const authorizationAnalyzer: Analyzer = {
  name: "auth.AuthorizationPoliciesAnalyzer",
  description: "AuthorizationPolicies select workloads of the mesh and name namespaces that exist",
  analyze(inventory, report) {
    for (const policy of inventory.of(authorizationPolicyKind)) {
      checkTarget(policy, inventory, report);
      checkNamespaces(policy, inventory, report);
    }
  },
};

function checkTarget({ resource, object: { metadata, spec } }: Policy, inventory: Inventory, report: Report): void {
  if (!knowsAllWorkloads(inventory) || spec.targetRefs.length > 0) return;
  const namespace = metadata.namespace ?? "";
  const isOfMesh = namespace === (inventory.options.meshConfig?.rootNamespace ?? inventory.options.istioNamespace);
  const labels = spec.selector?.matchLabels ?? {};
  if (isOfMesh && spec.selector === undefined) return;
  const found = selected(workloads(inventory), labels, isOfMesh ? undefined : namespace);
  if (found.some((workload) => isInMesh(workload, inventory))) return;
  // Files do not show whether these workloads are in the mesh, unless they contain the Namespace.
  if (inventory.options.scope === "files" && found.length > 0) return;
  const where = isOfMesh ? "the mesh" : `namespace ${namespace}`;
  const subject =
    spec.selector === undefined
      ? `there is no workload of the mesh in ${where}`
      : found.length === 0
        ? `selector ${labelsText(labels)} matches no pod of ${where}`
        : `selector ${labelsText(labels)} matches only pods that are not in the mesh (${listed(found.map(({ name }) => name))})`;
  report(
    messageTypes.noMatchingWorkloadsFound,
    resource,
    spec.selector === undefined ? "metadata.namespace" : "spec.selector.matchLabels",
    `${subject}, so the policy protects nothing; ${found.length > 0 ? "add them to the mesh" : "correct the selector, or the policy's namespace"}`,
  );
}

function checkNamespaces({ resource, object }: Policy, inventory: Inventory, report: Report): void {
  if (inventory.options.scope === "files" || !inventory.knowsAll(namespaceKind)) return;
  const names = inventory.of(namespaceKind).map(({ object: namespace }) => namespace.metadata.name ?? "");
  for (const [ruleIndex, { from }] of object.spec.rules.entries()) {
    for (const [fromIndex, source] of from.entries()) {
      for (const field of ["namespaces", "notNamespaces"] as const) {
        for (const [index, pattern] of source[field].entries()) {
          if (names.some((name) => fits(pattern, name))) continue;
          report(
            messageTypes.referencedResourceNotFound,
            resource,
            `spec.rules[${ruleIndex}].from[${fromIndex}].source.${field}[${index}]`,
            `namespace "${pattern}" does not exist, so ${field === "namespaces" ? "this source matches nobody" : "it excludes nobody"}; correct the name, or create the namespace`,
          );
        }
      }
    }
  }
}

function fits(pattern: string, name: string): boolean {
  if (pattern.startsWith("*")) return name.endsWith(pattern.slice(1));
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name.toLowerCase() === pattern.toLowerCase();
}

export const keySetAnalyzer: Analyzer = {
  name: "authn.BlockedCIDRsAnalyzer",
  description: "key sets of RequestAuthentications are fetched from allowed addresses only",
  analyze(inventory, report) {
    const checks = inventory.of(requestAuthenticationKind);
    if (checks.length === 0) return;
    for (const { resource, object } of inventory.of(deploymentKind)) {
      if (object.metadata.labels?.["app"] !== "istiod") continue;
      const variables = object.spec?.template.spec?.containers.flatMap(({ env = [] }) => env) ?? [];
      if (variables.some(({ name, value = "" }) => name === "BLOCKED_CIDRS_IN_JWKS_URIS" && value !== "")) continue;
      const names = checks
        .map(({ object: { metadata } }) => `${metadata.namespace ?? ""}/${metadata.name ?? ""}`)
        .toSorted();
      report(
        messageTypes.jwksUriFetchUnrestricted,
        resource,
        "metadata.name",
        `fetches the key sets that RequestAuthentication ${listed(names)} name${names.length === 1 ? "s" : ""} from any address, including addresses inside the cluster; block these with the variable BLOCKED_CIDRS_IN_JWKS_URIS, such as 10.0.0.0/8,169.254.0.0/16`,
      );
    }
  },
};

export const gatewaySelectorAnalyzer: Analyzer = {
  name: "k8sgateway.SelectorAnalyzer",
  description: "policies for gateways of the Gateway API use targetRefs",
  analyze(inventory, report) {
    const gateways = pods(inventory).filter(({ labels }) => labels[istioLabels.gatewayName] !== undefined);
    for (const kind of [
      authorizationPolicyKind,
      requestAuthenticationKind,
      telemetryKind,
      wasmPluginKind,
      trafficExtensionKind,
    ]) {
      for (const { resource, object } of inventory.of<KubernetesObject>(kind)) {
        const { selector, targetRefs = [] } = (
          object as unknown as { spec: { selector?: LabelSelector; targetRefs?: readonly unknown[] } }
        ).spec;
        if (selector === undefined || targetRefs.length > 0) continue;
        const pod = gateways.find(
          ({ namespace, labels }) =>
            namespace === object.metadata.namespace && matchesLabels(selector.matchLabels, labels),
        );
        if (pod === undefined) continue;
        const gateway = pod.labels[istioLabels.gatewayName] ?? "";
        report(
          messageTypes.ineffectiveSelector,
          resource,
          "spec.selector",
          `the selector names the pods of Gateway ${gateway}, but gateways of the Gateway API use only policies with targetRefs, so it has no effect there; write instead targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: ${gateway}}]`,
        );
      }
    }
  },
};

const removedGroup = "rbac.istio.io";

export const deprecationAnalyzer: Analyzer = {
  name: "deprecation.DeprecationAnalyzer",
  description: "no removed kinds, and no fields that are ignored",
  analyze(inventory, report) {
    for (const { resource, object } of inventory.of(sidecarKind)) {
      if (object.spec.outboundTrafficPolicy?.egressProxy !== undefined)
        report(
          messageTypes.deprecated,
          resource,
          "spec.outboundTrafficPolicy.egressProxy",
          "current proxies ignore egressProxy; use a VirtualService to send traffic for outside the mesh through an egress gateway",
        );
    }
    for (const { resource, object } of inventory.of(customResourceDefinitionKind)) {
      const { group = "", names } = object.spec ?? {};
      if (group === removedGroup)
        report(
          messageTypes.deprecated,
          resource,
          "metadata.name",
          `${names?.kind === undefined || names.kind === "" ? (object.metadata.name ?? "") : `kind ${names.kind}`} of ${removedGroup} was removed in Istio 1.6, and nothing reads it. Use AuthorizationPolicy objects, then delete this definition`,
        );
    }
    for (const { resource } of inventory.options.scope === "files"
      ? inventory.resources
          .filter(({ object }) => object.apiVersion?.startsWith(`${removedGroup}/`) === true)
          .map((found) => ({ resource: found }))
      : []) {
      report(
        messageTypes.deprecated,
        resource,
        "kind",
        `kind ${resource.object.kind ?? ""} of ${removedGroup} was removed in Istio 1.6, and nothing reads it. Use an AuthorizationPolicy`,
      );
    }
    for (const { group, kind } of ["MeshPolicy", "Policy"].map((name) => ({
      group: "authentication.istio.io",
      kind: name,
    }))) {
      for (const resource of inventory.raw({ group, kind }))
        report(
          messageTypes.deprecated,
          resource,
          "kind",
          `kind ${kind} of ${group} was removed in Istio 1.6, and nothing reads it. Use a PeerAuthentication, and a RequestAuthentication for tokens`,
        );
    }
  },
};

/** The CRDs of the Gateway API that a control plane of 1.31 reads, with the oldest bundle version that it supports. */
const minimumVersions: Readonly<Record<string, readonly [number, number, number]>> = {
  "grpcroutes.gateway.networking.k8s.io": [1, 1, 0],
  "backendtlspolicies.gateway.networking.k8s.io": [1, 4, 0],
  "tlsroutes.gateway.networking.k8s.io": [1, 5, 0],
};

export const definitionVersionAnalyzer: Analyzer = {
  name: "k8sgateway.CRDVersionAnalyzer",
  description: "the Gateway API's definitions are new enough",
  analyze(inventory, report) {
    for (const { resource, object } of inventory.of(customResourceDefinitionKind)) {
      const minimum = ownField(minimumVersions, object.metadata.name ?? "");
      const text = object.metadata.annotations?.["gateway.networking.k8s.io/bundle-version"];
      const [, ...parts] = /^v?(\d+)\.(\d+)\.(\d+)/.exec(text ?? "") ?? [];
      if (minimum === undefined || parts.length === 0 || !isLower(parts.map(Number), minimum)) continue;
      report(
        messageTypes.gatewayApiCrdVersionBelowMinimum,
        resource,
        "metadata.name",
        `is from Gateway API ${text ?? ""}, and the control plane reads this kind only from v${minimum.join(".")} on, so its objects have no effect; apply the newer definitions of the Gateway API`,
      );
    }
  },
};

function isLower(version: readonly number[], minimum: readonly number[]): boolean {
  const index = version.findIndex((part, at) => part !== minimum[at]);
  return index !== -1 && (version[index] ?? 0) < (minimum[index] ?? 0);
}

/** The conditions that report a fault if they are False, by kind. */
const badConditions: Readonly<Record<string, readonly string[]>> = {
  Service: ["istio.io/WaypointBound"],
  ServiceEntry: ["istio.io/WaypointBound"],
  WorkloadEntry: ["istio.io/WaypointBound"],
  AuthorizationPolicy: ["ZtunnelAccepted", "WaypointAccepted"],
  Gateway: ["Accepted", "Programmed", "ResolvedRefs"],
  HTTPRoute: ["Accepted", "Programmed", "ResolvedRefs"],
  GRPCRoute: ["Accepted", "Programmed", "ResolvedRefs"],
};

interface StatusCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export const conditionAnalyzer: Analyzer = {
  name: "conditions.ConditionAnalyzer",
  description: "no object has a condition that reports a failure",
  analyze(inventory, report) {
    for (const resource of inventory.resources) {
      const { kind = "", apiVersion = "" } = resource.object;
      const bad =
        kind === podKind.kind || (kind === "Gateway" && !apiVersion.startsWith("gateway.networking.k8s.io/"))
          ? undefined
          : ownField(badConditions, kind);
      if (bad === undefined) continue;
      for (const { type, status: value, reason, message } of conditionsOf(resource.object["status"])) {
        const isPartly = type === "WaypointAccepted" && reason === "PartiallyInvalid";
        if (!(bad.includes(type) && value === "False") && !isPartly) continue;
        report(
          messageTypes.negativeConditionStatus,
          resource,
          "metadata.name",
          `condition ${type} is ${value} (${reason}): ${message}`,
        );
      }
    }
  },
};

/** The conditions in a status. A CRD's schema may not restrict it, so a field of another type counts as empty. */
function conditionsOf(status: unknown): readonly StatusCondition[] {
  const [own, parents] = [listAt(status, "conditions"), listAt(status, "parents")];
  return [...own, ...parents.flatMap((parent) => listAt(parent, "conditions"))].map((condition) => ({
    type: stringOf(valueAt(condition, "type")),
    status: stringOf(valueAt(condition, "status")),
    reason: stringOf(valueAt(condition, "reason")),
    message: stringOf(valueAt(condition, "message")),
  }));
}

function listAt(value: unknown, field: string): readonly object[] {
  const list: unknown = typeof value === "object" && value !== null ? Reflect.get(value, field) : undefined;
  return Array.isArray(list) ? list.filter((item): item is object => typeof item === "object" && item !== null) : [];
}
