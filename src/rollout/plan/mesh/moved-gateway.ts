import { withoutDigest } from "../../../api/images/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { revisionLabel } from "./sidecar-steps.ts";

export interface ControlPlanes {
  readonly from: string;
  readonly to: string;
  /** The namespace and image of the new revision's Deployment. */
  readonly next: { readonly namespace: string; readonly image: string };
  readonly previousImage?: string;
}

interface Container {
  readonly image?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

interface Template {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly containers?: readonly Container[];
    readonly volumes?: readonly { readonly name: string; readonly configMap?: { readonly name?: string } }[];
  };
}

const defaultRevision = "default";
const canonicalRevisionLabel = "service.istio.io/canonical-revision";
/** Annotations that controllers and kubectl write. A copy of the object must not have them. */
const foreignAnnotation = /^(deployment\.kubernetes\.io|kubectl\.kubernetes\.io)\//;

/**
 * Computes the new revision's form of an installed gateway that the upgrade itself does not install. It keeps
 * everything that its owner has set. Its label, addresses, mesh configuration and proxy image change to the other
 * control plane's.
 */
export function movedGateway(live: UntypedObject, template: unknown, planes: ControlPlanes): UntypedObject {
  const { name, namespace, labels = {}, annotations = {} } = live.metadata;
  const own = Object.fromEntries(Object.entries(annotations).filter(([key]) => !foreignAnnotation.test(key)));
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...labels, [revisionLabel]: planes.to },
      annotations: own,
    },
    spec: { ...(live["spec"] as object), template: movedTemplate(template ?? {}, planes) },
  };
}

function movedTemplate(template: Template, planes: ControlPlanes): Template {
  const { metadata = {}, spec = {} } = template;
  const { labels = {}, annotations } = metadata;
  const named = labels[canonicalRevisionLabel];
  const follows = named === (planes.from === defaultRevision ? "latest" : planes.from);
  const moved = (values: Readonly<Record<string, string>>): Record<string, string> =>
    values[revisionLabel] === undefined ? { ...values } : { ...values, [revisionLabel]: planes.to };
  return {
    ...template,
    metadata: {
      ...metadata,
      labels: {
        ...labels,
        [revisionLabel]: planes.to,
        ...(follows ? { [canonicalRevisionLabel]: planes.to === defaultRevision ? "latest" : planes.to } : {}),
      },
      ...(annotations === undefined ? {} : { annotations: moved(annotations) }),
    },
    spec: {
      ...spec,
      containers: (spec.containers ?? []).map((container) => movedContainer(container, planes)),
      ...(spec.volumes === undefined
        ? {}
        : {
            volumes: spec.volumes.map((volume) =>
              volume.configMap?.name === revisioned("istio", planes.from)
                ? { ...volume, configMap: { ...volume.configMap, name: revisioned("istio", planes.to) } }
                : volume,
            ),
          }),
    },
  };
}

function movedContainer(container: Container, planes: ControlPlanes): Container {
  const { image, env } = container;
  const address = new RegExp(
    `\\b${revisioned("istiod", planes.from).replaceAll(".", "\\.")}\\.([a-z0-9-]+)\\.svc`,
    "g",
  );
  const there = `${revisioned("istiod", planes.to)}.${planes.next.namespace}.svc`;
  return {
    ...container,
    ...(image === undefined ? {} : { image: movedImage(image, planes) }),
    ...(env === undefined
      ? {}
      : {
          env: env.map((entry) =>
            entry.value === undefined ? entry : { ...entry, value: entry.value.replaceAll(address, there) },
          ),
        }),
  };
}

/**
 * Changes the proxy's image to the new control plane's release. An image with another name, and a user's own registry,
 * stay. A digest behind a tag is removed, because it identifies the image of the old release, or that of the control
 * plane. A webhook that pins images adds the right digest.
 */
function movedImage(image: string, { next, previousImage }: ControlPlanes): string {
  const [proxy, pilot, old] = [imageParts(image), imageParts(next.image), imageParts(previousImage ?? "")];
  if (proxy === undefined || pilot === undefined || proxy.name !== "proxyv2") return image;
  const hub = old !== undefined && proxy.hub === old.hub ? pilot.hub : proxy.hub;
  const variant = /-(distroless|debug)$/.exec(proxy.tag)?.[0] ?? "";
  return `${hub}proxyv2:${pilot.tag.replace(/-(distroless|debug)$/, "")}${variant}`;
}

function imageParts(image: string): { readonly hub: string; readonly name: string; readonly tag: string } | undefined {
  const found = /^(.*\/)?([^/:@]+):([\w.+-]+)$/.exec(withoutDigest(image));
  return found === null ? undefined : { hub: found[1] ?? "", name: found[2] ?? "", tag: found[3] ?? "" };
}

function revisioned(name: string, revision: string): string {
  return revision === defaultRevision ? name : `${name}-${revision}`;
}
