import type { FieldIssue, UntypedObject } from "../api/index.ts";
import type { ComponentSpec } from "../api/istio/index.ts";
import { renderBase } from "./components/base.ts";
import { renderCni } from "./components/cni.ts";
import { renderGateway } from "./components/gateway.ts";
import { renderPilot } from "./components/pilot.ts";
import { renderRolloutEngine } from "./components/rollout-engine.ts";
import { renderZtunnel } from "./components/ztunnel.ts";
import { revisionTag } from "./components/webhooks.ts";
import { applyOverlays } from "./overlays.ts";
import type { InstallSettings } from "./settings.ts";

/** One step of an installation: its objects in the order to apply them, and what a person is told when they are ready. */
export interface RenderedComponent {
  readonly name: string;
  /** `Istiod installed`. */
  readonly done: string;
  readonly objects: readonly UntypedObject[];
}

/** Definitions of kinds, read from the release's `manifests/crds` by the caller. */
export interface CustomResources {
  readonly istio: readonly UntypedObject[];
  readonly rollout: readonly UntypedObject[];
}

/** Everything that the settings ask for, in the order in which it is installed. Pure: the same settings, the same objects. */
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
  };
  add("base", "Istio core installed", settings.base, () => [
    ...renderBase(settings, customResources.istio),
    ...renderRolloutEngine(settings, customResources.rollout),
  ]);
  add("pilot", "Istiod installed", settings.pilot, () => renderPilot(settings));
  add("cni", "CNI installed", settings.cni, () => renderCni(settings));
  settings.ingressGateways.forEach((gateway, index) =>
    add(`ingressGateways[${index}]`, "Ingress gateways installed", gateway, () => renderGateway(gateway, "ingress", settings)),
  );
  settings.egressGateways.forEach((gateway, index) =>
    add(`egressGateways[${index}]`, "Egress gateways installed", gateway, () => renderGateway(gateway, "egress", settings)),
  );
  add("ztunnel", "Ztunnel installed", settings.ztunnel, () => renderZtunnel(settings));
  return { components, errors };
}

/** The tag `default` of a revision: what the first revision of a cluster gets, so that objects that name none belong to somebody. */
export function renderDefaultTag(settings: InstallSettings): UntypedObject | undefined {
  return settings.pilot.enabled === true && settings.revision !== "" ? revisionTag("default", settings) : undefined;
}
