import { isTree, type Tree } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { defaultValidator, revisionTag, unnamedWebhooks } from "./components/webhooks.ts";
import { revisionTagService } from "./components/revision-tag-service.ts";
import { resolveSettings, type InstallSettings } from "./settings.ts";

export interface TagTarget {
  readonly tag: string;
  /** The value of the label `istio.io/rev`. */
  readonly revision: string;
  readonly namespace: string;
  /** The release that writes the tag. */
  readonly version: string;
  /** The client config of the revision's own webhooks, with the CA. */
  readonly clientConfig: Tree;
  readonly injectEverybody: boolean;
}

/** Renders the webhooks and the Service of a tag, and for the tag `default` also the default validator. */
export function renderTag(target: TagTarget): UntypedObject[] {
  const { tag, revision, namespace, clientConfig } = target;
  const settings = settingsOf(target);
  const { webhooks, ...rest } = revisionTag(tag, settings);
  const service = revisionTagService(tag, { ...settings, namespace });
  const led = { ...rest, webhooks: (webhooks as Tree[]).map((webhook) => ({ ...webhook, clientConfig })) };
  if (tag !== "default") return [service, led];
  return [service, led, withClient(defaultValidator(revision, { ...settings, namespace }), clientConfig)];
}

function settingsOf({ revision, namespace, version, injectEverybody }: TagTarget): InstallSettings {
  const values = { sidecarInjectorWebhook: { enableNamespacesByDefault: injectEverybody } };
  const parsed = resolveSettings({ specs: [{ namespace, values }] }, { hub: "", tag: version });
  if (parsed.value === undefined) throw new Error("the default settings cannot be wrong");
  return { ...parsed.value, revisionLabel: revision };
}

function withClient({ webhooks, ...rest }: UntypedObject, clientConfig: Tree): UntypedObject {
  const service = isTree(clientConfig["service"]) ? { service: { ...clientConfig["service"], path: "/validate" } } : {};
  return {
    ...rest,
    webhooks: (webhooks as Tree[]).map((webhook) => ({ ...webhook, clientConfig: { ...clientConfig, ...service } })),
  };
}

const neverMatches = { matchLabels: { "istio.io/deactivated": "never-match" } } as const;

/**
 * Disables the webhooks of an unnamed control plane, as in Istio. Call this if the tag `default` points to another
 * control plane, because the tag's webhooks select the same pods. If both injected a pod, the later injection would
 * apply. Webhooks run in the order of their names, so that would be the unnamed control plane's.
 */
export function deactivateDefault(webhooks: readonly Tree[]): Tree[] {
  const selectors = unnamedWebhooks();
  return webhooks.map((webhook) =>
    selectors.some(({ name }) => name === webhook["name"])
      ? { ...webhook, namespaceSelector: neverMatches, objectSelector: neverMatches }
      : webhook,
  );
}

/** Reverts {@link deactivateDefault}. */
export function reactivateDefault(webhooks: readonly Tree[]): Tree[] {
  const selectors = unnamedWebhooks();
  return webhooks.map((webhook) => {
    const found = selectors.find(({ name }) => name === webhook["name"]);
    return found === undefined
      ? webhook
      : {
          ...webhook,
          namespaceSelector: { matchExpressions: found.namespace },
          objectSelector: { matchExpressions: found.object },
        };
  });
}
