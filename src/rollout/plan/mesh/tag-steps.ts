import type { WebhookConfiguration } from "../../../api/kubernetes/index.ts";
import type { MeshUpgrade, ObjectReference } from "../../../api/serin/index.ts";
import type { SettleCondition, Step, Write } from "../../decide/index.ts";
import { labelPointer, reference, referenceTo } from "../references.ts";
import { gatewayReference } from "./gateway-steps.ts";
import type { MeshWorld, NamespaceInWorld, TagInWorld } from "./mesh-world.ts";
import { injectionLabel, revisionLabel } from "./sidecar-steps.ts";
import { unsplitWrites } from "./split-injection.ts";
import { plannedWaves } from "./waves.ts";

/**
 * Points all tags of the old revision, the default injector and the validator to the new revision in one step.
 * Namespaces and Gateways that followed a tag before the upgrade follow it again.
 */
export function tagSteps(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { spec } = upgrade;
  const tags = spec.scope.tags ? world.tags : [];
  const names = tags.map(({ tag }) => tag);
  const followers = [...followingNamespaces(upgrade, world, names), ...followingGateways(upgrade, world, names)];
  if (tags.length === 0 && followers.length === 0) return [];
  const tested = tags.some(({ tag }) => tag === "default");
  return [
    {
      id: "tags",
      title:
        tags.length === 0
          ? "gateways follow their namespaces again"
          : `${tags.length === 1 ? "the tag" : "the tags"} ${names.join(", ")} and objects without a revision point to ${spec.to.revision}`,
      writes: [
        ...unsplitWrites(world, plannedWaves(upgrade, world)),
        ...tags.flatMap(({ objects }) =>
          objects.map((body): Write => ({ type: "create", body, object: referenceTo(body) })),
        ),
        ...tags.flatMap(({ fields }) => fields.map((field): Write => ({ type: "field", ...field }))),
        ...followers,
      ],
      settle: [
        ...names.map((tag): SettleCondition => ({ type: "tagServes", tag, revision: spec.to.revision })),
        ...(tested ? [{ type: "validatorServes", revision: spec.to.revision } as const] : []),
      ],
      checks: [],
    },
  ];
}

/** How a webhook reaches its control plane. */
export type WebhookClient = NonNullable<WebhookConfiguration["webhooks"]>[number]["clientConfig"];

/**
 * The fields that make the webhooks of a configuration call another control plane. If both addresses are Services, only
 * the Service's name and namespace are written, and together, so that no webhook names a Service that does not exist.
 * The control planes maintain the CA of such a webhook themselves. No control plane maintains the CA of a URL, so if
 * either address is a URL, the whole client config is one field.
 */
export function webhooksLedTo(
  object: ObjectReference,
  clients: readonly WebhookClient[],
  target: WebhookClient,
): TagInWorld["fields"] {
  return clients.map((client, index) => ({
    object,
    ...clientLedTo(client, target, `/webhooks/${index}/clientConfig`),
  }));
}

function clientLedTo(
  client: WebhookClient,
  target: WebhookClient,
  pointer: string,
): Pick<TagInWorld["fields"][number], "pointer" | "value"> {
  if (client.service === undefined || target.service === undefined)
    // A CA that somebody has renewed meanwhile stays.
    return { pointer, value: client.url !== undefined && client.url === target.url ? client : target };
  const { name, namespace } = target.service;
  return { pointer: `${pointer}/service`, value: { ...client.service, name, namespace } };
}

/** Restores the tag labels of namespaces that have moved as a whole. */
function followingNamespaces(upgrade: MeshUpgrade, world: MeshWorld, tags: readonly string[]): Write[] {
  const moved = new Set(
    plannedWaves(upgrade, world).flatMap(({ namespaces }) =>
      namespaces.filter(({ isWhole }) => isWhole).map(({ name }) => name),
    ),
  );
  const isFollower = ({ name, injection }: NamespaceInWorld): boolean =>
    moved.has(name) && injection?.tag !== undefined && tags.includes(injection.tag);
  return world.namespaces.filter(isFollower).flatMap(({ name, injection }): Write[] => {
    const object = reference("v1", "Namespace", name);
    if (injection?.label !== injectionLabel)
      return [{ type: "field", object, pointer: labelPointer(revisionLabel), value: injection?.value }];
    // The label `istio-injection` overrides the revision label as soon as it exists, so the revision label is removed
    // after it.
    return [
      { type: "field", object, pointer: labelPointer(injectionLabel), value: injection.value },
      { type: "field", object, pointer: labelPointer(revisionLabel) },
    ];
  });
}

function followingGateways({ spec }: MeshUpgrade, { gateways }: MeshWorld, tags: readonly string[]): Write[] {
  return gateways
    .filter(
      ({ waypoint, label, followsNamespace }) =>
        (waypoint ? spec.scope.waypoints : spec.scope.gateways) &&
        (followsNamespace || tags.includes(label ?? "default")),
    )
    .map((gateway) => ({
      type: "field",
      object: gatewayReference(gateway),
      pointer: labelPointer(revisionLabel),
      ...(gateway.label === undefined ? {} : { value: gateway.label }),
    }));
}
