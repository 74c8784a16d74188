import type { PolicyTargetReference } from "../../api/istio/index.ts";
import type { Collection, CollectionIndex, CollectionReader } from "../../kube/index.ts";
import { byAge, type AuthorizationPolicyFacts, type ConfigFacts, type Labels } from "./facts.ts";
import { hasSelector, selecting, selectorKeys } from "./selection.ts";

/** What policies apply to: a workload, or a proxy of a Gateway with the Services that use it. */
export interface PolicySubject {
  readonly namespace: string;
  readonly labels: Labels;
  /** The Gateway (Gateway API) of a proxy. Absent for workloads. */
  readonly gateway?: { readonly name: string; readonly className: string };
  /**
   * Whether the subject is a waypoint, which obeys only policies with targetRefs. Ztunnels enforce those with
   * selectors.
   */
  readonly waypoint?: boolean;
  /** Whether the subject obeys only policies with targetRefs, as a waypoint does. */
  readonly ignoresSelectors?: boolean;
  readonly services?: readonly {
    readonly kind: "Service" | "ServiceEntry";
    readonly namespace: string;
    readonly name: string;
  }[];
}

interface AttachedSpec {
  readonly selector?: { readonly matchLabels?: Labels | undefined } | undefined;
  readonly targetRefs: readonly PolicyTargetReference[];
}

/**
 * Finds the policies of one kind that apply to a subject. It uses indexes, so that a change of other policies has no
 * effect.
 */
export class PolicySelection<Facts extends ConfigFacts<AttachedSpec>> {
  readonly #wide: CollectionIndex<Facts>;
  readonly #selecting: CollectionIndex<Facts>;
  readonly #targeting: CollectionIndex<Facts>;

  constructor(policies: Collection<Facts>) {
    this.#wide = policies.index("wide", (policy) =>
      policy.spec.targetRefs.length === 0 && !hasSelector(policy) ? [policy.namespace] : [],
    );
    this.#selecting = policies.index("selecting", (policy) =>
      policy.spec.targetRefs.length === 0
        ? selectorKeys(policy.namespace, policy.spec.selector?.matchLabels ?? {})
        : [],
    );
    this.#targeting = policies.index("targeting", (policy) =>
      policy.spec.targetRefs.map((target) => targetKey(target.kind, target.namespace ?? policy.namespace, target.name)),
    );
  }

  /**
   * The policies for a subject. First come those of the root namespace, then those of the subject's namespace, then
   * those of its services' namespaces. With `own` as `first`, those of the subject's namespace come before the root
   * namespace's. Within a namespace, older policies come first.
   */
  attachedTo(
    subject: PolicySubject,
    rootNamespace: string,
    reader: CollectionReader,
    first: "root" | "own" = "root",
  ): readonly Facts[] {
    const { namespace: own } = subject;
    const namespaces = new Set([
      ...(first === "root" ? [rootNamespace, own] : [own, rootNamespace]),
      ...(subject.services ?? []).map((service) => service.namespace),
    ]);
    const found = [
      ...this.#selected(subject, rootNamespace, reader),
      ...this.#targeted(subject, rootNamespace, reader),
    ];
    const unique = [...new Set(found)].sort(byAge);
    return [...namespaces].flatMap((namespace) => unique.filter((policy) => policy.namespace === namespace));
  }

  #selected(subject: PolicySubject, rootNamespace: string, reader: CollectionReader): readonly Facts[] {
    if (subject.waypoint === true || subject.ignoresSelectors === true) return [];
    return [...new Set([rootNamespace, subject.namespace])].flatMap((namespace) => [
      ...reader.lookup(this.#wide, namespace),
      ...selecting(
        this.#selecting,
        namespace,
        subject.labels,
        (policy) => policy.spec.selector?.matchLabels ?? {},
        reader,
      ),
    ]);
  }

  #targeted(
    { namespace, gateway, waypoint, services = [] }: PolicySubject,
    rootNamespace: string,
    reader: CollectionReader,
  ): readonly Facts[] {
    if (gateway === undefined) return [];
    const keys = [targetKey("Gateway", namespace, gateway.name)];
    if (waypoint === true) keys.push(targetKey("GatewayClass", rootNamespace, gateway.className));
    for (const service of services) keys.push(targetKey(service.kind, service.namespace, service.name));
    return keys.flatMap((key) => reader.lookup(this.#targeting, key));
  }
}

function targetKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

/** A dry run only reports what the policy would do. */
export function isDryRun(policy: AuthorizationPolicyFacts): boolean {
  return /^(true|1|t)$/i.test(policy.annotations["istio.io/dry-run"] ?? "");
}
