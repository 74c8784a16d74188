import { matchesLabelSelector, type LabelSelector, type UntypedObject } from "../../api/index.ts";
import type { ResourceType, SchemaRegistry } from "../schema/contract.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionRequest } from "./request.ts";

/** admissionregistration.k8s.io/v1, as stored (defaults applied). */
export interface Webhook {
  readonly name: string;
  readonly clientConfig: WebhookClientConfig;
  readonly rules?: readonly WebhookRule[];
  readonly failurePolicy?: "Fail" | "Ignore";
  readonly matchPolicy?: "Exact" | "Equivalent";
  readonly namespaceSelector?: LabelSelector;
  readonly objectSelector?: LabelSelector;
  readonly sideEffects?: "None" | "NoneOnDryRun" | "Some" | "Unknown";
  readonly timeoutSeconds?: number;
  readonly admissionReviewVersions?: readonly string[];
  readonly reinvocationPolicy?: "Never" | "IfNeeded";
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
}

export interface WebhookClientConfig {
  readonly url?: string;
  readonly service?: {
    readonly namespace: string;
    readonly name: string;
    readonly path?: string;
    readonly port?: number;
  };
  /** PEM, base64. */
  readonly caBundle?: string;
}

interface WebhookRule {
  readonly operations?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  readonly resources?: readonly string[];
  readonly scope?: "Cluster" | "Namespaced" | "*";
}

export type WebhookKind = "mutating" | "validating";

/** A matching webhook, and the version in which it gets the object. */
export interface Match {
  readonly webhook: Webhook;
  readonly configuration: string;
  readonly type: ResourceType;
}

const group = "admissionregistration.k8s.io";

/** The stored webhook configurations, in the order in which they are called. */
export class WebhookConfigurations {
  readonly #store: Store;
  readonly #registry: SchemaRegistry;

  constructor(store: Store, registry: SchemaRegistry) {
    this.#store = store;
    this.#registry = registry;
  }

  matching(kind: WebhookKind, request: AdmissionRequest): Match[] {
    // Webhooks never see webhook configurations. Otherwise a broken webhook would prevent its own repair.
    if (request.type.group === group && request.type.plural.endsWith("webhookconfigurations")) return [];
    const found: Match[] = [];
    for (const record of this.#store.collection(`${group}/${kind}webhookconfigurations`).list()) {
      for (const webhook of (record.object["webhooks"] as readonly Webhook[] | null | undefined) ?? []) {
        const type = this.#typeFor(webhook, request);
        if (type !== undefined && this.#selects(webhook, request))
          found.push({ webhook, configuration: record.name, type });
      }
    }
    return found;
  }

  /** The request's own type, or with matchPolicy Equivalent another version of the resource that a rule names. */
  #typeFor(webhook: Webhook, request: AdmissionRequest): ResourceType | undefined {
    const rules = webhook.rules ?? [];
    if (rules.some((rule) => ruleMatches(rule, request, request.type))) return request.type;
    if (webhook.matchPolicy === "Exact") return undefined;
    return this.#registry
      .resources()
      .find(
        (type) =>
          type.storageKey === request.type.storageKey &&
          type !== request.type &&
          rules.some((rule) => ruleMatches(rule, request, type)),
      );
  }

  #selects(webhook: Webhook, request: AdmissionRequest): boolean {
    const { objectSelector, namespaceSelector } = webhook;
    if (!isEmpty(namespaceSelector) && !matchesLabelSelector(namespaceSelector, this.#namespaceLabels(request)))
      return false;
    if (isEmpty(objectSelector)) return true;
    const matches = (object: UntypedObject | undefined): boolean =>
      object !== undefined && matchesLabelSelector(objectSelector, object.metadata.labels);
    return matches(request.object) || matches(request.oldObject);
  }

  #namespaceLabels({ type, object, oldObject, namespace }: AdmissionRequest): Record<string, string> {
    if (type.storageKey === "/namespaces") return (object ?? oldObject)?.metadata.labels ?? {};
    return { ...this.#store.latest("/namespaces", "", namespace)?.labels };
  }
}

function isEmpty(selector: LabelSelector | undefined): boolean {
  return (
    selector === undefined ||
    (Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0)
  );
}

function ruleMatches(rule: WebhookRule, request: AdmissionRequest, type: ResourceType): boolean {
  const has = (list: readonly string[] | undefined, word: string): boolean =>
    list !== undefined && (list.includes("*") || list.includes(word));
  if (
    !has(rule.operations, request.operation) ||
    !has(rule.apiGroups, type.group) ||
    !has(rule.apiVersions, type.version)
  )
    return false;
  if (rule.scope === "Cluster" && type.namespaced) return false;
  if (rule.scope === "Namespaced" && !type.namespaced) return false;
  return (rule.resources ?? []).some((resource) => {
    const [plural = "", subresource = ""] = resource.split("/");
    const pluralMatches = plural === "*" || plural === type.plural;
    return pluralMatches && (subresource === request.subresource || (resource.includes("/") && subresource === "*"));
  });
}
