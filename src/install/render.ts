import { textAt, valueAt } from "../base/index.ts";
import type { FieldIssue, UntypedObject } from "../api/index.ts";
import type { ComponentSpec } from "../api/istio/index.ts";
import { renderBase } from "./components/base.ts";
import { renderCni } from "./components/cni.ts";
import { renderGateway } from "./components/gateway.ts";
import { renderPilot } from "./components/pilot.ts";
import { renderRolloutEngine } from "./components/rollout-engine.ts";
import { revisionTagService } from "./components/revision-tag-service.ts";
import { renderZtunnel } from "./components/ztunnel.ts";
import { defaultValidator, revisionTag } from "./components/webhooks.ts";
import { installedKinds } from "./installed-kinds.ts";
import { applyOverlays } from "./overlays.ts";
import { pilotIssues } from "./pilot-issues.ts";
import { object, revisionLabel } from "./render-context.ts";
import { type InstallSettings } from "./settings.ts";

export interface RenderedComponent {
  readonly name: string;
  /** The message to show when the component is ready, for example `Istiod installed`. */
  readonly done: string;
  readonly objects: readonly UntypedObject[];
}

/** The CRDs of Istio and of the rollout engine. The caller reads them from the release's `manifests/crds`. */
export interface CustomResources {
  readonly istio: readonly UntypedObject[];
  readonly rollout: readonly UntypedObject[];
}

/**
 * Renders all components that the settings enable, in the order of installation. Pure: the same settings give the same
 * objects.
 */
export function renderInstall(
  settings: InstallSettings,
  customResources: CustomResources,
): { readonly components: readonly RenderedComponent[]; readonly errors: readonly FieldIssue[] } {
  const components: RenderedComponent[] = [];
  const errors: FieldIssue[] = [];
  const add = (field: string, done: string, spec: ComponentSpec, render: () => UntypedObject[]): void => {
    if (spec.enabled !== true) return;
    const overlaid = applyOverlays(render(), spec.k8s);
    errors.push(...overlaid.errors.map((issue) => ({ ...issue, path: `spec.components.${field}.${issue.path}` })));
    components.push({ name: field, done, objects: overlaid.objects });
    if (field === "pilot") errors.push(...pilotIssues(overlaid.objects, settings));
  };
  add("base", "Istio core installed", settings.base, () => [
    ...renderBase(settings, customResources.istio),
    ...renderRolloutEngine(settings, customResources.rollout),
  ]);
  add("pilot", "Istiod installed", settings.pilot, () => renderPilot(settings));
  add("cni", "CNI installed", settings.cni, () => renderCni(settings));
  settings.ingressGateways.forEach((gateway, index) =>
    add(`ingressGateways[${index}]`, "Ingress gateways installed", gateway, () =>
      renderGateway(gateway, "ingress", settings),
    ),
  );
  settings.egressGateways.forEach((gateway, index) =>
    add(`egressGateways[${index}]`, "Egress gateways installed", gateway, () =>
      renderGateway(gateway, "egress", settings),
    ),
  );
  add("ztunnel", "Ztunnel installed", settings.ztunnel, () => renderZtunnel(settings));
  return { components, errors };
}

/** The objects that make a revision the default, so that objects without a revision label belong to it. */
export interface DefaultRevision {
  readonly revision: string;
  /**
   * The tag `default`: webhooks that inject pods without a revision. Undefined for the unnamed revision, because its
   * own webhooks inject these pods.
   */
  readonly tag: UntypedObject | undefined;
  readonly validator: UntypedObject;
  /** The tag's Service, or undefined if the control plane is in another cluster. */
  readonly service: UntypedObject | undefined;
}

/**
 * Renders the objects that make this revision the default. Returns undefined if the installation has no control plane.
 */
export function renderDefaultRevision(settings: InstallSettings): DefaultRevision | undefined {
  if (settings.pilot.enabled !== true || settings.revisionLabel !== undefined) return undefined;
  const revision = revisionLabel(settings);
  const isRemote = valueAt(settings.values, "istiodRemote", "enabled") === true;
  return {
    revision,
    tag: settings.revision === "" ? undefined : revisionTag("default", settings),
    validator: defaultValidator(revision, settings),
    service: isRemote ? undefined : revisionTagService("default", settings),
  };
}

/** Renders the namespaces of the components' objects. The installation's own namespace comes first. */
export function renderNamespaces(settings: InstallSettings, components: readonly RenderedComponent[]): UntypedObject[] {
  const objects = components.flatMap((component) => component.objects);
  const rendered = new Set(objects.filter(({ kind }) => kind === "Namespace").map(({ metadata }) => metadata.name));
  const names = new Set([
    settings.namespace,
    ...objects.map(({ metadata }) => metadata.namespace).filter((name) => name !== undefined),
  ]);
  const network = textAt(settings.values, "global", "network");
  return [...names]
    .filter((name) => !rendered.has(name))
    .map((name) => {
      const labels =
        network === undefined || name !== settings.namespace ? {} : { "topology.istio.io/network": network };
      const { metadata, ...rest } = object({ apiVersion: "v1", kind: "Namespace", name, labels }, {});
      return { ...rest, metadata: Object.keys(labels).length === 0 ? { name } : metadata };
    });
}

/** Sorts objects so that they can be applied in this order: namespaces, CRDs, accounts, …, webhooks. */
export function inApplyOrder(objects: readonly UntypedObject[]): UntypedObject[] {
  const rank = new Map(installedKinds.map(({ kind }, index) => [kind, index]));
  return objects.toSorted((a, b) => (rank.get(a.kind ?? "") ?? 0) - (rank.get(b.kind ?? "") ?? 0));
}
