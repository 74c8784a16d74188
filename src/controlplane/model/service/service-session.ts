import { defaultSessionRules, type SessionRules } from "../../../api/pilot-settings/index.ts";
import type { Labels, MeshSettings } from "../facts.ts";

/** Where the clients of a service keep the endpoint of their session. */
export type ServiceSession =
  | { readonly kind: "cookie"; readonly name: string; readonly path: string }
  | { readonly kind: "header"; readonly name: string };

export function sessionRulesOf({ sessions }: Pick<MeshSettings, "sessions">): SessionRules {
  return sessions ?? defaultSessionRules;
}

/**
 * The session settings of a service. Undefined if sessions are off, the service's labels ask for none, or there is no
 * service.
 */
export function serviceSession(
  service: { readonly labels: Labels } | undefined,
  mesh: Pick<MeshSettings, "sessions">,
): ServiceSession | undefined {
  const { enabled, cookieLabel, headerLabel } = sessionRulesOf(mesh);
  if (!enabled || service === undefined) return undefined;
  const { labels } = service;
  const cookie = valueOf(labels, cookieLabel);
  if (cookie !== "") {
    const colon = cookie.indexOf(":");
    return colon < 0
      ? { kind: "cookie", name: cookie, path: "/" }
      : { kind: "cookie", name: cookie.slice(0, colon), path: cookie.slice(colon + 1) };
  }
  const header = valueOf(labels, headerLabel);
  return header === "" ? undefined : { kind: "header", name: header };
}

/**
 * Whether clients of the service get endpoints that drain. Proxies send such an endpoint only requests whose session
 * names it. As in upstream, this depends only on the labels.
 */
export function keepsDraining({ labels }: { readonly labels: Labels }, mesh: Pick<MeshSettings, "sessions">): boolean {
  const { cookieLabel, headerLabel } = sessionRulesOf(mesh);
  return valueOf(labels, cookieLabel) !== "" || valueOf(labels, headerLabel) !== "";
}

export function isMarkedDraining(labels: Labels, mesh: Pick<MeshSettings, "sessions">): boolean {
  return valueOf(labels, sessionRulesOf(mesh).drainingLabel) !== "";
}

function valueOf(labels: Labels, label: string): string {
  return label === "" ? "" : (labels[label] ?? "");
}
