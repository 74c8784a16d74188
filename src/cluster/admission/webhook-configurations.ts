import type { LabelSelector } from "../../api/index.ts";
import type { ResourceType, SchemaRegistry } from "../schema/contract.ts";
import type { Store } from "../store/index.ts";
import { RequestMatcher, type MatchPolicy, type MatchRule } from "./request-matcher.ts";
import type { AdmissionRequest } from "./request.ts";

/** A webhook (admissionregistration.k8s.io/v1), as stored: the server has applied the defaults. */
export interface Webhook {
  readonly name: string;
  readonly clientConfig: WebhookClientConfig;
  readonly rules?: readonly MatchRule[];
  readonly failurePolicy?: "Fail" | "Ignore";
  readonly matchPolicy?: MatchPolicy;
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
  /** Certificates in PEM, encoded in base64. */
  readonly caBundle?: string;
}

export type WebhookKind = "mutating" | "validating";

/** A matching webhook, and the version in which it gets the object. */
export interface Match {
  readonly webhook: Webhook;
  readonly configuration: string;
  readonly type: ResourceType;
}

const group = "admissionregistration.k8s.io";

export function isConfiguration(type: ResourceType): boolean {
  return type.group === group && type.plural.endsWith("webhookconfigurations");
}

/** The stored webhook configurations, in the order in which they are called. */
export class WebhookConfigurations {
  readonly #store: Store;
  readonly #matcher: RequestMatcher;

  constructor(store: Store, registry: SchemaRegistry) {
    this.#store = store;
    this.#matcher = new RequestMatcher(store, registry);
  }

  matching(kind: WebhookKind, request: AdmissionRequest): Match[] {
    // Webhooks do not get webhook configurations. Otherwise a broken webhook would prevent its own repair.
    if (isConfiguration(request.type)) return [];
    const found: Match[] = [];
    for (const record of this.#store.collection(`${group}/${kind}webhookconfigurations`).list()) {
      for (const webhook of (record.object["webhooks"] as readonly Webhook[] | null | undefined) ?? []) {
        const type = this.#matcher.typeFor(webhook.rules ?? [], webhook.matchPolicy, request);
        if (type !== undefined && this.#matcher.selects(webhook, request))
          found.push({ webhook, configuration: record.name, type });
      }
    }
    return found;
  }
}
