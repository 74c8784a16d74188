import { pointerName } from "../../../base/index.ts";
import { matchesLabelSelector, type KindDefinition, type ObjectMeta, type UntypedObject } from "../../../api/index.ts";
import { defaultValidatorName } from "../../../api/istio/index.ts";
import {
  mutatingWebhookConfigurationKind,
  serviceKind,
  validatingWebhookConfigurationKind,
  type Service,
  type WebhookConfiguration,
} from "../../../api/kubernetes/index.ts";
import type { MeshUpgrade, ObjectReference } from "../../../api/serin/index.ts";
import type * as Install from "../../../install/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import {
  injectionLabel,
  labelPointer,
  reference,
  revisionLabel,
  tagLabel,
  usualNamespace,
  webhooksLedTo,
  type MeshWorld,
  type TagInWorld,
  type WebhookClient,
} from "../../plan/index.ts";
import type { PriorValues } from "./prior-values.ts";

const defaultTag = "default";
/** Every control plane serves validation requests at this path. */
const validationPath = "/validate";
const admission = "admissionregistration.k8s.io/v1";

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
 * The revision of each tag before the upgrade. A tag may point to the new revision because somebody moved it by hand
 * before the upgrade did. If the upgrade has moved objects that followed such a tag, the tag pointed to the old
 * revision before, and these objects follow it again at the end.
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
      const led = prior.revisionLabel(injectorReference(metadata), metadata.labels);
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
  readonly installs: MeshWorld["installs"];
  readonly version: string;
}

/** The control plane to which the tags move: the client configs of its injector and its validator. */
interface TagTarget {
  readonly injector: WebhookClient;
  readonly validator: WebhookClient;
  readonly namespace: string;
}

/**
 * The tags that the old revision had before the upgrade, with the writes that move them to the new one. A control plane
 * without a revision name also gets a default tag, for the objects that name no revision.
 */
export async function observeTags(sources: TagSources): Promise<TagInWorld[]> {
  const { client, upgrade, webhooks, prior, installs } = sources;
  const { from, to } = upgrade.spec;
  const led = [...tagsBefore(webhooks, prior, upgrade)]
    .filter(([, revision]) => revision === from.revision)
    .map(([tag]) => tag);
  const tags = from.revision === defaultTag && !led.includes(defaultTag) ? [...led, defaultTag] : led;
  if (tags.length === 0) return [];
  const target = targetOf(webhooks, installs, to.revision);
  const services = (await client.list(serviceKind, { labelSelector: tagLabel })).items;
  return tags.toSorted().map((tag) => tagInWorld(sources, { tag, isLed: led.includes(tag) }, target, services));
}

function targetOf(webhooks: Webhooks, installs: MeshWorld["installs"], revision: string): TagTarget {
  const injector = clientConfigOf(webhooks.injectors, installs, revision);
  const own = webhooks.validators.find(
    (found) => found.metadata.name !== defaultValidatorName && isOwnOf(found, revision),
  );
  return {
    injector,
    validator: own?.webhooks?.[0]?.clientConfig ?? validatorBeside(injector),
    namespace: injector.service?.namespace ?? usualNamespace,
  };
}

/** The client config of the validator, derived from that of the injector on the same server. */
function validatorBeside({ service, url, ...more }: WebhookClient): WebhookClient {
  return {
    ...more,
    ...(service === undefined ? {} : { service: { ...service, path: validationPath } }),
    ...(url === undefined ? {} : { url: new URL(validationPath, url).href }),
  };
}

function isOwnOf({ metadata: { labels = {} } }: Pick<UntypedObject, "metadata">, revision: string): boolean {
  return labels[tagLabel] === undefined && labels[revisionLabel] === revision;
}

/**
 * The client config of a revision's own webhooks. Before they exist, the config comes from those that the upgrade
 * installs, or from the conventional name of the revision's Service.
 */
function clientConfigOf(
  injectors: readonly WebhookConfiguration[],
  installs: MeshWorld["installs"],
  revision: string,
): WebhookClient {
  const installed = installs.flat().filter(({ kind }) => kind === "MutatingWebhookConfiguration");
  const own = [...injectors, ...(installed as readonly WebhookConfiguration[])].find((found) =>
    isOwnOf(found, revision),
  );
  return (
    own?.webhooks?.[0]?.clientConfig ?? {
      service: { name: revision === defaultTag ? "istiod" : `istiod-${revision}`, namespace: usualNamespace },
    }
  );
}

/** A tag with the fields that lead it to the new revision, and the objects that the upgrade creates for it. */
function tagInWorld(
  sources: TagSources,
  { tag, isLed }: { readonly tag: string; readonly isLed: boolean },
  target: TagTarget,
  services: readonly Service[],
): TagInWorld {
  const { install, upgrade, webhooks, version } = sources;
  const { from, to } = upgrade.spec;
  const injector = webhooks.injectors.find(({ metadata }) => metadata.labels?.[tagLabel] === tag);
  const ofInjector =
    injector === undefined || !isLed
      ? []
      : leadTo(injector, "MutatingWebhookConfiguration", target.injector, to.revision);
  const validator =
    tag === defaultTag ? webhooks.validators.find(({ metadata }) => metadata.name === defaultValidatorName) : undefined;
  const ofValidator =
    validator === undefined ? [] : leadTo(validator, "ValidatingWebhookConfiguration", target.validator, to.revision);
  const { fields: ofService, left } = serviceOf(services, tag, target.namespace, upgrade);
  const fields = [...ofInjector, ...ofService, ...ofValidator];
  // A control plane without a revision name injects by default, without a tag. A default tag for the new revision
  // replaces this.
  const isMade = tag === defaultTag && (injector === undefined || from.revision === defaultTag);
  if (!isMade && left.length === 0) return { tag, fields, objects: [] };
  const objects = install.renderTag({
    tag,
    revision: to.revision,
    namespace: target.namespace,
    version,
    clientConfig: { ...target.injector },
    injectEverybody: false,
  });
  if (!isMade) return { tag, fields, objects: objects.filter(({ kind }) => kind === "Service"), left };
  const unnamed = webhooks.injectors.find((found) => isOwnOf(found, defaultTag));
  return {
    tag,
    fields: [...fields, ...deactivation(install, unnamed)],
    objects: objects.filter(
      ({ kind }) =>
        !(kind === "ValidatingWebhookConfiguration" && validator !== undefined) &&
        !(kind === "MutatingWebhookConfiguration" && injector !== undefined),
    ),
    left,
  };
}

/**
 * The fields of the tag's Service to write, and the tag's Services in other namespaces. The upgrade cannot use these,
 * because a Service selects only pods of its own namespace.
 */
function serviceOf(
  services: readonly Service[],
  tag: string,
  namespace: string,
  { spec: { from, to } }: MeshUpgrade,
): Pick<TagInWorld, "fields"> & { readonly left: readonly ObjectReference[] } {
  const name = `istiod-revision-tag-${tag}`;
  const named = services.filter(({ metadata }) => metadata.name === name && metadata.labels?.[tagLabel] === tag);
  const object = reference("v1", "Service", name, namespace);
  const value = to.revision;
  return {
    fields: named.some(({ metadata }) => metadata.namespace === namespace)
      ? [
          { object, pointer: `/spec/selector/${pointerName(revisionLabel)}`, value },
          { object, pointer: labelPointer(revisionLabel), value },
        ]
      : [],
    left: named
      .filter(({ metadata }) => metadata.namespace !== namespace && metadata.labels?.[revisionLabel] === from.revision)
      .map(({ metadata }) => reference("v1", "Service", name, metadata.namespace)),
  };
}

function leadTo(
  { metadata, webhooks = [] }: WebhookConfiguration,
  kind: string,
  target: WebhookClient,
  revision: string,
): TagInWorld["fields"] {
  const object = reference(admission, kind, metadata.name ?? "");
  const clients = webhooks.map(({ clientConfig }) => clientConfig);
  return [...webhooksLedTo(object, clients, target), { object, pointer: labelPointer(revisionLabel), value: revision }];
}

function deactivation(install: typeof Install, unnamed: WebhookConfiguration | undefined): TagInWorld["fields"] {
  if (unnamed === undefined) return [];
  const object = injectorReference(unnamed.metadata);
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

/** The old revision's webhooks that inject by namespace label. Empty unless a wave moves single workloads. */
export function observeInjectors(
  { injectors }: Webhooks,
  { spec }: MeshUpgrade,
  prior: PriorValues,
  installs: MeshWorld["installs"],
): Pick<MeshWorld, "injectors" | "newInjector"> {
  if (!spec.waves.some(({ workloadLabels }) => Object.keys(workloadLabels).length > 0)) return { injectors: [] };
  const led = injectors.filter(
    ({ metadata }) => prior.revisionLabel(injectorReference(metadata), metadata.labels) === spec.from.revision,
  );
  const found = led.flatMap(({ metadata, webhooks = [] }) =>
    webhooks.flatMap(({ name, objectSelector = {} }, index) => {
      const object = injectorReference(metadata);
      const byNamespace = name.startsWith("rev.namespace.") || name.startsWith("namespace.");
      return byNamespace
        ? [{ object, index, objectSelector: prior.value(object, `/webhooks/${index}/objectSelector`, objectSelector) }]
        : [];
    }),
  );
  return { injectors: found, newInjector: { ...clientConfigOf(injectors, installs, spec.to.revision) } };
}

function injectorReference({ name = "" }: ObjectMeta): ObjectReference {
  return reference(admission, "MutatingWebhookConfiguration", name);
}
