import { matchesLabelSelector, type KindDefinition } from "../../../api/index.ts";
import { defaultValidatorName } from "../../../api/istio/index.ts";
import {
  mutatingWebhookConfigurationKind,
  serviceKind,
  validatingWebhookConfigurationKind,
  type WebhookConfiguration,
} from "../../../api/kubernetes/index.ts";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type * as Install from "../../../install/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import {
  injectionLabel,
  labelPointer,
  reference,
  revisionLabel,
  tagLabel,
  type MeshWorld,
  type TagInWorld,
} from "../../plan/index.ts";
import type { PriorValues } from "./prior-values.ts";

const defaultTag = "default";
const admission = "admissionregistration.k8s.io/v1";

/** The configurations of injectors and validators. */
export interface Webhooks {
  readonly injectors: readonly WebhookConfiguration[];
  readonly validators: readonly WebhookConfiguration[];
}

export async function listWebhooks(client: KubeClient): Promise<Webhooks> {
  const list = async (kind: KindDefinition<WebhookConfiguration>): Promise<readonly WebhookConfiguration[]> =>
    (await client.list(kind)).items.filter(({ metadata }) => metadata.labels?.[revisionLabel] !== undefined);
  const [injectors, validators] = await Promise.all([
    list(mutatingWebhookConfigurationKind),
    list(validatingWebhookConfigurationKind),
  ]);
  return { injectors, validators };
}

/**
 * The revision of each tag before the upgrade. Somebody may move a tag by hand to the new revision before the upgrade
 * does. If the upgrade has moved objects that followed the tag, it led to the old revision, and they follow it again.
 */
export function tagsBefore(
  { injectors }: Webhooks,
  prior: PriorValues,
  { spec: { from, to } }: MeshUpgrade,
): Map<string, string> {
  const followed = prior.namedBefore();
  return new Map(
    injectors.flatMap(({ metadata }) => {
      const tag = metadata.labels?.[tagLabel];
      const led = prior.label(
        reference(admission, "MutatingWebhookConfiguration", metadata.name ?? ""),
        revisionLabel,
        metadata.labels?.[revisionLabel],
      );
      if (tag === undefined || led === undefined) return [];
      return [[tag, led === to.revision && followed.has(tag) ? from.revision : led] as const];
    }),
  );
}

/**
 * Whether a named revision injects namespaces with `istio-injection: enabled` without a tag, as the first control plane
 * of Banzai's operator does.
 */
export function injectsWithoutTag(
  { injectors }: Webhooks,
  tags: ReadonlyMap<string, string>,
  revision: string,
): boolean {
  return (
    revision !== defaultTag &&
    !tags.has(defaultTag) &&
    injectors.some(
      ({ metadata: { labels = {} }, webhooks = [] }) =>
        labels[tagLabel] === undefined &&
        labels[revisionLabel] === revision &&
        webhooks.some(
          ({ namespaceSelector }) =>
            namespaceSelector !== undefined && matchesLabelSelector(namespaceSelector, { [injectionLabel]: "enabled" }),
        ),
    )
  );
}

export interface TagSources {
  readonly client: KubeClient;
  readonly install: typeof Install;
  readonly upgrade: MeshUpgrade;
  readonly prior: PriorValues;
  readonly webhooks: Webhooks;
  readonly version: string;
}

/** The writes that move all tags of the old revision, and objects without a revision, to the new one. */
export async function observeTags(sources: TagSources): Promise<TagInWorld[]> {
  const { upgrade, webhooks, prior } = sources;
  const { from, to } = upgrade.spec;
  const target = clientConfigOf(webhooks.injectors, to.revision);
  const led = [...tagsBefore(webhooks, prior, upgrade)]
    .filter(([, revision]) => revision === from.revision)
    .map(([tag]) => tag);
  const tags = from.revision === defaultTag && !led.includes(defaultTag) ? [...led, defaultTag] : led;
  return await Promise.all(tags.toSorted().map(async (tag) => await tagInWorld(sources, tag, target)));
}

type ClientConfig = NonNullable<WebhookConfiguration["webhooks"]>[number]["clientConfig"];

/**
 * The client config of a revision's own webhooks. Before they exist, it uses the conventional name of the revision's
 * Service.
 */
function clientConfigOf(injectors: readonly WebhookConfiguration[], revision: string): ClientConfig {
  const own = injectors.find(
    ({ metadata }) => metadata.labels?.[tagLabel] === undefined && metadata.labels?.[revisionLabel] === revision,
  );
  return (
    own?.webhooks?.[0]?.clientConfig ?? {
      service: { name: revision === defaultTag ? "istiod" : `istiod-${revision}`, namespace: "istio-system" },
    }
  );
}

async function tagInWorld(sources: TagSources, tag: string, target: ClientConfig): Promise<TagInWorld> {
  const { client, install, upgrade, webhooks, version } = sources;
  const { from, to } = upgrade.spec;
  const injector = webhooks.injectors.find(({ metadata }) => metadata.labels?.[tagLabel] === tag);
  const service = target.service?.name ?? "";
  const fields = injector === undefined ? [] : leadTo(injector, "MutatingWebhookConfiguration", service, to.revision);
  const namespace = target.service?.namespace ?? "istio-system";
  const tagService = `istiod-revision-tag-${tag}`;
  const address = await client.get(serviceKind, tagService, namespace);
  const ofService = {
    object: reference("v1", "Service", tagService, namespace),
    pointer: `/spec/selector/${revisionLabel.replace("/", "~1")}`,
    value: to.revision,
  };
  const ofServiceLabel = { ...ofService, pointer: labelPointer(revisionLabel) };
  const all = address === undefined ? fields : [...fields, ofService, ofServiceLabel];
  if (tag !== defaultTag) return { tag, fields: all, objects: [] };
  const validator = webhooks.validators.find(({ metadata }) => metadata.name === defaultValidatorName);
  const ofValidator =
    validator === undefined ? [] : leadTo(validator, "ValidatingWebhookConfiguration", service, to.revision);
  if (injector !== undefined && from.revision !== defaultTag)
    return { tag, fields: [...all, ...ofValidator], objects: [] };
  // A control plane without a revision name injects by default without a tag. A default tag for the new revision
  // replaces it.
  const objects = install.renderTag({
    tag,
    revision: to.revision,
    namespace,
    version,
    clientConfig: { ...target },
    injectEverybody: false,
  });
  const unnamed = webhooks.injectors.find(
    ({ metadata }) => metadata.labels?.[tagLabel] === undefined && metadata.labels?.[revisionLabel] === defaultTag,
  );
  return {
    tag,
    fields: [...ofValidator, ...deactivation(install, unnamed)],
    objects: objects.filter((object) => !(object.kind === "ValidatingWebhookConfiguration" && validator !== undefined)),
  };
}

function leadTo(
  { metadata, webhooks = [] }: WebhookConfiguration,
  kind: string,
  service: string,
  revision: string,
): TagInWorld["fields"] {
  const object = reference(admission, kind, metadata.name ?? "");
  return [
    ...webhooks.map((_, index) => ({
      object,
      pointer: `/webhooks/${index}/clientConfig/service/name`,
      value: service,
    })),
    { object, pointer: labelPointer(revisionLabel), value: revision },
  ];
}

function deactivation(install: typeof Install, unnamed: WebhookConfiguration | undefined): TagInWorld["fields"] {
  if (unnamed === undefined) return [];
  const object = reference(admission, "MutatingWebhookConfiguration", unnamed.metadata.name ?? "");
  const before = (unnamed.webhooks ?? []) as unknown as Readonly<Record<string, unknown>>[];
  return install.deactivateDefault(before).flatMap((webhook, index) =>
    isDeactivated(webhook)
      ? ["namespaceSelector", "objectSelector"].map((field) => ({
          object,
          pointer: `/webhooks/${index}/${field}`,
          value: webhook[field],
        }))
      : [],
  );
}

function isDeactivated(webhook: Readonly<Record<string, unknown>>): boolean {
  return JSON.stringify(webhook["namespaceSelector"] ?? {}).includes("istio.io/deactivated");
}

/** The old revision's webhooks that inject by namespace label. They are needed only for waves of single workloads. */
export function observeInjectors(
  { injectors }: Webhooks,
  { spec }: MeshUpgrade,
  prior: PriorValues,
): Pick<MeshWorld, "injectors" | "newInjector"> {
  if (!spec.waves.some(({ workloadLabels }) => Object.keys(workloadLabels).length > 0)) return { injectors: [] };
  const led = injectors.filter(
    ({ metadata }) =>
      prior.label(
        reference(admission, "MutatingWebhookConfiguration", metadata.name ?? ""),
        revisionLabel,
        metadata.labels?.[revisionLabel],
      ) === spec.from.revision,
  );
  const found = led.flatMap(({ metadata, webhooks = [] }) =>
    webhooks.flatMap(({ name, objectSelector = {} }, index) => {
      const object = reference(admission, "MutatingWebhookConfiguration", metadata.name ?? "");
      const byNamespace = name.startsWith("rev.namespace.") || name.startsWith("namespace.");
      return byNamespace
        ? [{ object, index, objectSelector: prior.value(object, `/webhooks/${index}/objectSelector`, objectSelector) }]
        : [];
    }),
  );
  return { injectors: found, newInjector: { ...clientConfigOf(injectors, spec.to.revision) } };
}
