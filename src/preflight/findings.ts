// Turns what the parts of a plan have found into the report's findings.
import { counted } from "../base/index.ts";
import type { PilotPods } from "./rendered-control-plane.ts";
import {
  maxNamed,
  named,
  type ConfigurationReport,
  type DefaultsReport,
  type DefinitionChange,
  type DefinitionChangeType,
  type DefinitionsReport,
  type Finding,
  type ProxiesReport,
  type RenderedReport,
} from "./report.ts";

export function renderedFindings({ components }: RenderedReport, from: string): Finding[] {
  const inPlace = components
    .flatMap(({ changed }) => changed.filter((change) => change.inPlace))
    .map(({ object }) => object);
  const removed = components.flatMap((component) => component.removed);
  return [
    ...(inPlace.length === 0
      ? []
      : [
          {
            severity: "warning",
            area: "rendered",
            message: `${counted(inPlace.length, "object")} that both revisions share would change in place, also for revision ${from}`,
            ...named(inPlace),
            hint: "look at them with --diff; an upgrade by revision should add objects, not change them",
          } as const,
        ]),
    ...(removed.length === 0
      ? []
      : [
          {
            severity: "note",
            area: "rendered",
            message: `${counted(removed.length, "object")} of revision ${from} ${removed.length === 1 ? "has" : "have"} no counterpart in the new one`,
            ...named(removed),
          } as const,
        ]),
  ];
}

/**
 * Warns if the new control plane begins with fewer pods than the old one has now: its install spec lacks the number
 * that somebody has set for the old one. `isRendered` means that the upgrade installs the new control plane.
 */
export function pilotPodsFindings(
  before: { readonly revision: string; readonly count: number },
  { name, namespace, count, isAutoscaled }: PilotPods,
  { revision, isRendered }: { readonly revision: string; readonly isRendered: boolean },
): Finding[] {
  if (before.count < 2 || count >= before.count) return [];
  const field = isAutoscaled ? "autoscaleMin" : "replicaCount";
  return [
    {
      severity: "warning",
      area: "rendered",
      message: `revision ${revision} begins with ${counted(count, "pod")} of istiod, and revision ${before.revision} has ${before.count}${count === 1 ? ": while its only pod restarts, no proxy gets configuration or a certificate of it" : ""}`,
      ...named([`Deployment ${namespace}/${name}`]),
      hint: isRendered
        ? `set values.pilot.${field}: ${before.count} in spec.to.install`
        : isAutoscaled
          ? `raise minReplicas of its HorizontalPodAutoscaler to ${before.count}`
          : `kubectl -n ${namespace} scale deployment ${name} --replicas ${before.count}`,
    },
  ];
}

export function ztunnelFindings(
  revision: string,
  { hasZtunnel, isRendered }: { readonly hasZtunnel: boolean | undefined; readonly isRendered: boolean },
  ambientNamespaces: readonly string[],
): Finding[] {
  if (hasZtunnel !== false || ambientNamespaces.length === 0) return [];
  return [
    {
      severity: "blocked",
      area: "rendered",
      message: `${isRendered ? "spec.to.install renders" : "the cluster has"} no ztunnel of revision "${revision}", to which the pods in ambient would move`,
      ...named(ambientNamespaces.map((name) => `Namespace ${name}`)),
      hint: isRendered
        ? "add profile: ambient, or components.ztunnel.enabled: true, to spec.to.install"
        : `install it first, for example: helm install ztunnel-${revision} istio/ztunnel -n istio-system --set revision=${revision}`,
    },
  ];
}

export function defaultsFindings({ profile, effective }: DefaultsReport): Finding[] {
  const fields = effective.reduce((sum, { changes }) => sum + changes.length, 0);
  if (fields > 0)
    return [
      {
        severity: "warning",
        area: "defaults",
        message: `the same install spec means something else in the new release: ${counted(fields, "field")} of ${counted(effective.length, "object")}`,
        ...named(effective.map(({ object }) => object)),
        hint: "set the fields in the install spec to keep the present values",
      },
    ];
  return profile.length === 0
    ? []
    : [
        {
          severity: "note",
          area: "defaults",
          message: `${counted(profile.length, "value")} of the profile changed, with no effect on what is installed`,
        },
      ];
}

const refusing: ReadonlySet<DefinitionChangeType> = new Set([
  "version-gone",
  "type-changed",
  "values-gone",
  "required-added",
]);
const losing: ReadonlySet<DefinitionChangeType> = new Set(["field-gone"]);

export function definitionFindings({ changes, installed }: DefinitionsReport): Finding[] {
  if (!installed)
    return changes.length === 0
      ? []
      : [
          {
            severity: "note",
            area: "definitions",
            message: `the new release has other definitions (${counted(changes.length, "difference")}), but this upgrade does not install them`,
            hint: "apply them first if the new release needs a new field",
          },
        ];
  return changes.flatMap((change) => definitionFinding(change));
}

function definitionFinding({
  definition,
  type,
  version = "",
  field,
  detail,
  objects,
  total,
}: DefinitionChange): Finding[] {
  const subject = `${definition} ${version}${field === undefined ? "" : ` ${field}`} ${detail}`;
  if (refusing.has(type) && total > 0)
    return [
      {
        severity: "blocked",
        area: "definitions",
        message: `${subject}; the next write of ${counted(total, "stored object")} would be refused`,
        objects,
        total,
        hint: "change these objects first",
      },
    ];
  if (losing.has(type) && total > 0)
    return [
      {
        severity: "warning",
        area: "definitions",
        message: `${subject}: ${counted(total, "stored object")} would lose the field`,
        objects,
        total,
        hint: "find out what replaces the field, and change these objects first",
      },
    ];
  if (type === "version-unserved")
    return [
      {
        severity: "warning",
        area: "definitions",
        message: subject,
        hint: "look for clients and files that use this version",
      },
    ];
  return [];
}

export function configurationFindings({ appeared }: ConfigurationReport): Finding[] {
  const severities = { Error: "blocked", Warning: "warning" } as const;
  const levels: Readonly<Record<string, Finding["severity"]>> = severities;
  return appeared.map(({ code, level, origin, message }) => ({
    severity: levels[level] ?? "note",
    area: "configuration",
    message: `only the new release reports [${code}]: ${origin === "" ? "" : `${origin}: `}${message}`,
    ...(origin === "" ? {} : named([origin])),
  }));
}

export function proxyFindings(
  { groups, envoyFilters }: ProxiesReport,
  failures: readonly string[],
  refusedWrites: readonly string[],
): Finding[] {
  const findings: Finding[] = [];
  if (groups.length > 0) {
    const proxies = new Set(groups.flatMap((group) => group.proxies));
    findings.push({
      severity: "warning",
      area: "proxies",
      message: `proxies would receive a changed configuration: ${counted(groups.length, "difference")}`,
      ...named([...proxies].toSorted()),
      hint: "read the differences below; each is listed once for all proxies that have it",
    });
  }
  for (const { name, differingCount, differing, patchedByFrom, patchedByTo } of envoyFilters) {
    if (differingCount > 0)
      findings.push({
        severity: "warning",
        area: "proxies",
        message: `EnvoyFilter ${name} has another effect in the new release on ${counted(differingCount, "resource")} (it changes ${patchedByFrom} now, ${patchedByTo} afterwards)`,
        ...named(differing),
        total: differingCount,
        hint: "check whether its match still fits what the new release generates",
      });
    else if (patchedByFrom === 0 && patchedByTo === 0)
      findings.push({
        severity: "warning",
        area: "proxies",
        message: `EnvoyFilter ${name} changes nothing in either release: it matches no live proxy, or these releases ignore EnvoyFilters`,
        ...named([`EnvoyFilter ${name}`]),
        hint: "express it with another kind, or remove it",
      });
  }
  if (failures.length > 0)
    findings.push({
      severity: "warning",
      area: "proxies",
      message: `${counted(failures.length, "proxy", "proxies")} could not be compared`,
      ...named(failures),
    });
  if (refusedWrites.length > 0)
    findings.push({
      severity: "note",
      area: "proxies",
      message: "a shadow control plane tried to write; the relay refused it, and nothing was written",
      ...named(refusedWrites),
    });
  return findings;
}

export function unselectedFindings(
  left: readonly { readonly namespace: string; readonly kind: string; readonly name: string }[],
  from: string,
): Finding[] {
  if (left.length === 0) return [];
  return [
    {
      severity: "warning",
      area: "workloads",
      message: `no wave selects ${counted(left.length, "workload")}: revision ${from} cannot be retired`,
      ...named(left.map(({ namespace, kind, name }) => `${kind} ${namespace}/${name}`)),
      hint: "add a last wave without a selector, which selects the rest",
    },
  ];
}

/** Reports each gateway in a finding of its own, because each needs another command. */
export function unmovedFindings(
  left: readonly { readonly name: string; readonly todo: string }[],
  from: string,
): Finding[] {
  return left.slice(0, maxNamed).map(({ name, todo }) => ({
    severity: "warning",
    area: "workloads",
    message: `no step moves ${name}: revision ${from} is not retired until you move it`,
    hint: todo,
  }));
}
