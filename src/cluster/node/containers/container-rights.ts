import type { Container, Pod } from "../../../api/kubernetes/index.ts";
import type { ContainerRights } from "./starter.ts";

/** The default capabilities in container runtimes. */
const defaultCapabilities = [
  "chown",
  "dac_override",
  "fowner",
  "fsetid",
  "kill",
  "setgid",
  "setuid",
  "setpcap",
  "net_bind_service",
  "net_raw",
  "sys_chroot",
  "mknod",
  "audit_write",
  "setfcap",
];

/** The uid of sidecars. The redirect rules in their pods recognise them by it. */
const sidecarUser = 1337;

/**
 * The user and capabilities of a container's program. If the lab has only one uid, every container runs as its root.
 */
export function containerRights(container: Container, pod: Pod, uidCount: number): ContainerRights {
  const context = container.securityContext;
  const wantedUser = context?.runAsUser ?? pod.spec?.securityContext?.runAsUser ?? 0;
  const wantedGroup = context?.runAsGroup ?? pod.spec?.securityContext?.runAsGroup ?? 0;
  const hasUser = wantedUser < uidCount && wantedGroup < uidCount;
  return {
    privileged: context?.privileged === true,
    // If a sidecar has the same uid as its application, the mark on its packets distinguishes it, and setting the mark
    // needs this right.
    capabilities: [
      ...capabilitiesOf(context?.capabilities),
      ...(wantedUser === sidecarUser && !hasUser ? ["net_admin"] : []),
    ],
    user: hasUser ? wantedUser : 0,
    group: hasUser ? wantedGroup : 0,
    noNewPrivileges: context?.allowPrivilegeEscalation === false,
  };
}

/** An event's text about identities that the pod requests but this lab cannot provide. Undefined if there are none. */
export function unmetIdentity(pod: Pod, uidCount: number): string | undefined {
  const unmet = new Set<string>();
  const contexts = [
    pod.spec?.securityContext,
    ...[...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].map(
      (container) => container.securityContext,
    ),
  ];
  for (const context of contexts) {
    if (context?.runAsUser !== undefined && context.runAsUser >= uidCount) unmet.add(`runAsUser ${context.runAsUser}`);
    if (context?.runAsGroup !== undefined && context.runAsGroup >= uidCount)
      unmet.add(`runAsGroup ${context.runAsGroup}`);
  }
  const group = pod.spec?.securityContext?.fsGroup;
  if (group !== undefined && group >= uidCount) unmet.add(`fsGroup ${group}`);
  if (unmet.size === 0) return undefined;
  return `${[...unmet].join(", ")} not applied: this lab has ${uidCount === 1 ? "only one user" : `${uidCount} users`}; its programs run as that user`;
}

function capabilitiesOf(wanted: { add?: string[]; drop?: string[] } | undefined): string[] {
  const short = (name: string): string => name.toLowerCase().replace(/^cap_/, "");
  const granted = new Set(defaultCapabilities);
  for (const name of (wanted?.drop ?? []).map(short)) {
    if (name === "all") granted.clear();
    else granted.delete(name);
  }
  for (const name of (wanted?.add ?? []).map(short)) granted.add(name === "all" ? "all" : name);
  return [...granted];
}
