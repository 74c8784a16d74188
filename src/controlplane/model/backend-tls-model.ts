import type { BackendTlsPolicySpec } from "../../api/gateway/index.ts";
import type { ClientTls } from "../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import { configMapResource, type ConfigMapReference } from "./config-map-facts.ts";
import {
  compareText,
  factsKey,
  hostnameOf,
  meshKey,
  type BackendTlsPolicyFacts,
  type MeshSettings,
  type ServiceFacts,
} from "./facts.ts";
import type { Verdict } from "./verdict.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

type TargetReference = BackendTlsPolicySpec["targetRefs"][number];

/** The effect of a BackendTLSPolicy on one of its targets. */
export interface BackendTlsTarget {
  readonly policy: BackendTlsPolicyFacts;
  readonly index: number;
  readonly target: TargetReference;
  /** The target as `Service/namespace/name` or `ServiceEntry/namespace/name`. */
  readonly backend: string;
  /** The hosts to which the policy applies. Empty if it has no effect. */
  readonly hosts: readonly string[];
  /** The port to which the policy applies. Undefined means all ports. */
  readonly port: number | undefined;
  readonly tls: ClientTls;
  readonly accepted: Verdict;
  readonly unresolved: Verdict;
  /** A remark for the status of an accepted target. Empty if there is none. */
  readonly remark: string;
  /** Whether an annotation excludes the policy. */
  readonly ignored: boolean;
}

/** The name of roots that do not exist. A cluster with it trusts no server, so it sends no request. */
const noRoots = "invalid://";

/** The targets of policies, by `namespace/policy#index of the target`. */
export function deriveBackendTlsTargets(graph: CollectionGraph, inputs: MeshInputs): Collection<BackendTlsTarget> {
  const byTarget = inputs.backendTlsPolicies.index("target", (policy) =>
    isIgnored(policy) ? [] : policy.spec.targetRefs.map((target) => backendOf(target, policy.namespace)),
  );
  return graph.derive("backend-tls-targets", inputs.backendTlsPolicies, (policy, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const ignored = isIgnored(policy);
    const roots = rootsOf(policy, inputs, reader);
    return policy.spec.targetRefs.map((target, index) => {
      const backend = backendOf(target, policy.namespace);
      const found = resolveTarget(target, policy.namespace, mesh, inputs, reader);
      const rival = reader
        .lookup(byTarget, backend)
        .find(
          (other) =>
            goesBefore(other, policy) && other.spec.targetRefs.some((candidate) => sameTarget(candidate, target)),
        );
      const conflict: Verdict =
        rival === undefined
          ? undefined
          : {
              reason: "Conflicted",
              message: `Conflicts with BackendTLSPolicy "${rival.name}" targeting the same backend`,
            };
      const refused = ignored ? ignoredPolicy : "fault" in found ? found.fault : (conflict ?? roots.accepted);
      const counts = !ignored && !("fault" in found) && conflict === undefined;
      return [
        `${factsKey(policy)}#${index}`,
        {
          policy,
          index,
          target,
          backend,
          hosts: counts ? found.hosts : [],
          port: counts ? found.port : undefined,
          tls: tlsOf(policy.spec, roots.credential),
          accepted: refused,
          unresolved: roots.unresolved,
          remark: [...roots.remark, ...("fault" in found ? [] : found.remark)].join("; "),
          ignored,
        },
      ] as const;
    });
  });
}

const ignoreAnnotation = "istio.io/ignore-policy-attachment";

const ignoredPolicy: Verdict = {
  reason: "IgnoredByIstio",
  message: `Ignored by Istio due to annotation ${ignoreAnnotation}=true`,
};

function isIgnored({ annotations }: BackendTlsPolicyFacts): boolean {
  return annotations[ignoreAnnotation]?.toLowerCase() === "true";
}

function backendOf({ kind, name }: TargetReference, namespace: string): string {
  return `${kind}/${namespace}/${name}`;
}

function sameTarget(left: TargetReference, right: TargetReference): boolean {
  return (
    left.group === right.group &&
    left.kind === right.kind &&
    left.name === right.name &&
    (left.sectionName ?? "") === (right.sectionName ?? "")
  );
}

/** The older policy takes precedence and, of equally old ones, the one whose name sorts first. */
function goesBefore(left: BackendTlsPolicyFacts, right: BackendTlsPolicyFacts): boolean {
  if (left.namespace !== right.namespace || left.name === right.name) return false;
  return (compareText(left.createdAt, right.createdAt) || compareText(left.name, right.name)) < 0;
}

type FoundTarget =
  | { readonly hosts: readonly string[]; readonly port: number | undefined; readonly remark: readonly string[] }
  | { readonly fault: NonNullable<Verdict> };

function resolveTarget(
  target: TargetReference,
  namespace: string,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): FoundTarget {
  const key = `${namespace}/${target.name}`;
  const fault = (message: string): FoundTarget => ({
    fault: { reason: "TargetNotFound", message: `targetRefs invalid: ${message}` },
  });
  const at = (
    hosts: readonly string[],
    ports: readonly { readonly name: string; readonly port: number }[],
  ): FoundTarget => {
    const remark: readonly string[] = [];
    if (target.sectionName === undefined || target.sectionName === "") return { hosts, port: undefined, remark };
    const port = ports.find(({ name }) => name === target.sectionName)?.port;
    return port === undefined
      ? fault(`sectionName "${target.sectionName}" does not exist in ${target.kind} ${key}`)
      : { hosts, port, remark };
  };
  if (target.kind === "Service" && target.group === "") {
    const service = reader.get(inputs.services, key);
    if (service === undefined) return fault(`Service ${key} does not exist`);
    const found = at([hostnameOf(service, mesh.domain)], service.ports);
    return "fault" in found || service.type !== "ExternalName" ? found : { ...found, remark: [aliasRemark(service)] };
  }
  if (target.kind === "ServiceEntry" && target.group === "networking.istio.io") {
    const entry = reader.get(inputs.serviceEntries, key);
    return entry === undefined
      ? fault(`ServiceEntry ${key} does not exist`)
      : at(
          entry.spec.hosts,
          entry.spec.ports.map(({ name = "", number }) => ({ name, port: number })),
        );
  }
  return fault(`unsupported kind ${target.group}/${target.kind}`);
}

/**
 * The remark for a policy whose target is an ExternalName Service. As in upstream Istio, the policy is accepted,
 * although requests to the alias go to the cluster of the alias's host.
 */
function aliasRemark({ namespace, name, externalName }: ServiceFacts): string {
  return `it has no effect, because Service ${namespace}/${name} is an ExternalName, another name of ${externalName}: target the Service or ServiceEntry of ${externalName}`;
}

interface Roots {
  /** The roots. Undefined means the system's. */
  readonly credential: string | undefined;
  readonly accepted: Verdict;
  readonly unresolved: Verdict;
  readonly remark: readonly string[];
}

/** The roots of the first reference, which must name a ConfigMap. */
function rootsOf(
  { namespace, spec: { validation } }: BackendTlsPolicyFacts,
  inputs: MeshInputs,
  reader: CollectionReader,
): Roots {
  const wellKnown = validation.wellKnownCACertificates ?? "";
  const [reference] = validation.caCertificateRefs;
  if (wellKnown !== "" || reference === undefined) {
    const known = wellKnown === "" || wellKnown === "System";
    return {
      credential: known ? undefined : noRoots,
      accepted: known ? undefined : { reason: "Invalid", message: `Unknown wellKnownCACertificates: ${wellKnown}` },
      unresolved: undefined,
      remark: [],
    };
  }
  const remark =
    validation.caCertificateRefs.length > 1 ? ["warning: only the first caCertificateRefs will be used"] : [];
  const refuse = (reason: string, message: string): Roots => ({
    credential: noRoots,
    accepted: { reason: "NoValidCACertificate", message: `Certificate reference invalid: ${message}` },
    unresolved: { reason, message: `Certificate reference invalid: ${message}` },
    remark,
  });
  if (reference.kind !== "ConfigMap" || reference.group !== "")
    return refuse("InvalidKind", `unsupported kind ${reference.group}/${reference.kind}`);
  const key = `${namespace}/${reference.name}`;
  const facts = reader.get(inputs.configMaps, key);
  if (facts === undefined) return refuse("InvalidCACertificateRef", `the ConfigMap ${key} has not been read yet`);
  if ("fault" in facts.authority)
    return refuse(
      "InvalidCACertificateRef",
      facts.exists ? `ConfigMap ${key}: ${facts.authority.fault}` : facts.authority.fault,
    );
  return { credential: configMapResource(facts), accepted: undefined, unresolved: undefined, remark };
}

function tlsOf({ validation }: BackendTlsPolicySpec, credentialName: string | undefined): ClientTls {
  const names = validation.subjectAltNames.map((name) => (name.type === "Hostname" ? name.hostname : name.uri));
  return {
    mode: "SIMPLE",
    sni: validation.hostname,
    subjectAltNames: names.length > 0 ? names : [validation.hostname],
    credentialName,
  };
}

export function configMapsOfPolicy({ namespace, spec }: BackendTlsPolicyFacts): readonly ConfigMapReference[] {
  return spec.validation.caCertificateRefs
    .filter(({ group, kind }) => group === "" && kind === "ConfigMap")
    .map(({ name }) => ({ namespace, name }));
}
